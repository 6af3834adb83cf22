"""Where results go: unit addresses, one per result, in the order in which results come."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .isa import COMPUTE

__all__ = ["WriteWalker"]


class WriteWalker(wiring.Component):
    """Unit addresses of results in order: output columns, rows, then blocks ``block_units`` apart.

    Each ``valid`` result is at ``bank`` and ``address`` a cycle later. ``first`` marks an instruction's first result,
    ``block_end`` the last of a block; ``out_*`` are the instruction's. ``row_end`` says that a result is the last of its row.
    With ``pooling``, ``write`` says whether it goes with a pixel of the output, ``row_done`` whether its row is the last one of
    a row of the output.
    """

    FIELDS = ("out_cols", "out_address", "out_bank", "out_row_step", "out_x_step")

    def __init__(self, block_units: int, *, pooling: bool) -> None:
        self._block_units = block_units
        self._pooling = pooling
        pooled = {"write": In(1), "row_done": In(1)}
        super().__init__({
            "valid": In(1),
            "first": In(1),
            "block_end": In(1),
            **{name: In(COMPUTE[name].shape) for name in self.FIELDS},
            **(pooled if pooling else {}),
            "row_end": Out(1),
            "bank": Out(2),
            "address": Out(16),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        place = data.StructLayout({"block": 16, "row": 16, "pixel": 16, "bank": 2, "left": self.out_cols.shape()})
        now, after = Signal(place), Signal(place)
        m.d.comb += now.eq(after)
        with m.If(self.first):
            m.d.comb += [
                now.block.eq(self.out_address),
                now.row.eq(self.out_address),
                now.pixel.eq(self.out_address),
                now.bank.eq(self.out_bank),
                now.left.eq(self.out_cols),
            ]

        next_block = (now.block + self._block_units)[:16]
        next_row = (now.row + Mux(now.bank == 3, self.out_row_step, 0))[:16]
        write, row_done = (self.write, self.row_done) if self._pooling else (1, 1)
        m.d.comb += self.row_end.eq(now.left == 1)
        with m.If(self.valid):
            m.d.sync += [
                self.bank.eq(now.bank),
                self.address.eq(now.pixel),
                after.eq(now),
                after.pixel.eq(now.pixel + Mux(write, self.out_x_step, 0)),
                after.left.eq(now.left - 1),
            ]
            with m.If(self.block_end):
                m.d.sync += [
                    after.block.eq(next_block),
                    after.row.eq(next_block),
                    after.pixel.eq(next_block),
                    after.bank.eq(self.out_bank),
                    after.left.eq(self.out_cols),
                ]
            with m.Elif(self.row_end):
                m.d.sync += [
                    after.row.eq(Mux(row_done, next_row, now.row)),
                    after.pixel.eq(Mux(row_done, next_row, now.row)),
                    after.bank.eq(now.bank + row_done),
                    after.left.eq(self.out_cols),
                ]
        return m
