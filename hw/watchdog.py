"""The progress watchdog."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Pulse ``expired`` a cycle after ``limit`` cycles of ``running`` have passed without ``advance``. A ``limit`` of 0 is
    never.

    ``advance`` is high in a cycle in which any engine gets on: a beat, a vector or an instruction moves.
    """

    limit: In(32)
    running: In(1)
    advance: In(1)
    expired: Out(1)

    def elaborate(self, platform):
        m = Module()
        left = Signal(32)
        waits = Signal()  # in the cycle before
        last = Signal()
        m.d.sync += [waits.eq(self.running & ~self.advance), self.expired.eq(waits & last)]
        with m.If(~waits):
            m.d.sync += [left.eq(self.limit), last.eq(self.limit == 1)]
        with m.Elif(left.any()):
            m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
        return m
