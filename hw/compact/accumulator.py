"""The accumulator of the compact accelerator: two halves of memory, one for the passes of a block, one for its finished sums."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .lane import SUM_BITS

__all__ = ["CompactAccumulator"]


class CompactAccumulator(wiring.Component):
    """Adds up the sums of a block's passes, from the bias on. Entry n belongs to a pass's step n; a half has ``depth``.

    ``step``, ``start`` (the first of a pass) and ``first`` (of a block's first pass) come ``delay`` cycles before the step's
    ``sums``. ``half`` is the one that is added to; ``totals`` are those of ``entry`` in the other one, a cycle later. A sum
    can be read, and a pass may start, 3 cycles behind the first step of the pass before it.
    ``bias_byte`` n of the biases is in ``constants`` with ``load_bias[n]``.
    """

    WRITTEN = 2
    """Cycles from a step's sums until they can be read."""

    def __init__(self, *, cols: int, depth: int, delay: int, sum_width: int):
        self._depth = depth
        self._delay = delay
        super().__init__({
            "step": In(1),
            "start": In(1),
            "first": In(1),
            "sums": In(data.ArrayLayout(signed(sum_width), cols)),
            "constants": In(8 * cols),
            "load_bias": In(3),
            "half": In(1),
            "entry": In(range(depth)),
            "totals": Out(data.ArrayLayout(signed(SUM_BITS), cols)),
        })

    def elaborate(self, platform):
        m = Module()
        vector = self.totals.shape()
        m.submodules.cells = cells = memory.Memory(shape=unsigned(vector.size), depth=2 * self._depth, init=[])
        read, finished, write = cells.read_port(), cells.read_port(), cells.write_port()

        bias = Signal(vector)
        for byte in range(SUM_BITS // 8):
            with m.If(self.load_bias[byte]):
                for lane in range(len(bias)):
                    at = SUM_BITS * lane + 8 * byte
                    m.d.sync += bias.as_value()[at : at + 8].eq(self.constants.word_select(lane, 8))

        wave = Cat(self.step, self.start & self.step, self.first)
        for n in range(self._delay - 1):
            stage = Signal(3, name=f"wave_{n}")
            m.d.sync += stage.eq(wave)
            wave = stage
        step, start, first = wave
        following, entry = Signal(range(self._depth)), Signal(range(self._depth))
        with m.If(start):
            m.d.comb += entry.eq(0)
        with m.Else():
            m.d.comb += entry.eq(following)
        with m.If(step):
            m.d.sync += following.eq(entry + 1)
        m.d.comb += read.addr.eq(Cat(entry, self.half))

        # With the sums: one addition for the bias and for what was there.
        adding, from_bias, added_entry = Signal(), Signal(), Signal.like(entry)
        m.d.sync += [adding.eq(step), from_bias.eq(first), added_entry.eq(entry)]
        before = data.View(vector, Mux(from_bias, bias.as_value(), read.data))
        after = Signal(vector)
        m.d.sync += [total.eq(one + other) for total, one, other in zip(after, before, self.sums, strict=True)]
        m.d.sync += [write.en.eq(adding), write.addr.eq(Cat(added_entry, self.half))]
        m.d.comb += write.data.eq(after)

        m.d.comb += [finished.addr.eq(Cat(self.entry, ~self.half)), self.totals.eq(finished.data)]
        return m
