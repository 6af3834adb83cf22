"""Weight tiles on their way from the program memory into the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TileLoader"]


class TileLoader(wiring.Component):
    """Reads a tile from the cycle after ``begin`` on, a word per cycle: the memory is read in cycles of ``reading``, and
    answers a cycle later with ``word``. ``ready`` says that the tile is there, until ``taken``.

    A dense tile is ``rows`` words, the highest row first. With ``diagonal`` it is one, read ``SIDE`` times: each column's
    byte goes into the row of the same number. ``advance`` says that the next read is of another word.
    """

    SIDE = 4

    begin: In(1)
    taken: In(1)
    rows: In(3)
    diagonal: In(1)
    word: In(32)
    reading: Out(1)
    advance: Out(1)
    ready: Out(1)
    weights: Out(data.ArrayLayout(signed(8), SIDE))
    shift: Out(SIDE)

    def elaborate(self, platform):
        m = Module()
        number = Signal(2)  # of the vector that is read
        arrived, arrives = Signal(2), Signal()
        last = Signal()
        m.d.comb += [
            last.eq(number == Mux(self.diagonal, self.SIDE - 1, self.rows - 1)),
            self.advance.eq(self.reading & (last | ~self.diagonal)),
        ]
        m.d.sync += [arrives.eq(self.reading), arrived.eq(number)]
        with m.If(self.taken):
            m.d.sync += self.ready.eq(0)
        with m.If(self.reading):
            m.d.sync += number.eq(number + 1)
            with m.If(last):
                m.d.sync += [number.eq(0), self.reading.eq(0), self.ready.eq(1)]
        with m.If(self.begin):
            m.d.sync += self.reading.eq(1)
        for side in range(self.SIDE):
            byte = self.word.word_select(side, 8)
            m.d.comb += [
                self.shift[side].eq(arrives & (arrived >= side)),
                self.weights[side].eq(Mux(self.diagonal & (arrived != self.SIDE - 1 - side), 0, byte)),
            ]
        return m
