"""The outer loops of a COMPUTE instruction: blocks, kernel rows, kernel columns, input channel blocks."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .feeder import LEAD_LIMIT
from .isa import COMPUTE, Combine, Mode
from .params import BANKS

__all__ = ["PASS", "PassWalker", "move_rows"]

PASS = data.StructLayout({
    "mode": Mode,
    "combine": Combine,
    "rows": 6,  # array rows in use
    "group": 6,
    "groups": 3,  # depthwise and packed: image rows read at once
    "skip": 6,  # packed: bytes of the first kernel row that earlier passes took
    "out_rows": 12,
    "out_cols": 12,
    "steps": 12,  # per output row
    "prime": 1,  # packed: each output row needs a vector ahead of its first step
    "stride_x": 4,
    "stride_y": 4,
    "row_step": 16,
    "x_step": 16,
    "stride_y_step": 16,  # address distance of the whole bank rounds in stride_y
    "height": 12,
    "width": 12,
    "pad": signed(8),
    "address": 16,  # of the first step's read
    "bank": range(BANKS),
    "y": signed(13),
    "x": signed(13),  # of the first tap
    "lead": range(LEAD_LIMIT + 1),
    "pixel": signed(14),  # image column of the first step: x + lead
    "gap": 6,  # depthwise: cycles between the last step of the latest depthwise pass and this one's first, at least
    "residual": 1,  # read the residual operand in this pass
    "res_address": 16,
    "res_bank": range(BANKS),
    "res_row_step": 16,
    "res_x_step": 16,
    "first": 1,  # of its block
    "last": 1,  # of its block
    "end": 1,  # of the instruction
})
"""A pass: everything that the steps need to know."""


def move_rows(bank, rows, whole_step, row_step):
    """``(address distance, bank)`` of going down from ``bank`` by ``rows`` (0 to 4) rows and ``whole_step`` for whole rounds."""
    moved = (bank + rows)[:3]
    return whole_step + Mux(moved[2], row_step, 0), moved[:2]


class _Loop:
    """Rounds of a loop of ``count`` (1 ..) rounds, a register of ``m``: ``last`` says that this is the last round,
    ``next_last``, a cycle behind the round, that the next one is, ``single`` that the first one is."""

    def __init__(self, m: Module, name: str, count: Value):
        self._round = Signal.like(count, name=f"{name}_round")
        self.last, self.next_last = Signal(name=f"{name}_last"), Signal(name=f"{name}_next_last")
        self.single = Signal(name=f"{name}_single")
        m.d.comb += self.single.eq(count == 1)
        m.d.sync += self.next_last.eq(self._round + 1 == count)

    def begin(self):
        """The assignments that begin the first round."""
        return [self._round.eq(1), self.last.eq(self.single)]

    def step(self):
        """The assignments that begin the next round, the first one behind the last."""
        return [
            self._round.eq(Mux(self.last, 1, self._round + 1)),
            self.last.eq(Mux(self.last, self.single, self.next_last)),
        ]


class PassWalker(wiring.Component):
    """Walks the passes of ``instructions``, one in ``PACE`` cycles if taken; ``busy`` from an instruction to its last pass.

    ``rows`` is R, ``vector`` V; ``reduction_units`` and ``block_units`` are the units in R and in C bytes;
    ``depthwise``, ``packed`` and ``residual`` say what there is hardware for.
    """

    PACE = 4  # less than `Accumulator.REUSE`, the distance of starts: nobody waits for it

    def __init__(
        self, *, rows: int, vector: int, reduction_units: int, block_units: int, depthwise: bool, packed: bool, residual: bool
    ):
        self._rows = rows
        self._depthwise = depthwise
        self._packed = packed
        self._residual = residual
        self._vector = vector
        self._reduction_units = reduction_units
        self._block_units = block_units
        super().__init__({
            "instructions": In(stream.Signature(COMPUTE)),
            "passes": Out(stream.Signature(PASS)),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        ins = Signal(COMPUTE, reset_less=True)
        depthwise = (ins.mode == Mode.DEPTHWISE) if self._depthwise else C(0)
        packed = (ins.mode == Mode.PACKED) if self._packed else C(0)
        out = self.passes.payload

        # Each loop counts its rounds from 1. Whether the next round is the loop's last is known before that round begins.
        block, tap_y, tap_x, channel = (_Loop(m, name, ins[name]) for name in ("blocks", "taps_y", "taps_x", "channels"))
        first, last = Signal(), Signal()  # of its block

        # What follows from the loops' state is there a cycle later, and the way to the next kernel row two cycles later.
        # Until then no pass is offered, and the state of one that was taken stays.
        settling = Signal(range(3))
        taken = Signal()  # a pass, in the cycle before
        left = Signal()  # a pass was taken, and another one comes behind it
        move = Signal()  # to that one
        to_column, to_row, to_block = (Signal(name=f"to_{name}") for name in ("column", "row", "block"))  # it leads there
        if self._depthwise or self._residual:
            m.d.sync += taken.eq(self.passes.valid & self.passes.ready)
        with m.If(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        go = left & (settling == 0) & ~move
        m.d.sync += [
            move.eq(go),
            to_column.eq(go & channel.last),
            to_row.eq(go & channel.last & tap_x.last),
            to_block.eq(go & last),
        ]

        # Where the current block, kernel row, kernel column and channel block start.
        block_address = Signal(16)
        row_address = Signal(16)
        column_address = Signal(16)
        address = Signal(16)
        bank = Signal(range(BANKS))
        y = Signal(signed(13))
        x = Signal(signed(13))
        res_address = Signal(16)
        groups = Signal(3, reset_less=True)
        m.d.sync += groups.eq(1)
        if self._depthwise:
            for count in range(2, BANKS + 1):
                with m.If(ins.rows == count * ins.group):
                    m.d.sync += groups.eq(count)
        stride_y_step = Signal(16)
        tap_y_step = Signal(16)

        # Packed: a chunk goes from byte `skip` to byte `end` of the kernel rows from the current one on, at most BANKS of them.
        # The next one starts at byte next_skip of the row that is rows_done further. The last one's rows are its own.
        skip = Signal(6)
        end = Signal(7)
        rows_done = Signal(3)
        next_skip = Signal(6)
        touched = Signal(3)  # kernel rows
        if self._packed:
            past, rest = Signal.like(rows_done), Signal.like(next_skip)
            m.d.comb += rest.eq(end)
            for count in range(1, BANKS):
                beyond = Signal(signed(9), name=f"beyond_{count}")
                m.d.comb += beyond.eq(end - count * ins.group)
                with m.If(beyond >= 0):
                    m.d.comb += [past.eq(count), rest.eq(beyond)]
            with m.If(end == BANKS * ins.group):
                m.d.comb += [past.eq(BANKS), rest.eq(0)]
            m.d.comb += touched.eq(past + rest.any())
            m.d.sync += [rows_done.eq(past), next_skip.eq(rest)]

        # Depthwise: how many pixels of a pass lie left of the image, and of one whose first pixel is at next_x.
        lead = Signal(range(LEAD_LIMIT + 1))
        next_lead = Signal.like(lead)
        next_x = Signal(signed(13))

        def outside(x):
            return Mux(depthwise & (x < 0), -x, 0)[: len(lead)]

        m.d.sync += [next_x.eq(x + ins.tap_x_cols), next_lead.eq(outside(next_x))]

        row_distance = Signal(16)
        next_bank = Signal(range(BANKS))
        distance, below = move_rows(
            bank, Mux(packed, rows_done, ins.tap_y_rows[:2]), Mux(packed, 0, tap_y_step), ins.row_step
        )
        m.d.sync += [row_distance.eq(distance), next_bank.eq(below)]
        next_block_address = Signal(16)
        next_row_address = Signal(16)
        m.d.comb += [
            next_block_address.eq(block_address + Mux(depthwise, self._block_units, 0)),
            next_row_address.eq(row_address + row_distance),
        ]
        from_row = [x.eq(ins.x), lead.eq(outside(ins.x))]
        from_block = [bank.eq(ins.bank), y.eq(ins.y), skip.eq(0), end.eq(Mux(tap_y.single, ins.last_rows, ins.rows)), *from_row]

        with m.FSM(name="walk") as walk:
            with m.State("IDLE"):
                m.d.comb += self.instructions.ready.eq(1)
                m.d.sync += ins.eq(self.instructions.payload)
                with m.If(self.instructions.valid):
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.sync += [
                    stride_y_step.eq(ins.stride_y[2:] * ins.row_step),
                    tap_y_step.eq(ins.tap_y_rows[2:] * ins.row_step),
                    *(signal.eq(ins.address) for signal in (block_address, row_address, column_address, address)),
                    *(loop.begin() for loop in (block, tap_y, tap_x, channel)),
                    *from_block,
                    first.eq(1),
                    settling.eq(2),
                ]
                m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += self.passes.valid.eq(~left & (settling != 2))
                with m.If(self.passes.valid & self.passes.ready):
                    m.d.sync += left.eq(~out.end)
                    with m.If(out.end):
                        m.next = "IDLE"

        with m.If(move):
            m.d.sync += [
                left.eq(0), settling.eq(2), first.eq(to_block), channel.step(), address.eq(address + self._reduction_units)
            ]  # fmt: skip
        with m.If(to_column):
            following = column_address + ins.tap_x_step
            m.d.sync += [
                tap_x.step(), x.eq(next_x), lead.eq(next_lead), column_address.eq(following), address.eq(following)
            ]  # fmt: skip
        with m.If(to_row):
            m.d.sync += [
                tap_y.step(),
                skip.eq(Mux(packed, next_skip, 0)),
                end.eq(next_skip + Mux(tap_y.next_last, ins.last_rows, ins.rows)),
                bank.eq(next_bank),
                y.eq(y + Mux(packed, rows_done, ins.tap_y_rows)),
                *from_row,
                *(s.eq(next_row_address) for s in (row_address, column_address, address)),
            ]
        with m.If(to_block):
            m.d.sync += [
                block.step(),
                block_address.eq(next_block_address),
                *(s.eq(next_block_address) for s in (row_address, column_address, address)),
                *from_block,
            ]

        m.d.comb += last.eq(channel.last & tap_x.last & tap_y.last)
        last_rows = channel.last & (~packed | tap_y.last)
        m.d.comb += [
            self.busy.eq(~walk.ongoing("IDLE")),
            *(out[name].eq(ins[name]) for name in (
                "mode", "combine", "group", "out_rows", "out_cols", "stride_x", "stride_y", "row_step", "x_step", "height",
                "width", "pad",
            )),
            out.skip.eq(skip),
            out.steps.eq(Mux(depthwise, ins.period, ins.out_cols)),
            out.stride_y_step.eq(stride_y_step),
            out.bank.eq(bank),
            out.y.eq(y),
            out.x.eq(x),
        ]  # fmt: skip
        said = {
            "rows": Mux(last_rows, ins.last_rows, ins.rows),
            "prime": packed & (x > 0) & (x[: exact_log2(self._vector)] != 0),
            "address": address + lead * ins.x_step,
            "lead": lead,
            "pixel": x + lead,
            "residual": ins.residual & last if self._residual else C(0),
            "first": first,
            "last": last,
            "end": last & block.last,
            "groups": Mux(packed, touched, groups),
        }
        if self._depthwise:
            # Pixels of the latest depthwise pass may still be on their way to the buses.
            former_lead, former_group = Signal.like(lead), Signal.like(ins.group)
            with m.If(taken & depthwise):
                m.d.sync += [former_lead.eq(out.lead), former_group.eq(ins.group)]
            later = Mux(former_lead > lead, former_lead - lead, 0) + Mux(former_group > ins.group, self._rows, 0)
            said["gap"] = Mux(depthwise, later, 0)
        for name, value in said.items():
            follows = Signal.like(out[name], name=f"{name}_said", reset_less=True)
            m.d.sync += follows.eq(value)
            m.d.comb += out[name].eq(follows)
        if self._residual:
            with m.If(walk.ongoing("PREPARE")):
                m.d.sync += res_address.eq(ins.res_address)
            with m.Elif(taken & out.last):
                m.d.sync += res_address.eq(res_address + self._block_units)
            m.d.comb += [
                out.res_address.eq(res_address),
                out.res_bank.eq(ins.res_bank),
                out.res_row_step.eq(ins.res_row_step),
                out.res_x_step.eq(ins.out_x_step),
            ]
        return m
