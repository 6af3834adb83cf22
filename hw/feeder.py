"""The feeder: from the scratchpad's words to a wave on the array's rows and pixel buses."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from .data_register import data_register
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
        "inside": ports,  # dense: bit 0, the tap lies inside; otherwise, per port, its image row does
        "pad": signed(8),
        "x": signed(13),  # depthwise and packed: column or byte of the wave's first tap
        "width": 12,  # of the image
        # Depthwise and packed: the kernel column of array row 0 if it were in kernel row n. In the first one that is 0 but in
        # packed mode, where earlier passes may have taken some taps of that row.
        "bases": data.ArrayLayout(signed(9), ports),
        "reached": data.ArrayLayout(rows, ports - 1),  # for kernel rows from 1 on, the array rows that this makes 0 or more
        "groups": range(ports + 1),  # depthwise: pixel buses in use
        "lead": range(LEAD_LIMIT + 1),
        "pixel": 1,  # depthwise: there is a step, and its pixel lies inside the image's columns
        "window": 1,  # packed: the ports read
        "fresh": 1,  # packed: they read another vector than before
    })


class Feeder(wiring.Component):
    """Turns ``words``, read for ``step``, into ``lanes`` and ``pixels``.

    ``words[p]`` is port p's word, Scratchpad.LATENCY cycles after its step. The wave leaves LATENCY cycles after its step; its
    pixels of group g a further lead + g * group cycles later. Without ``groups`` there are no pixel buses, without ``packed``
    no gathering of bytes.
    """

    LATENCY = Scratchpad.LATENCY + 2

    def __init__(self, *, rows: int, cols: int, ports: int, groups: int, packed: bool):
        self._rows = rows
        self._cols = cols
        self._ports = ports
        self._groups = groups
        self._packed = packed
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
        # While the memory reads, what depends on the step alone is worked out: `asked` is a cycle ahead of the words, `early`
        # two cycles.
        m.submodules.step_delay = step_delay = Delay(self.step.shape(), Scratchpad.LATENCY - 2)
        early = step_delay.o
        asked, step = (Signal.like(self.step, name=name) for name in ("asked", "answered"))
        m.d.comb += step_delay.i.eq(self.step)
        m.d.sync += [asked.eq(early), step.eq(asked)]

        # First cycle: a datum for each row, in dense mode; otherwise the pad that stands in for taps outside the image.
        blocks = data.ArrayLayout(data.ArrayLayout(signed(8), self._rows), self._vector // self._rows)
        word = data.View(blocks, self.words[0])
        row_bytes = word[step.sub] if len(word) > 1 else word[0]
        dense = Signal()
        m.d.comb += dense.eq((step.mode == Mode.DENSE) & step.inside[0])
        lanes = Signal(self.lanes.shape(), reset_less=True)
        used = Signal(self._rows, reset_less=True)
        for r in range(self._rows):
            m.d.sync += [
                used[r].eq(r < asked.rows),
                lanes[r].swap.eq(step.swap),
                lanes[r].data.eq(Mux(used[r], Mux(dense, row_bytes[r], step.pad), 0)),
            ]

        # Second cycle: taps inside the image take their pixel or byte instead.
        out = data_register(m, self.lanes, "out")
        m.d.sync += out.eq(lanes)
        if self._groups or self._packed:
            taken, kernel_row = self._place_taps(m, early, step, used)
        if self._groups:
            depthwise = Signal()
            m.d.sync += depthwise.eq(step.mode == Mode.DEPTHWISE)
            for r in range(self._rows):
                m.d.sync += [out[r].pixel.eq(depthwise & taken[r]), out[r].group.eq(kernel_row[r])]
            self._delay_pixels(m, asked, step)
        if self._packed:
            packed = Signal()
            m.d.sync += packed.eq(step.mode == Mode.PACKED)
            windows = self._gather(m, asked, step)
            for r in range(self._rows):
                with m.If(packed & taken[r]):
                    m.d.sync += out[r].data.eq(Array(window[r] for window in windows)[kernel_row[r]])
        return m

    def _place_taps(self, m, early, step, used):
        """For each array row, a cycle after ``step``: whether its tap lies inside the image, and its kernel row in the pass.

        ``early`` is two cycles ahead of ``step``.
        """
        first = Signal(signed(14), reset_less=True)  # columns first .. limit - 1 of the kernel lie inside
        limit = Signal(signed(14), reset_less=True)
        m.d.sync += [first.eq(-early.x), limit.eq(early.width - early.x)]
        first_column, limit_column = self._column(m, "first", first), self._column(m, "limit", limit)
        taken = Signal(self._rows, reset_less=True)
        kernel_rows = []
        for r in range(self._rows):
            # It is in the last kernel row where its column is 0 or more, which is true of all rows before that.
            column = Signal(7, name=f"column_{r}", reset_less=True)
            base = Signal(signed(9), name=f"base_{r}", reset_less=True)
            reached_row = Signal(range(self._ports), name=f"reached_row_{r}", reset_less=True)
            row = Signal(range(self._ports), name=f"row_{r}", reset_less=True)
            nearest, number = early.bases[0], C(0)
            for n in range(1, self._ports):
                reached = early.reached[n - 1][r]
                nearest, number = Mux(reached, early.bases[n], nearest), Mux(reached, n, number)
            m.d.sync += [base.eq(nearest), reached_row.eq(number), column.eq(base + r), row.eq(reached_row)]
            kernel_row = Signal.like(row, name=f"kernel_row_{r}", reset_less=True)
            kernel_rows.append(kernel_row)
            m.d.sync += [
                kernel_row.eq(row),
                taken[r].eq(used[r] & (column >= first_column) & (column < limit_column) & step.inside.bit_select(row, 1)),
            ]
        return taken, kernel_rows

    @staticmethod
    def _column(m, name, bound):
        """``bound`` a cycle later, in the range of a column; the last value, which no column reaches, is for all beyond."""
        column = Signal(7, name=f"{name}_column", reset_less=True)
        m.d.sync += column.eq(bound)
        with m.If(bound < 0):
            m.d.sync += column.eq(0)
        with m.Elif(bound[7:].any()):
            m.d.sync += column.eq(~0)
        return column

    def _gather(self, m, asked, step):
        """For each port, a cycle after ``step``: the bytes from its row's window, so that each stands where its array row is.

        ``asked`` is a cycle ahead of ``step``.
        """
        vector = self._vector
        offset = asked.x[: exact_log2(vector)]
        recent = Signal(vector, reset_less=True)  # bytes of the word that was read, not of the one before
        m.d.sync += [recent[n].eq((offset == 0) | (n < offset)) for n in range(vector)]
        windows = []
        for p in range(self._ports):
            word = Signal(8 * vector, name=f"word_{p}")
            former = Signal(8 * vector, name=f"former_{p}", reset_less=True)
            kept = Signal(8 * vector, name=f"kept_{p}", reset_less=True)
            before = Signal(8 * vector, name=f"before_{p}")
            m.d.comb += [word.eq(self.words[p]), before.eq(Mux(step.fresh, former, kept))]
            with m.If(step.window):
                m.d.sync += [former.eq(word), kept.eq(before)]

            window = Signal(data.ArrayLayout(8, vector), name=f"window_{p}")
            for n in range(vector):
                source = Mux(recent[n], word.word_select(n, 8), before.word_select(n, 8))
                m.d.comb += window[n].eq(source)
            distance = Signal(exact_log2(vector), name=f"distance_{p}", reset_less=True)
            m.d.sync += distance.eq(asked.x + asked.bases[p])
            for level, bit in enumerate(distance):
                turned = Signal.like(window, name=f"turned_{p}_{level}")
                for n in range(vector):
                    m.d.comb += turned[n].eq(Mux(bit, window[(n + (1 << level)) % vector], window[n]))
                window = turned
            gathered = Signal(data.ArrayLayout(8, self._rows), name=f"gathered_{p}", reset_less=True)
            m.d.sync += [gathered[r].eq(window[r]) for r in range(self._rows)]
            windows.append(gathered)
        return windows

    def _delay_pixels(self, m, asked, step):
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
            place = Signal(range(depth), name=f"place_{group}", reset_less=True)
            wanted = Signal(name=f"wanted_{group}")
            m.d.sync += [
                place.eq(now + 2 + asked.lead - asked.bases[group]),
                wanted.eq((asked.mode == Mode.DEPTHWISE) & asked.pixel & asked.inside[group] & (group < asked.groups)),
            ]
            m.d.comb += [
                write.addr.eq(place),
                write.data.eq(word[step.sub] if blocks > 1 else word[0]),
                write.en.eq(wanted),
                read.addr.eq(now),
                read.en.eq(1),
                self.pixels[group].eq(read.data),
            ]
