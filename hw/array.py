"""The systolic array: rows reduce, columns make output channels, everything travels with the wavefront."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .multiplier_target import array_multipliers
from .pe import ProcessingElement, row_layout
from .skew import Skew

__all__ = ["SystolicArray"]


class SystolicArray(wiring.Component):
    """A weight-stationary array of ``rows`` x ``cols`` processing elements, with the skew on all its sides.

    All ports are aligned in time: the wave that enters through ``lanes`` in cycle t leaves as ``sums`` in cycle t +
    ``latency``. ``lanes[r]`` is the datum, swap flag and operand choice of row r; ``pixels[g][c]`` is what pixel bus g shows
    to column c. Row r meets a bus r cycles after the wave entered.

    ``weights`` (one byte per column) enter the shadow registers of the rows in ``shift``: row 0 takes them, every other row
    takes what the row above held. A ``swap`` may come in the same cycle as the first vector of the next tile.

    ``blocks`` of the products are in multiplier blocks of ``target``, the others in its logic.
    """

    def __init__(self, *, rows: int, cols: int, groups: int, target: str = "generic", blocks: int = 0):
        self._target = target
        self._blocks = blocks
        self.rows = rows
        self.cols = cols
        self.groups = groups
        self.sum_width = 16 + exact_log2(rows)
        ports = {
            "lanes": In(data.ArrayLayout(row_layout(groups), rows)),
            "weights": In(data.ArrayLayout(signed(8), cols)),
            "shift": In(rows),
            "sums": Out(data.ArrayLayout(signed(self.sum_width), cols)),
        }
        if groups:
            ports["pixels"] = In(data.ArrayLayout(data.ArrayLayout(signed(8), cols), groups))
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from a wave to its sums."""
        return self.rows + self.cols - 2 + ProcessingElement.LATENCY

    def elaborate(self, platform):
        m = Module()
        m.submodules.row_skew = row_skew = Skew(row_layout(self.groups), self.rows)
        m.submodules.weight_skew = weight_skew = Skew(signed(8), self.cols)
        m.submodules.sum_skew = sum_skew = Skew(signed(self.sum_width), self.cols, falling=True)
        m.d.comb += [
            row_skew.i.eq(self.lanes),
            weight_skew.i.eq(self.weights),
            self.sums.eq(sum_skew.o),
        ]
        pixel_skews = []
        for group in range(self.groups):
            m.submodules[f"pixel_skew_{group}"] = skew = Skew(signed(8), self.cols)
            m.d.comb += skew.i.eq(self.pixels[group])
            pixel_skews.append(skew)

        elements = []
        above = [None] * self.cols
        for r in range(self.rows):
            left = None
            for c in range(self.cols):
                pe = ProcessingElement(groups=self.groups, sum_width=self.sum_width)
                m.submodules[f"pe_{r}_{c}"] = pe
                m.d.comb += [
                    pe.row_i.eq(left.row_o if left else row_skew.o[r]),
                    pe.shift_i.eq(left.shift_o if left else self.shift[r]),
                    pe.weight_i.eq(above[c].weight_o if above[c] else weight_skew.o[c]),
                    pe.sum_i.eq(above[c].sum_o if above[c] else 0),
                ]
                m.d.comb += [pe.pixels[group].eq(skew.o[c]) for group, skew in enumerate(pixel_skews)]
                above[c] = left = pe
                elements.append(pe)
        m.d.comb += [sum_skew.i[c].eq(pe.sum_o) for c, pe in enumerate(above)]

        for multiplier, products in array_multipliers(self._target, len(elements), self._blocks):
            r, c = divmod(products[0], self.cols)
            m.submodules[f"multiplier_{r}_{c}"] = multiplier
            for n, product in enumerate(products):
                pe = elements[product]
                m.d.comb += [
                    multiplier.a[n].eq(pe.operand),
                    multiplier.b[n].eq(pe.active),
                    pe.product.eq(multiplier.product[n]),
                ]
        return m
