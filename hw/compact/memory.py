"""A memory with a single port: two SB_SPRAM256KA of an iCE40 UltraPlus, or what any device's memory is made of."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

__all__ = ["MOST_WORDS", "PART_BITS", "WORD", "SinglePortMemory"]

MOST_WORDS = 1 << 14
"""Words of 32 bits in the address space of the host, and of two SB_SPRAM256KA."""

PART_BITS = 32
"""Of a word: what can be written alone."""


WORD = 2
"""Cycles from a read of the program memory to its word, the register behind the memory included: it answers late in its cycle."""


class SinglePortMemory(wiring.Component):
    """``words`` words of 32 or 64 bits, in ``banks`` that divide the address space among them: each has the first words of its
    part, as far as there are any. In a cycle of ``enable`` it writes the parts (of `PART_BITS`) of ``data`` that have a bit in
    ``write``, and reads if there is none.

    ``word`` is there a cycle after the read, for one cycle at least; behind a write it is not defined. ``spram`` takes
    SB_SPRAM256KA; Lattice, FPGA-TN-02022: Memory Usage Guide for iCE40 Devices, SPRAM.
    """

    def __init__(self, words: int = MOST_WORDS, *, word_bits: int = 32, banks: int = 1, spram: bool = False):
        self._words = words
        self._parts = word_bits // PART_BITS
        self._banks = banks
        self._spram = spram
        if spram and (words, word_bits) != (MOST_WORDS, 32):
            raise ValueError(f"words: {words} of {word_bits} bits with SB_SPRAM256KA, which have {MOST_WORDS} of 32")
        super().__init__({
            "address": In(14),
            "data": In(word_bits),
            "write": In(self._parts),
            "enable": In(1),
            "word": Out(word_bits),
        })

    def elaborate(self, platform):
        m = Module()
        if self._spram:
            for half in range(2):
                bits = slice(16 * half, 16 * half + 16)
                m.submodules[f"half_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_ADDRESS=self.address,
                    i_DATAIN=self.data[bits],
                    i_MASKWREN=Const(0b1111, 4),
                    i_WREN=self.write,
                    i_CHIPSELECT=self.enable,
                    i_CLOCK=ClockSignal(),
                    i_STANDBY=Const(0),
                    i_SLEEP=Const(0),
                    i_POWEROFF=Const(1),
                    o_DATAOUT=self.word[bits],
                )
            return m
        place = self.address
        if self._banks > 1:
            bank_words, bank = self._words // self._banks, place[len(place) - exact_log2(self._banks) :]
            in_bank = place[: ceil_log2(bank_words)]
            place = Cat(in_bank, bank) if bank_words == 1 << len(in_bank) else in_bank + bank * bank_words
        for part, enable in enumerate(self.write):
            bits = slice(PART_BITS * part, PART_BITS * (part + 1))
            m.submodules[f"cells_{part}"] = cells = memory.Memory(shape=PART_BITS, depth=self._words, init=[])
            read, write = cells.read_port(), cells.write_port()
            m.d.comb += [
                read.addr.eq(place),
                read.en.eq(self.enable & ~self.write.any()),
                write.addr.eq(place),
                write.data.eq(self.data[bits]),
                write.en.eq(self.enable & enable),
                self.word[bits].eq(read.data),
            ]
        return m
