"""Where the cycles go."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COUNTER_BITS", "Category", "Counters"]

COUNTER_BITS = 32


class Category(enum.Enum, shape=3):
    """What the array does in a cycle."""

    ACTIVE = 0  # a step started
    WAIT_WEIGHTS = 1
    WAIT_INPUT = 2  # for tokens of LOAD
    WAIT_OUTPUT = 3  # for tokens of STORE, or for a full queue behind the array
    WAIT_TOKENS = 4  # for tokens of COMPUTE, or a hazard between passes
    IDLE = 5  # no instruction


class Counters(wiring.Component):
    """Count the cycles of ``running`` in all (``cycles``) and by ``category``; the six counts sum to the total.

    Reset the component to start again at zero. ``by_category`` is indexed by `Category`. A cycle is counted one cycle after
    it.
    """

    running: In(1)
    category: In(Category)
    cycles: Out(64)
    by_category: Out(data.ArrayLayout(COUNTER_BITS, len(Category)))

    def elaborate(self, platform):
        m = Module()
        ran = Signal()
        m.d.sync += ran.eq(self.running)
        with m.If(ran):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        for category in Category:
            count = self.by_category[category.value]
            was = Signal(name=f"was_{category.name.lower()}")
            m.d.sync += was.eq(self.running & (self.category == category))
            with m.If(was):
                m.d.sync += count.eq(count + 1)
        return m
