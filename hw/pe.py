"""The processing element: one weight, one product per cycle, one row of a column's sum; its multiplier stands beside it."""

import itertools

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register
from .multiplier import Multiplier

__all__ = ["ProcessingElement", "row_layout"]


def row_layout(groups: int) -> data.StructLayout:
    """What travels right along a row: the datum, the swap flag, and whether to take pixel bus ``group`` in the datum's place."""
    fields = {"data": signed(8), "swap": 1}
    if groups:
        fields |= {"pixel": 1, "group": range(groups)}
    return data.StructLayout(fields)


class ProcessingElement(wiring.Component):
    """``sum_o`` = ``sum_i`` + weight x operand, where the operand of cycle t meets the ``sum_i`` of cycle t + LATENCY - 1.

    ``shift`` moves ``weight_i`` into the shadow register and the shadow's old value on to ``weight_o``. ``row_i.swap``
    makes the shadow the active weight, from the operand that comes with it on. ``pixels`` are the ``groups`` (0, or 2
    to 4) pixel buses of the column; without groups there is neither bus nor multiplexer. ``operand`` and ``active`` go to
    a `Multiplier`, ``product`` comes from it.
    """

    LATENCY = 2 + Multiplier.LATENCY

    def __init__(self, *, groups: int, sum_width: int):
        self._groups = groups
        ports = {
            "row_i": In(row_layout(groups)),
            "row_o": Out(row_layout(groups)),
            "shift_i": In(1),
            "shift_o": Out(1),
            "weight_i": In(signed(8)),
            "weight_o": Out(signed(8)),
            "sum_i": In(signed(sum_width)),
            "sum_o": Out(signed(sum_width)),
            "operand": Out(signed(8)),
            "active": Out(signed(8)),
            "product": In(signed(16)),
        }
        if groups:
            ports["pixels"] = In(data.ArrayLayout(signed(8), groups))
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        # Without reset: what is under way moves as fast as what comes behind it, and so never meets it.
        row = data_register(m, self.row_o, "row")
        shift = data_register(m, self.shift_o, "shift")
        weight = data_register(m, self.weight_o, "weight")
        total = data_register(m, self.sum_o, "sum")
        active = data_register(m, self.active, "active_weight")
        taken = data_register(m, self.operand, "operand_taken")
        m.d.sync += [
            row.eq(self.row_i),
            shift.eq(self.shift_i),
            total.eq(self.sum_i + self.product),
        ]
        with m.If(self.shift_i):
            m.d.sync += weight.eq(self.weight_i)
        with m.If(self.row_i.swap):
            m.d.sync += active.eq(weight)

        operand = self.row_i.data
        if self._groups:
            # As a tree: a switch over five operands takes three times the logic.
            buses = [*self.pixels]
            for bit in self.row_i.group:
                pairs = itertools.zip_longest(buses[::2], buses[1::2])
                buses = [even if odd is None else Mux(bit, odd, even) for even, odd in pairs]
            operand = Mux(self.row_i.pixel, buses[0], operand)
        m.d.sync += taken.eq(operand)
        return m
