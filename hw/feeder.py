"""The feeder: from the scratchpad's words to a wave on the array's rows and pixel buses."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .isa import Mode
from .pe import row_layout
from .scratchpad import Scratchpad
from .skew import Delay

__all__ = ["LEAD_LIMIT", "Feeder", "step_layout"]

LEAD_LIMIT = 15
"""Most cycles that pixels may lag behind their wave."""


def step_layout(rows: int, units: int, ports: int) -> data.StructLayout:
    """A step, as the sequencer issues it together with its reads."""
    return data.StructLayout({
        "swap": 1,  # the first wave of a pass: take the next weights
        "mode": Mode,
        "rows": range(rows + 1),  # array rows in use
        "sub": range(units),  # dense: sub-vector that the rows read; depthwise: that the columns read
        "inside": ports,  # dense: bit 0, the tap lies inside; depthwise: per group, its image row does
        "pad": signed(8),
        "x": signed(13),  # depthwise: image column of the wave's first tap
        "width": 12,  # of the image
        "group": range(rows + 1),  # array rows that share a pixel bus
        "groups": range(ports + 1),
        "lead": range(LEAD_LIMIT + 1),
        "pixel": 1,  # depthwise: the step's pixel lies inside the image's columns
    })


class Feeder(wiring.Component):
    """Turns ``words``, read for ``step``, into ``lanes`` and ``pixels``.

    ``words[p]`` is port p's word, Scratchpad.LATENCY cycles after its step. The wave leaves LATENCY cycles after its step; its
    pixels of group g a further lead + g * group cycles later.
    """

    LATENCY = Scratchpad.LATENCY + 2

    def __init__(self, *, rows: int, cols: int, ports: int, groups: int):
        self._rows = rows
        self._cols = cols
        self._ports = ports
        self._groups = groups
        self._vector = max(rows, cols)
        units = self._vector // min(rows, cols)
        members = {
            "step": In(step_layout(rows, units, ports)),
            "words": In(8 * self._vector).array(ports),
            "lanes": Out(data.ArrayLayout(row_layout(groups), rows)),
        }
        if groups:
            members["pixels"] = Out(data.ArrayLayout(data.ArrayLayout(signed(8), cols), groups))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        step_shape = self.step.shape()
        m.submodules.read_delay = read_delay = Delay(step_shape, Scratchpad.LATENCY)
        m.d.comb += read_delay.i.eq(self.step)
        step = read_delay.o

        lanes = Signal(self.lanes.shape())  # one cycle early
        m.d.sync += self.lanes.eq(lanes)
        word = data.View(data.ArrayLayout(data.ArrayLayout(signed(8), self._rows), self._vector // self._rows), self.words[0])
        row_bytes = word[step.sub] if self._vector > self._rows else word[0]
        used = Signal(self._rows)
        for r in range(self._rows):
            m.d.comb += used[r].eq(r < step.rows)
            m.d.sync += [
                lanes[r].swap.eq(step.swap),
                lanes[r].data.eq(Mux(used[r], Mux((step.mode == Mode.DENSE) & step.inside[0], row_bytes[r], step.pad), 0)),
            ]
        if self._groups:
            self._choose_operands(m, step, lanes, used)
            self._delay_pixels(m, step)
        return m

    def _choose_operands(self, m, step, lanes, used):
        """Row r takes its group's pixel unless the tap lies outside the image."""
        kernel_column = Array(Signal(range(self._rows), name=f"kernel_column_{r}") for r in range(self._rows))
        kernel_row = Array(Signal(range(self._groups), name=f"kernel_row_{r}") for r in range(self._rows))
        with m.Switch(step.group):
            for group in range(1, self._rows + 1):
                with m.Case(group):
                    for r in range(min(self._rows, group * self._groups)):
                        m.d.comb += [kernel_column[r].eq(r % group), kernel_row[r].eq(r // group)]
        first = Signal(signed(14))  # kernel columns first .. limit - 1 lie inside
        limit = Signal(signed(14))
        m.d.comb += [first.eq(-step.x), limit.eq(step.width - step.x)]
        for r in range(self._rows):
            taken = Signal(name=f"taken_{r}")
            m.d.comb += taken.eq(
                (step.mode == Mode.DEPTHWISE)
                & used[r]
                & (kernel_column[r] >= first)
                & (kernel_column[r] < limit)
                & step.inside.bit_select(kernel_row[r], 1)
            )
            m.d.sync += lanes[r].select.eq(Mux(taken, kernel_row[r] + 1, 0))

    def _delay_pixels(self, m, step):
        """One ring per pixel bus: a pixel is written to the place that is read when its cycle has come."""
        depth = 1 << ceil_log2(LEAD_LIMIT + self._rows + 1)
        now = Signal(range(depth))
        m.d.sync += now.eq(now + 1)
        block = data.ArrayLayout(signed(8), self._cols)
        blocks = self._vector // self._cols
        for group in range(self._groups):
            m.submodules[f"pixel_ring_{group}"] = ring = memory.Memory(shape=unsigned(8 * self._cols), depth=depth, init=[])
            write = ring.write_port()
            read = ring.read_port()
            word = data.View(data.ArrayLayout(block, blocks), self.words[group])
            distance = step.lead + group * step.group
            m.d.comb += [
                write.addr.eq(now + distance + 1),
                write.data.eq(word[step.sub] if blocks > 1 else word[0]),
                write.en.eq((step.mode == Mode.DEPTHWISE) & step.pixel & step.inside[group] & (group < step.groups)),
                read.addr.eq(now),
                read.en.eq(1),
                self.pixels[group].eq(read.data),
            ]
