"""What the compact accelerator keeps of an instruction: narrow fields, taken from the words as they arrive."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..isa import COMPUTE, HEADER, INSTRUCTION_BYTES, WEIGHTS
from ..legality_compact import COMPACT_WIDTHS

__all__ = ["ADDRESS_BITS", "FIELDS", "Decoder", "instruction_words"]

ADDRESS_BITS = COMPACT_WIDTHS["address"]
"""Of a word in a bank of the activation memory; all address arithmetic is modulo 2**ADDRESS_BITS."""

FIELDS = data.StructLayout({
    name: signed(width) if Shape.cast(COMPUTE[name].shape).signed else unsigned(width) for name, width in COMPACT_WIDTHS.items()
})
"""Fields of COMPUTE, the low bits of each as `hw.isa` has it."""


def instruction_words(side: int) -> int:
    """Words of ``side`` bytes in an instruction."""
    return INSTRUCTION_BYTES // side


class Decoder(wiring.Component):
    """Takes an instruction word by word, of ``side`` bytes each: ``word`` number ``index`` when ``arrives``.

    ``opcode`` comes with word 0, ``offset`` is that of a WEIGHTS in words. ``next_block`` moves the output by a block of
    channels, and the input too if ``next_input``.
    """

    def __init__(self, side: int):
        self._side = side
        super().__init__({
            "word": In(8 * side),
            "index": In(range(instruction_words(side))),
            "arrives": In(1),
            "next_block": In(1),
            "next_input": In(1),
            "opcode": Out(4),
            "offset": Out(14),
            "fields": Out(FIELDS),
        })

    def elaborate(self, platform):
        m = Module()
        self._take(m, self.opcode, HEADER["opcode"].offset)
        self._take(m, self.offset, WEIGHTS["offset"].offset + exact_log2(self._side))
        for name, field in FIELDS:
            self._take(m, Value.cast(self.fields[name]), COMPUTE[name].offset, field.width)
        with m.If(self.next_block):
            m.d.sync += [
                self.fields.blocks.eq(self.fields.blocks - 1),
                self.fields.out_address.eq(self.fields.out_address + 1),
                self.fields.address.eq(self.fields.address + self.next_input),
            ]
        return m

    def _take(self, m, target: Value, offset: int, width: int | None = None) -> None:
        """``target`` is what lies at bit ``offset`` of the instruction; it may be in two words."""
        width = len(target) if width is None else width
        at = 0
        while at < width:
            index, bit = divmod(offset + at, len(self.word))
            count = min(width - at, len(self.word) - bit)
            with m.If(self.arrives & (self.index == index)):
                m.d.sync += target[at : at + count].eq(self.word[bit : bit + count])
            at += count
