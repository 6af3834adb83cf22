"""Pools behind the post-processor: the largest result of each window, or the mean of all results of a block.

The partial maxima of a row of windows wait in a small memory. A mean is divided out column by column, by one multiplier,
while the array works on the next block's passes.
"""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .isa import COMPUTE, POOL_COLUMNS, POOL_PIXELS, POOL_SHIFT, Pool
from .multiplier_target import wide_multiplier

__all__ = ["POOL_FACTOR", "POOL_WINDOW", "Pooling"]

POOL_WINDOW = data.StructLayout({name: COMPUTE[name].shape for name in ("pool", "pool_rows", "pool_cols")})
POOL_FACTOR = data.StructLayout({name: COMPUTE[name].shape for name in ("pool_multiplier", "pool_shift")})

_PARTIAL = signed(8 + (POOL_PIXELS - 1).bit_length())
"""A sum of POOL_PIXELS results."""

_STEP = data.StructLayout({
    "first": 1,  # of its window
    "sum": 1,  # goes into the block's sum
    "fetch": 1,  # the next result belongs to another window, of which there may be a partial maximum
    "store": 1,  # a partial maximum
    "index": range(POOL_COLUMNS),
    "last_of_sum": 1,
})
"""What a result is for."""


class PoolWalker(wiring.Component):
    """Counts windows along the results of an instruction: output columns, rows, then blocks.

    For a ``valid`` result, ``write`` says at once whether a pooled vector is written with it, ``row_done`` whether the next
    row of results belongs to another row of windows; ``step`` says the rest a cycle later. With ``fetch``, ``next_index`` is the
    window whose partial maximum may be needed next. ``begin_sum``: it is the first of a sum.
    """

    valid: In(1)
    row_end: In(1)
    block_end: In(1)

    out_cols: In(COMPUTE["out_cols"].shape)
    window: In(POOL_WINDOW)

    write: Out(1)
    row_done: Out(1)
    begin_sum: Out(1)
    fetch: Out(1)
    next_index: Out(range(POOL_COLUMNS))
    step: Out(_STEP)
    stepping: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Rows and columns of a window count from 1. A block's end leaves the place of the next one's first result.
        place = data.StructLayout({"begun": 1, "row": 6, "col": 6, "index": range(POOL_COLUMNS)})
        begin = {"begun": 0, "row": 1, "col": 1, "index": 0}
        now, following = Signal(place, init=begin), Signal(place)

        maximum, average = self.window.pool == Pool.MAX, self.window.pool == Pool.AVERAGE
        last_row, last_col = now.row == self.window.pool_rows, now.col == self.window.pool_cols
        single = self.out_cols == self.window.pool_cols  # a single window in a row: no need for the memory
        m.d.comb += [
            following.begun.eq(1),
            following.row.eq(now.row),
            following.col.eq(Mux(last_col, 1, now.col + 1)),
            following.index.eq(now.index + last_col),
        ]
        with m.If(self.row_end):
            m.d.comb += [
                following.row.eq(Mux(last_row, 1, now.row + 1)),
                following.index.eq(0),
            ]
        with m.If(self.block_end):
            m.d.comb += following.eq(place.const(begin))
        m.d.comb += [
            self.write.eq(Mux(maximum, last_row & last_col, ~average)),
            self.row_done.eq(Mux(maximum, last_row, ~average)),
            self.begin_sum.eq(self.valid & average & ~now.begun),
            self.fetch.eq(self.valid & maximum & last_col & ~single),
            self.next_index.eq(following.index),
        ]
        m.d.sync += self.stepping.eq(self.valid)
        with m.If(self.valid):
            m.d.sync += [
                now.eq(following),
                self.step.first.eq(~maximum | ((now.row == 1) & (now.col == 1))),
                self.step.sum.eq(average),
                self.step.fetch.eq(self.fetch),
                self.step.store.eq(self.fetch & ~last_row),
                self.step.index.eq(now.index),
                self.step.last_of_sum.eq(average & self.block_end),
            ]
        return m


class PoolLane(wiring.Component):
    """One channel: ``result`` is the larger one of ``value`` and the partial maximum, or ``value`` where that is the ``first``.

    With ``stepping``, ``step`` says what to do with it. ``shift`` takes ``following``, the next column's partial result,
    ``clear`` leaves 0; with ``pass_partial`` the partial result itself is the ``result``. ``line`` is the memory's
    partial maximum. A maximum is the low byte of ``partial``; it leaves the other bits as they are. ``coming`` is a sum's
    ``partial`` of the next cycle.
    """

    value: In(signed(8))
    stepping: In(1)
    step: In(_STEP)
    line: In(signed(8))
    shift: In(1)
    following: In(_PARTIAL)
    clear: In(1)
    pass_partial: In(1)

    partial: Out(_PARTIAL)
    coming: Out(_PARTIAL)
    result: Out(signed(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        largest = self.partial[:8].as_signed()
        m.d.comb += self.result.eq(Mux((self.step.first | (self.value > largest)) & ~self.pass_partial, self.value, largest))
        m.d.comb += self.coming.eq(Mux(self.shift, self.following, self.partial + self.value))
        with m.If(self.shift | (self.stepping & self.step.sum)):
            m.d.sync += self.partial.eq(self.coming)
        with m.Elif(self.stepping):
            m.d.sync += self.partial[:8].eq(Mux(self.step.fetch, self.line, self.result))
        with m.If(self.clear):
            m.d.sync += self.partial.eq(0)
        return m


class Pooling(wiring.Component):
    """Vectors of ``cols`` results in, the ones to write out, in the same cycle; those of unpooled instructions unchanged.

    A cycle ahead of its ``values``, ``valid`` announces a result; ``row_end``, ``block_end`` and ``end`` the last of a row, of a
    block and of the instruction; with them come the instruction's ``out_cols`` and ``window``, its ``factor`` with the values
    themselves. ``write`` and ``row_done`` tell the addresses' walker at once whether a vector is written with this result, and
    whether the row of windows is done. ``results`` are to be written in a cycle of ``result_valid``; ``done`` with an
    instruction's last one.

    The multiplier is in a block of ``target``. A mean is written ``mean_latency(cols)`` cycles after the last value of its
    sum would be. Until then no other value may come: ``fault`` says that one did. Windows of a maximum fill the rows and
    columns of results; those of one column have one row.
    """

    def __init__(self, cols: int, *, target: str = "generic") -> None:
        self._cols = cols
        self._target = target
        super().__init__({
            "valid": In(1),
            "row_end": In(1),
            "block_end": In(1),
            "end": In(1),
            "out_cols": In(COMPUTE["out_cols"].shape),
            "window": In(POOL_WINDOW),
            "factor": In(POOL_FACTOR),
            "values": In(data.ArrayLayout(signed(8), cols)),
            "write": Out(1),
            "row_done": Out(1),
            "results": Out(data.ArrayLayout(signed(8), cols)),
            "result_valid": Out(1),
            "done": Out(1),
            "fault": Out(1),
        })

    @staticmethod
    def mean_latency(cols: int) -> int:
        """Cycles from the last value of a sum to the write of the mean."""
        return cols + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walker = walker = PoolWalker()
        m.d.comb += [
            walker.valid.eq(self.valid),
            walker.row_end.eq(self.row_end),
            walker.block_end.eq(self.block_end),
            walker.out_cols.eq(self.out_cols),
            walker.window.eq(self.window),
            self.write.eq(walker.write),
            self.row_done.eq(walker.row_done),
        ]
        step = walker.step
        end = Signal()
        m.d.sync += end.eq(self.valid & self.end)

        # The next window's partial maximum is read a cycle before the last value ahead of the window takes its place. That
        # is never in the cycle of a write; a block RAM would need logic for both at once.
        m.submodules.line = line = memory.Memory(shape=8 * self._cols, depth=POOL_COLUMNS, init=[])
        read, write = line.read_port(), line.write_port()
        m.d.comb += [
            read.addr.eq(walker.next_index),
            read.en.eq(walker.fetch & ~write.en),
            write.addr.eq(step.index),
            write.data.eq(self.results),
            write.en.eq(walker.stepping & step.store),
        ]

        # A sum is complete: the columns' sums move down, the lowest one is divided, and the mean enters at the top.
        left = Signal(range(self._cols + 1))  # shifts, less one
        shifting, writing = Signal(), Signal()
        instruction_end = Signal()
        factor, coming_factor = Signal.like(self.factor), Signal.like(self.factor)
        m.submodules.multiplier = multiplier = wide_multiplier(self._target, _PARTIAL.width, len(factor.pool_multiplier) + 1)
        mean = Signal(signed(8))
        twice = ((multiplier.product[0] >> (POOL_SHIFT - 1)) >> factor.pool_shift)[:9].as_signed()
        m.d.comb += [mean.eq((twice + 1) >> 1), coming_factor.eq(factor)]
        m.d.sync += [factor.eq(coming_factor), writing.eq(0), self.result_valid.eq(walker.valid & walker.write)]
        with m.If(walker.stepping & step.last_of_sum):
            m.d.comb += coming_factor.eq(self.factor)
            m.d.sync += [left.eq(self._cols), shifting.eq(1), instruction_end.eq(end)]
        with m.Elif(shifting):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.sync += [shifting.eq(0), writing.eq(1), self.result_valid.eq(1)]

        lanes = []
        for col in range(self._cols):
            m.submodules[f"lane_{col}"] = lane = PoolLane()
            m.d.comb += [
                lane.value.eq(self.values[col]),
                lane.stepping.eq(walker.stepping),
                lane.step.eq(step),
                lane.line.eq(read.data.word_select(col, 8)),
                lane.shift.eq(shifting),
                lane.clear.eq(walker.begin_sum),
                lane.pass_partial.eq(writing),
                self.results[col].eq(lane.result),
            ]
            lanes.append(lane)
        for lower, upper in pairwise(lanes):
            m.d.comb += lower.following.eq(upper.partial)
        m.d.comb += lanes[-1].following.eq(mean)
        # The multiplier's own registers hold the operands in the cycle in which `partial` and `factor` do.
        m.d.comb += [multiplier.a[0].eq(lanes[0].coming), multiplier.b[0].eq(coming_factor.pool_multiplier)]

        m.d.comb += [
            self.done.eq((end & ~step.last_of_sum) | (writing & instruction_end)),
            self.fault.eq(walker.stepping & (shifting | writing)),
        ]
        return m
