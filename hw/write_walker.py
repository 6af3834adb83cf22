"""Where results go: unit addresses, one per result, in the order in which results come."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .isa import COMPUTE

__all__ = ["WriteWalker"]


class WriteWalker(wiring.Component):
    """Unit addresses of results in order: output columns, rows, then blocks ``block_units`` apart.

    Each ``valid`` result is at ``bank`` and ``address`` a cycle later. ``row_end`` says that it is the last of its row,
    ``block_end`` that it is the last of a block. In the cycle before an instruction's first result, ``begin`` comes with the
    fields ``START`` of the instruction; its fields ``STEPS`` come with each result. ``cols`` is the results in a row.
    With ``pooling``, ``write`` says whether a result goes with a pixel of the output, ``row_done`` whether its row is the last
    one of a row of the output.
    """

    START = ("out_cols", "out_address", "out_bank")
    STEPS = ("out_row_step", "out_x_step")

    def __init__(self, block_units: int, *, pooling: bool) -> None:
        self._block_units = block_units
        self._pooling = pooling
        pooled = {"write": In(1), "row_done": In(1)}
        super().__init__({
            "begin": In(1),
            "valid": In(1),
            "block_end": In(1),
            **{name: In(COMPUTE[name].shape) for name in self.START + self.STEPS},
            **(pooled if pooling else {}),
            "row_end": Out(1),
            "cols": Out(COMPUTE["out_cols"].shape),
            "bank": Out(2),
            "address": Out(16),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # The next result's place, and the instruction's first bank.
        block, row, pixel = (Signal(16, name=name) for name in ("block", "row", "pixel"))
        bank, first_bank = Signal(2), Signal(2)
        left = Signal.like(self.cols)
        single = Signal()  # one result in a row

        next_block = (block + self._block_units)[:16]
        next_row = (row + Mux(bank == 3, self.out_row_step, 0))[:16]
        write, row_done = (self.write, self.row_done) if self._pooling else (C(1), C(1))
        with m.If(self.valid):
            m.d.sync += [self.bank.eq(bank), self.address.eq(pixel), left.eq(left - 1), self.row_end.eq(left == 2)]
            with m.If(write):
                m.d.sync += pixel.eq(pixel + self.out_x_step)
            with m.If(self.row_end):
                m.d.sync += [pixel.eq(row), left.eq(self.cols), self.row_end.eq(single)]
                with m.If(row_done):
                    m.d.sync += [row.eq(next_row), pixel.eq(next_row), bank.eq(bank + 1)]
            with m.If(self.block_end):
                m.d.sync += [*(start.eq(next_block) for start in (block, row, pixel)), bank.eq(first_bank)]
        with m.If(self.begin):
            one = self.out_cols == 1
            m.d.sync += [
                *(start.eq(self.out_address) for start in (block, row, pixel)),
                *(start.eq(self.out_bank) for start in (bank, first_bank)),
                *(start.eq(self.out_cols) for start in (left, self.cols)),
                *(flag.eq(one) for flag in (self.row_end, single)),
            ]
        return m
