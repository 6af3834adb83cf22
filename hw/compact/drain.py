"""The way of a block's finished sums through the post-processor into the activation memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..requant import RequantLane
from ..skew import Delay
from .fields import ADDRESS_BITS, FIELDS
from .postprocess import LATENCY

__all__ = ["ParallelDrain", "SerialDrain"]


def _signature(depth: int, **own: wiring.Member) -> dict[str, wiring.Member]:
    return {
        "fields": In(FIELDS),
        "begin": In(1),
        **own,
        "busy": Out(1),
        "entry": Out(range(depth)),
        "write": Out(1),
        "address": Out(ADDRESS_BITS + 2),
    }


class SerialDrain(wiring.Component):
    """From ``begin`` on, for as long as it is ``busy``: entry after entry of the accumulator to the lanes, every ``period``
    cycles, more than `written` + 1; each result is written one period and `written` + 2 cycles after ``begin``, the next one a
    period later. In a cycle of ``write`` the result goes to ``address``.
    """

    def __init__(self, *, depth: int, lanes: int):
        self._lanes = lanes
        super().__init__(_signature(depth, period=In(6), lane=Out(range(lanes)), start=Out(1)))

    @staticmethod
    def written(lanes: int) -> int:
        """Cycles from the start of the first lane to the write of what was in them."""
        return lanes - 1 + LATENCY

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        m.submodules.walker = walker = ResultWalker()
        phase = Signal(6)
        working = Signal()
        behind_first = Signal()  # there is a result to write
        m.d.comb += [
            walker.fields.eq(self.fields),
            walker.begin.eq(self.begin),
            walker.write.eq(self.write),
            self.address.eq(walker.address),
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
        with m.If(walker.ends):
            m.d.sync += [self.busy.eq(0), working.eq(0)]
        with m.If(self.begin):
            m.d.sync += [self.busy.eq(1), self.entry.eq(0), behind_first.eq(0)]
        return m


class ParallelDrain(wiring.Component):
    """From ``begin`` on, for as long as it is ``busy``: entry after entry of the accumulator, each for ``parts`` cycles.

    An entry's sums are at the lanes, part by part, from 2 cycles behind the first of its own on: ``part`` says which. The first
    result is written `written` cycles after ``begin``, the next one ``parts`` later, each to ``address`` in a cycle of ``write``.
    """

    def __init__(self, *, depth: int, parts: int):
        self._parts = parts
        super().__init__(_signature(depth, part=Out(range(parts))))

    @staticmethod
    def written(parts: int) -> int:
        """Cycles from ``begin`` to the first write."""
        return 3 + parts - 1 + RequantLane.LATENCY

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = ResultWalker()
        part = Signal.like(self.part)  # of the entry
        coming = Signal(self.written(self._parts) - 1)  # bit n: a result that is written in n cycles
        last_part = part == self._parts - 1
        m.d.comb += [
            walker.fields.eq(self.fields),
            walker.begin.eq(self.begin),
            walker.write.eq(self.write),
            self.address.eq(walker.address),
            self.write.eq(coming[0]),
        ]
        m.submodules.part_delay = delay = Delay(part.shape(), 2)
        m.d.comb += [delay.i.eq(part), self.part.eq(delay.o)]
        with m.If(self.busy):
            m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), self.entry.eq(self.entry + last_part)]
            m.d.sync += coming.eq(Cat(coming[1:], part == 0))
        with m.If(walker.ends | self.begin):
            m.d.sync += [self.busy.eq(self.begin), self.entry.eq(0), part.eq(0), coming.eq(0)]
        return m


class ResultWalker(wiring.Component):
    """The places of a block's results, row by row: ``address`` is that of the next one, which gets there in a cycle of ``write``.

    ``begin`` takes the instruction's ``fields``; ``ends`` says that it is the block's last one.
    """

    fields: In(FIELDS)
    begin: In(1)
    write: In(1)
    address: Out(ADDRESS_BITS + 2)
    ends: Out(1)

    def elaborate(self, platform):
        m = Module()
        f = self.fields
        row, step = Signal(ADDRESS_BITS, reset_less=True), Signal(ADDRESS_BITS, reset_less=True)
        bank = Signal(2, reset_less=True)
        rows, cols = Signal(8), Signal(8)
        m.d.comb += [self.address.eq(Cat(step, bank)), self.ends.eq(self.write & (cols == 1) & (rows == 1))]
        with m.If(self.write):
            m.d.sync += [step.eq(step + f.out_x_step), cols.eq(cols - 1)]
            with m.If(cols == 1):
                lower = row + Mux(bank == 3, f.out_row_step, 0)
                m.d.sync += [step.eq(lower), row.eq(lower), bank.eq(bank + 1), cols.eq(f.out_cols), rows.eq(rows - 1)]
        with m.If(self.begin):
            m.d.sync += [
                step.eq(f.out_address), row.eq(f.out_address), bank.eq(f.out_bank), rows.eq(f.out_rows), cols.eq(f.out_cols),
            ]  # fmt: skip
        return m
