"""The loops of a block: its passes, and in each a step for every output pixel."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..isa import Mode
from .fields import ADDRESS_BITS, FIELDS

__all__ = ["Walker"]


class Walker(wiring.Component):
    """Walks over a block from the cycle after ``begin`` to that of ``done``: kernel rows, kernel columns, input channel
    blocks; output rows, output columns.

    A pass's first step waits for its ``tile``, every step for a cycle without ``stall``. In a cycle of ``step``, the bytes at
    ``address`` (bank in the high bits) are the step's, or ``pad`` if ``outside``; ``start`` says that it is the first of its
    pass, ``first`` that the pass is the block's first, ``more`` that it is not the last. Between ``begin`` and the first step are
    `BEFORE` cycles, between two passes `BETWEEN`.
    """

    BEFORE = 1
    BETWEEN = 2

    fields: In(FIELDS)
    begin: In(1)
    tile: In(1)
    stall: In(1)
    step: Out(1)
    start: Out(1)
    first: Out(1)
    more: Out(1)
    outside: Out(1)
    address: Out(ADDRESS_BITS + 2)
    done: Out(1)

    def elaborate(self, platform):
        m = Module()
        f = self.fields
        # Of the kernel row, of the kernel column, of the pass; of the output row and of the step.
        row_tap, column_tap, of_pass, of_row, of_step = (
            Signal(ADDRESS_BITS, name=f"address_{name}", reset_less=True) for name in ("ty", "tx", "pass", "row", "step")
        )
        bank_tap, bank = Signal(2, reset_less=True), Signal(2, reset_less=True)
        y_tap, y = Signal(9, reset_less=True), Signal(9, reset_less=True)
        x_tap, x = Signal(9, reset_less=True), Signal(9, reset_less=True)
        ty, tx, channel, out_row, out_col = (Signal(8, name=f"{name}_left") for name in ("ty", "tx", "ch", "row", "col"))
        fresh = Signal()  # the pass has no step yet
        m.d.comb += [
            self.address.eq(Cat(of_step, bank)),
            self.outside.eq((y >= f.height) | (x >= f.width)),
            self.start.eq(fresh),
            self.more.eq((ty != 1) | (tx != 1) | (channel != 1)),
        ]
        # A pixel apart in depthwise mode, an output pixel apart in dense mode.
        doubled = (f.mode == Mode.DEPTHWISE.value) & f.stride_x[1]
        step_size = Signal(ADDRESS_BITS)
        m.d.comb += step_size.eq(Mux(doubled, f.x_step << 1, f.x_step))
        down, tap_down = Signal(3), Signal(3)
        m.d.comb += [down.eq(bank + f.stride_y), tap_down.eq(bank_tap + f.tap_y_rows)]
        lower = Signal(ADDRESS_BITS)
        m.d.comb += lower.eq(of_row + Mux(down[2], f.row_step, 0))

        with m.FSM(name="walker"):
            with m.State("IDLE"), m.If(self.begin):
                m.d.sync += [
                    row_tap.eq(f.address), column_tap.eq(f.address), of_pass.eq(f.address), bank_tap.eq(f.bank),
                    y_tap.eq(f.y), x_tap.eq(f.x),
                    ty.eq(f.taps_y), tx.eq(f.taps_x), channel.eq(f.channels), self.first.eq(1),
                ]  # fmt: skip
                m.next = "LOAD"
            with m.State("NEXT"):
                self._next_pass(m, (ty, tx, channel), (row_tap, column_tap, of_pass), (bank_tap, tap_down), (y_tap, x_tap))
                m.d.sync += self.first.eq(0)
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [
                    of_row.eq(of_pass), of_step.eq(of_pass), bank.eq(bank_tap), y.eq(y_tap), x.eq(x_tap),
                    out_row.eq(f.out_rows), out_col.eq(f.out_cols), fresh.eq(1),
                ]  # fmt: skip
                m.next = "STEP"
            with m.State("STEP"):
                m.d.comb += self.step.eq(~self.stall & (self.tile | ~fresh))
                with m.If(self.step):
                    m.d.sync += [
                        fresh.eq(0),
                        of_step.eq(of_step + step_size),
                        x.eq(x + f.stride_x),
                        out_col.eq(out_col - 1),
                    ]
                    with m.If(out_col == 1):
                        m.d.sync += [
                            of_step.eq(lower), of_row.eq(lower), bank.eq(down), y.eq(y + f.stride_y), x.eq(x_tap),
                            out_col.eq(f.out_cols), out_row.eq(out_row - 1),
                        ]  # fmt: skip
                        with m.If(out_row == 1):
                            m.next = "NEXT"
                            with m.If(~self.more):
                                m.d.comb += self.done.eq(1)
                                m.next = "IDLE"
        return m

    def _next_pass(self, m, left, addresses, banks, position) -> None:
        f = self.fields
        ty, tx, channel = left
        row_tap, column_tap, of_pass = addresses
        bank_tap, down = banks
        y_tap, x_tap = position
        m.d.sync += [channel.eq(channel - 1), of_pass.eq(of_pass + 1)]
        with m.If(channel == 1):
            right = column_tap + f.tap_x_step
            m.d.sync += [channel.eq(f.channels), tx.eq(tx - 1), column_tap.eq(right), of_pass.eq(right)]
            m.d.sync += x_tap.eq(x_tap + f.tap_x_cols)
            with m.If(tx == 1):
                lower = row_tap + Mux(down[2], f.row_step, 0)
                m.d.sync += [
                    tx.eq(f.taps_x), ty.eq(ty - 1), row_tap.eq(lower), column_tap.eq(lower), of_pass.eq(lower),
                    bank_tap.eq(down), y_tap.eq(y_tap + f.tap_y_rows), x_tap.eq(f.x),
                ]  # fmt: skip
