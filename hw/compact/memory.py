"""A memory with a single port: two SB_SPRAM256KA of an iCE40 UltraPlus, or what any device's memory is made of."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["MOST_WORDS", "SinglePortMemory"]

MOST_WORDS = 1 << 14
"""Words of the address space, and of two SB_SPRAM256KA."""


class SinglePortMemory(wiring.Component):
    """``words`` words of 32 bits, in ``banks`` that divide the address space of `MOST_WORDS` among them: each has the first words
    of its part, as far as there are any. In a cycle of ``enable`` it writes ``data`` if ``write``, and reads if not.

    ``word`` is there a cycle after the read, for one cycle at least; behind a write it is not defined. ``spram`` takes
    SB_SPRAM256KA; Lattice, FPGA-TN-02022: Memory Usage Guide for iCE40 Devices, SPRAM.
    """

    address: In(14)
    data: In(32)
    write: In(1)
    enable: In(1)
    word: Out(32)

    def __init__(self, words: int = MOST_WORDS, *, banks: int = 1, spram: bool = False):
        self._words = words
        self._banks = banks
        self._spram = spram
        if spram and words != MOST_WORDS:
            raise ValueError(f"words: {words} with SB_SPRAM256KA, which have {MOST_WORDS}")
        super().__init__()

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
        m.submodules.cells = cells = memory.Memory(shape=32, depth=self._words, init=[])
        read, write = cells.read_port(), cells.write_port()
        place = self.address
        if self._banks > 1:
            bank_bits = exact_log2(self._banks)
            place = Cat(place[: exact_log2(self._words) - bank_bits], place[len(place) - bank_bits :])
        m.d.comb += [
            read.addr.eq(place),
            read.en.eq(self.enable & ~self.write),
            write.addr.eq(place),
            write.data.eq(self.data),
            write.en.eq(self.enable & self.write),
            self.word.eq(read.data),
        ]
        return m
