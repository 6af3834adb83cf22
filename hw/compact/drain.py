"""The way of a block's finished sums through the post-processor into the activation memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .fields import ADDRESS_BITS, FIELDS
from .postprocess import LATENCY

__all__ = ["Drain"]


class Drain(wiring.Component):
    """From ``begin`` on, for as long as it is ``busy``: entry after entry of the accumulator to the lanes, every ``period``
    cycles, more than `written` + 1; each result is written one period and `written` + 2 cycles after ``begin``, the next one a
    period later. In a cycle of ``write`` the result goes to ``address``.
    """

    def __init__(self, *, depth: int, lanes: int):
        self._lanes = lanes
        super().__init__({
            "fields": In(FIELDS),
            "begin": In(1),
            "period": In(6),
            "busy": Out(1),
            "entry": Out(range(depth)),
            "lane": Out(range(lanes)),
            "start": Out(1),
            "write": Out(1),
            "address": Out(ADDRESS_BITS + 2),
        })

    @staticmethod
    def written(lanes: int) -> int:
        """Cycles from the start of the first lane to the write of what was in them."""
        return lanes - 1 + LATENCY

    def elaborate(self, platform):
        m = Module()
        f = self.fields
        lanes = self._lanes
        phase = Signal(6)
        working = Signal()
        behind_first = Signal()  # there is a result to write
        row, step = Signal(ADDRESS_BITS, reset_less=True), Signal(ADDRESS_BITS, reset_less=True)
        bank = Signal(2, reset_less=True)
        rows, cols = Signal(8), Signal(8)
        m.d.comb += [
            self.address.eq(Cat(step, bank)),
            self.lane.eq(phase),
            self.start.eq(working & (phase < lanes)),
            self.write.eq(working & behind_first & (phase == self.written(lanes))),
        ]
        with m.If(self.busy):
            m.d.sync += [working.eq(1), phase.eq(phase + 1)]
            with m.If(~working | (phase == self.period - 1)):
                m.d.sync += phase.eq(0)
            with m.If(working & (phase == lanes)):
                m.d.sync += self.entry.eq(self.entry + 1)
            with m.If(working & (phase == self.period - 1)):
                m.d.sync += behind_first.eq(1)
        with m.If(self.write):
            m.d.sync += [step.eq(step + f.out_x_step), cols.eq(cols - 1)]
            with m.If(cols == 1):
                lower = row + Mux(bank == 3, f.out_row_step, 0)
                m.d.sync += [step.eq(lower), row.eq(lower), bank.eq(bank + 1), cols.eq(f.out_cols), rows.eq(rows - 1)]
                with m.If(rows == 1):
                    m.d.sync += [self.busy.eq(0), working.eq(0)]
        with m.If(self.begin):
            m.d.sync += [
                self.busy.eq(1), self.entry.eq(0), behind_first.eq(0),
                step.eq(f.out_address), row.eq(f.out_address), bank.eq(f.out_bank), rows.eq(f.out_rows), cols.eq(f.out_cols),
            ]  # fmt: skip
        return m
