"""Frames of 32-bit words on a byte stream: flags around them, escapes inside, a CRC at the end. See docs/link.md."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .uart import RECEIVED

__all__ = ["ESCAPE", "FLAG", "MASK", "Deframer", "Framer"]

FLAG = 0x7E
"""Before and after every frame."""

ESCAPE = 0x7D
"""Stands before a byte that would be FLAG or ESCAPE, and says that `MASK` was added to it."""

MASK = 0x20

_POLYNOMIAL = 0xEDB88320
_RESIDUE = 0xDEBB20E3
_START = 0xFFFFFFFF


def _crc(crc: Value, bit: Value) -> Value:
    """CRC-32 as in IEEE 802.3, one bit further."""
    return (crc >> 1) ^ Mux(crc[0] ^ bit, _POLYNOMIAL, 0)


class Deframer(wiring.Component):
    """Bytes to words. Every byte takes 10 cycles.

    ``word`` is the latest word in the cycle of ``word_valid``; the last one of a frame is its CRC. ``end`` comes with a
    flag; ``good`` says with it that whole words came before, that their CRC is right, and that no byte was bad.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(RECEIVED)),
                "word": Out(32),
                "word_valid": Out(1),
                "end": Out(1),
                "good": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        byte = Signal(8)
        bits = Signal(range(8))
        place = Signal(2)  # of the byte in its word
        escaped = Signal()
        bad = Signal()
        crc = Signal(32, init=_START)
        received = self.i.p
        m.d.comb += self.good.eq((crc == _RESIDUE) & (place == 0) & ~escaped & ~bad)
        with m.FSM(name="deframer"):
            with m.State("BYTE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [byte.eq(Mux(escaped, received.data ^ MASK, received.data)), bits.eq(7)]
                with m.If(self.i.valid):
                    m.d.sync += bad.eq(bad | received.error)
                    with m.If(received.data == FLAG):
                        m.next = "FLAG"
                    with m.Elif((received.data == ESCAPE) & ~escaped):
                        m.d.sync += escaped.eq(1)
                    with m.Else():
                        m.d.sync += escaped.eq(0)
                        m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += [
                    byte.eq(byte >> 1),
                    bits.eq(bits - 1),
                    crc.eq(_crc(crc, byte[0])),
                    self.word.eq(Cat(self.word[1:], byte[0])),
                ]
                with m.If(bits == 0):
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += self.word_valid.eq(place == 3)
                m.d.sync += place.eq(place + 1)
                m.next = "BYTE"
            with m.State("FLAG"):
                m.d.comb += self.end.eq(1)
                m.d.sync += [crc.eq(_START), place.eq(0), escaped.eq(0), bad.eq(0)]
                m.next = "BYTE"
        return m


class Framer(wiring.Component):
    """Words to bytes: a flag before the first word, CRC and a flag after the ``last``. A byte takes 9 cycles or more."""

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = Signal(32)
        last = Signal()
        checked = Signal()  # the word is the CRC
        place = Signal(2)
        bits = Signal(range(8))
        byte = Signal(8)
        special = Signal()
        crc = Signal(32, init=_START)
        m.d.comb += special.eq((byte == FLAG) | (byte == ESCAPE))
        with m.FSM(name="framer"):
            with m.State("IDLE"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(self.i.valid)]
                m.d.sync += [crc.eq(_START), checked.eq(0)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [word.eq(self.i.p.data), last.eq(self.i.p.last), place.eq(0), bits.eq(7)]
                with m.If(self.i.valid):
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += [
                    word.eq(word >> 1),
                    byte.eq(Cat(byte[1:], word[0])),
                    bits.eq(bits - 1),
                    crc.eq(_crc(crc, word[0])),
                ]
                with m.If(bits == 0):
                    m.next = "ESCAPE"
            with m.State("ESCAPE"):
                m.d.comb += [self.o.payload.eq(ESCAPE), self.o.valid.eq(special)]
                with m.If(~special | self.o.ready):
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += [self.o.payload.eq(Mux(special, byte ^ MASK, byte)), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += [place.eq(place + 1), bits.eq(7)]
                    m.next = "BITS"
                    with m.If(place == 3):
                        m.next = "WORD"
                        with m.If(checked):
                            m.next = "FLAG"
                        with m.Elif(last):
                            m.d.sync += [word.eq(~crc), checked.eq(1)]
                            m.next = "BITS"
            with m.State("FLAG"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
