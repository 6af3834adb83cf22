"""Weight tiles on their way from the program memory into the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..skew import Delay
from .memory import WORD

__all__ = ["TileLoader"]


class TileLoader(wiring.Component):
    """Reads a tile of ``side`` rows from the cycle after ``begin`` on, a word per cycle: the memory is read in cycles of
    ``reading``, and answers `WORD` cycles later with ``word``. ``ready`` says that the tile is there, until ``taken``.

    A dense tile is ``rows`` words, the highest row first. With ``diagonal`` it is one, read ``side`` times: each column's
    byte goes into the row of the same number. ``advance`` says that the next read is of another word.
    """

    def __init__(self, side: int):
        self._side = side
        super().__init__({
            "begin": In(1),
            "taken": In(1),
            "rows": In(range(side + 1)),
            "diagonal": In(1),
            "word": In(8 * side),
            "reading": Out(1),
            "advance": Out(1),
            "ready": Out(1),
            "weights": Out(data.ArrayLayout(signed(8), side)),
            "shift": Out(side),
        })

    def elaborate(self, platform):
        m = Module()
        number = Signal(range(self._side))  # of the vector that is read
        arrived, arrives = Signal.like(number), Signal()
        last, ready = Signal(), Signal()
        m.submodules.word_delay = word_delay = Delay(unsigned(1 + len(number)), WORD)
        m.submodules.ready_delay = ready_delay = Delay(1, WORD - 1)
        m.d.comb += [
            last.eq(number == Mux(self.diagonal, self._side - 1, self.rows - 1)),
            self.advance.eq(self.reading & (last | ~self.diagonal)),
            word_delay.i.eq(Cat(self.reading, number)),
            Cat(arrives, arrived).eq(word_delay.o),
            ready_delay.i.eq(self.reading & last),
            ready.eq(ready_delay.o),
        ]
        with m.If(ready):
            m.d.sync += self.ready.eq(1)
        with m.Elif(self.taken):
            m.d.sync += self.ready.eq(0)
        with m.If(self.reading):
            m.d.sync += number.eq(number + 1)
            with m.If(last):
                m.d.sync += [number.eq(0), self.reading.eq(0)]
        with m.If(self.begin):
            m.d.sync += self.reading.eq(1)
        for side in range(self._side):
            byte = self.word.word_select(side, 8)
            m.d.comb += [
                self.shift[side].eq(arrives & (arrived >= side)),
                self.weights[side].eq(Mux(self.diagonal & (arrived != self._side - 1 - side), 0, byte)),
            ]
        return m
