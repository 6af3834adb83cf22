"""The inner loops: one step per cycle, its reads of the scratchpad, and the wave it starts."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .accumulator import WAVE, Accumulator
from .feeder import LEAD_LIMIT, step_layout
from .isa import Combine, Mode
from .params import BANKS
from .passes import PASS, move_rows
from .scratchpad import place_layout

__all__ = ["StepWalker"]


class StepWalker(wiring.Component):
    """Walks the output pixels of ``passes``.

    A pass starts when ``tile_comes`` or ``tile_here`` (`TileLoader`) promise its weights, a block's last one only with ``room``
    for its results, and takes one step per cycle. In the
    cycle of a step, ``ports`` read for it, ``step`` tells the feeder and ``wave`` the accumulator about it. ``res_en`` marks a
    read of the residual operand by the last port, ``res_sub`` its sub-vector. ``active`` says that a wave starts,
    ``wants_weights`` that only weights are missing, ``held`` that a pass or step waits for another reason.
    """

    def __init__(
        self, *, rows: int, vector: int, units: int, words: int, ports: int, depthwise: bool, packed: bool, residual: bool
    ):
        self._rows = rows
        self._vector = vector
        self._units = units
        self._words = words
        self._ports = ports
        self._depthwise = depthwise
        self._packed = packed
        self._residual = residual
        super().__init__({
            "passes": In(stream.Signature(PASS)),
            "tile_comes": In(1),
            "tile_here": In(1),
            "room": In(1),
            "ports": Out(wiring.Signature({"en": Out(1), "place": Out(place_layout(words))})).array(ports),
            "step": Out(step_layout(rows, units, ports)),
            "wave": Out(WAVE),
            "res_en": Out(1),
            "res_sub": Out(range(units)),
            "active": Out(1),
            "wants_weights": Out(1),
            "held": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Of all this only what says that there is a pass or a step is reset: while no pass runs, the rest is loaded in every
        # cycle.
        def register(shape, name: str) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        now = register(PASS, "now")
        running = Signal()
        first_step = register(1, "first_step")
        rows_left = register(12, "rows_left")  # after this one
        steps_left = register(12, "steps_left")
        results_left = register(12, "results_left")
        phase = register(4, "phase")  # depthwise: steps to the next result
        # What the counters say of this step, known with them: it is its row's last, in the last row, has a result.
        last_step, last_row, result = (register(1, name) for name in ("last_step", "last_row", "result"))
        bases = register(self.step.bases.shape(), "bases")
        row_address = register(16, "row_address")
        address = register(16, "address")
        bank = register(range(BANKS), "bank")
        x = register(signed(13), "x")
        distance = register(16, "distance")  # from a step's pixel to the next one's
        # Whether the step's pixel lies inside the image's columns, and each port's row inside its rows, is known before
        # the step: the comparisons are made of the next position.
        pixel = register(signed(14), "pixel")
        first_pixel = register(signed(14), "first_pixel")
        image_rows = [register(signed(14), f"image_row_{port}") for port in range(self._ports)]
        in_columns = register(1, "in_columns")
        first_in_columns = register(1, "first_in_columns")
        in_rows = register(self._ports, "in_rows")
        next_in_rows, first_in_rows = (Signal(self._ports, name=f"{name}_in_rows") for name in ("next", "first"))
        depthwise = register(1, "depthwise") if self._depthwise else C(0)
        packed = register(1, "packed") if self._packed else C(0)

        # This step. What holds it up for a cycle is known before it, too, as is whether it is issued, and as a pass's first one:
        # far more depends on that.
        conflict = register(1, "conflict") if self._residual else C(0)
        priming = register(1, "priming") if self._packed else C(0)
        next_conflict, next_priming = Signal(), Signal()
        issue, swap = Signal(), Signal()
        # To the next pass: the registers take what is offered whether it starts or not, which is known too late for their
        # enables.
        turns = Signal()
        m.d.comb += turns.eq(~running | (issue & last_step & last_row))
        reads = Signal(self._ports)
        # Packed: the vector that holds the last of the V bytes from x on, or the one before if that is to be read ahead
        # (then x is at no vector's start); the feeder keeps the one before. The carry is added in the addition's own chain.
        unit_bits = exact_log2(self._units)
        whole = x >> exact_log2(self._vector)
        carry = (x[: exact_log2(self._vector)] != 0) & ~priming
        vector_index = Signal(signed(13))
        window = Signal(16 - unit_bits)
        m.d.comb += [
            vector_index.eq(whole + carry),
            window.eq((Cat(C(1, 1), row_address[unit_bits:]) + Cat(carry, whole).as_signed()) >> 1),
        ]
        base = Mux(packed, Cat(row_address[:unit_bits], window), address)
        for p, port in enumerate(self.ports):
            below = Signal(3, name=f"below_{p}")
            place = Signal(16, name=f"place_{p}")
            m.d.comb += [
                reads[p].eq(
                    running & in_rows[p] & (packed | (in_columns & (p == 0 or depthwise))) & (p == 0 or p < now.groups)
                ),
                below.eq(bank + p),
                place.eq(base + Mux(below[2], now.row_step, 0)),
                port.en.eq(reads[p] & ~conflict),
                port.place.bank.eq(below[:2]),
                port.place.address.eq(place // self._units),
            ]
        m.d.comb += [
            self.active.eq(issue),
            self.step.swap.eq(swap),
            self.step.mode.eq(now.mode),
            self.step.bases.eq(bases),
            *(mask.eq(self._reached(base)) for mask, base in zip(self.step.reached, list(bases)[1:], strict=True)),
            self.step.window.eq(running & packed),
            self.step.rows.eq(now.rows),
            self.step.sub.eq(address % self._units),
            self.step.inside.eq(Mux(depthwise | packed, in_rows, in_rows[0] & in_columns)),
            self.step.pad.eq(now.pad),
            self.step.x.eq(x),
            self.step.width.eq(now.width),
            self.step.groups.eq(now.groups),
            self.step.lead.eq(now.lead),
            self.step.pixel.eq(issue & in_columns),
        ]
        last_result = result & last_row & Mux(depthwise, results_left == 1, last_step)
        m.d.comb += [
            self.wave.result.eq(issue & result),
            self.wave.start.eq(swap),
            self.wave.first.eq(now.first),
            self.wave.last.eq(now.last),
            self.wave.maximum.eq(now.combine == Combine.MAX),
            self.wave.block_end.eq(now.last & last_result),
            self.wave.end.eq(now.end & last_result),
        ]

        # The next step.
        row_distance, next_bank = move_rows(bank, now.stride_y[:2], now.stride_y_step, now.row_step)
        if self._residual:
            # Never in packed mode.
            met, next_met, first_met = self._read_residual(
                m, now, running, result, issue, conflict, (next_in_rows[0], first_in_rows[0]), next_bank, last_step, turns
            )
        next_row_address = Signal(16)
        m.d.comb += next_row_address.eq(row_address + row_distance)
        next_pixel = Signal(signed(14))
        m.d.comb += next_pixel.eq(pixel + distance)
        next_rows = [Signal(signed(14), name=f"next_row_{port}") for port in range(self._ports)]
        m.d.comb += [following.eq(row + now.stride_y) for row, following in zip(image_rows, next_rows, strict=True)]

        def inside(position: Value, size: Value) -> Value:
            return ~position[-1] & (position < size)

        m.d.comb += next_in_rows.eq(Cat(inside(row, now.height) for row in next_rows))

        next_in_columns, next_result = Signal(), Signal()
        m.d.comb += [
            next_in_columns.eq(inside(next_pixel, now.width)),
            next_result.eq(
                ~depthwise
                | ((phase == 1) | ((phase == 0) & (now.stride_x == 1))) & Mux(result, results_left != 1, results_left != 0)
            ),
        ]
        with m.If(issue):
            m.d.sync += first_step.eq(0)
            with m.If(~last_step):
                m.d.sync += [
                    steps_left.eq(steps_left - 1),
                    last_step.eq(steps_left == 1),
                    result.eq(next_result),
                    address.eq(address + now.x_step),
                    x.eq(x + distance),
                    pixel.eq(next_pixel),
                    in_columns.eq(next_in_columns),
                    phase.eq(Mux(phase == 0, now.stride_x - 1, phase - 1)),
                    results_left.eq(results_left - result),
                ]
                if self._residual:
                    m.d.comb += next_conflict.eq(met & next_in_columns & next_result)
            with m.Else():
                m.d.sync += [
                    rows_left.eq(rows_left - 1),
                    last_row.eq(rows_left == 1),
                    steps_left.eq(now.steps - 1),
                    last_step.eq(now.steps == 1),
                    result.eq(1),
                    results_left.eq(now.out_cols),
                    phase.eq(0),
                    row_address.eq(next_row_address),
                    address.eq(next_row_address),
                    bank.eq(next_bank),
                    x.eq(now.x),
                    pixel.eq(first_pixel),
                    in_columns.eq(first_in_columns),
                    *(row.eq(following) for row, following in zip(image_rows, next_rows, strict=True)),
                    in_rows.eq(next_in_rows),
                ]
                if self._packed:
                    m.d.comb += next_priming.eq(now.prime & ~last_row)
                if self._residual:
                    m.d.comb += next_conflict.eq(next_met & first_in_columns)

        if self._packed:
            self._keep_vectors(m, running, vector_index)

        # The next pass.
        following = self.passes.payload
        aged, quiet = self._spacing(m, following, issue, depthwise)
        starts_in_columns = Signal()
        first_rows = [Signal(signed(14), name=f"first_row_{port}") for port in range(self._ports)]
        m.d.comb += [
            *(row.eq(following.y + port) for port, row in enumerate(first_rows)),
            first_in_rows.eq(Cat(inside(row, following.height) for row in first_rows)),
            starts_in_columns.eq(inside(following.pixel, following.width)),
        ]
        # Where no step is to end before it, and behind a step; whether that is taken is known last of all. A pass's first
        # step is never its last as far as the next pass is concerned, which it would follow too soon.
        clear, behind = Signal(), Signal()
        tile = self.tile_comes | self.tile_here
        m.d.comb += [
            clear.eq(~running & aged & quiet),
            behind.eq(last_step & last_row & ~first_step & aged & tile & (quiet & ~depthwise | (following.gap == 0))),
            self.passes.ready.eq((clear & tile) | (issue & behind)),
            self.wants_weights.eq(clear & self.passes.valid),
            self.held.eq(Mux(running, ~issue, self.passes.valid & ~clear)),
        ]
        begins = Signal()
        m.d.comb += begins.eq(self.passes.ready & self.passes.valid)
        goes_on = ~next_conflict & ~next_priming
        m.d.sync += [
            issue.eq(Mux(turns, begins, running) & goes_on),
            swap.eq(Mux(turns, begins, running & first_step & ~issue) & goes_on),
            *(flag.eq(follows) for flag, follows, built in (
                (conflict, next_conflict, self._residual), (priming, next_priming, self._packed)
            ) if built),
        ]  # fmt: skip
        starts_depthwise = following.mode == Mode.DEPTHWISE if self._depthwise else C(0)
        starts_packed = following.mode == Mode.PACKED if self._packed else C(0)
        with m.If(turns):
            if self._depthwise:
                m.d.sync += depthwise.eq(starts_depthwise)
            if self._packed:
                m.d.sync += packed.eq(starts_packed)
                m.d.comb += next_priming.eq(following.prime)
            if self._residual:
                m.d.comb += next_conflict.eq(first_met & starts_in_columns)
            m.d.sync += [
                now.eq(following),
                *(base.eq(following.skip - n * following.group) for n, base in enumerate(bases)),
                distance.eq(Mux(starts_packed, following.x_step, Mux(starts_depthwise, 1, following.stride_x))),
                running.eq(begins),
                first_step.eq(1),
                rows_left.eq(following.out_rows - 1),
                steps_left.eq(following.steps - 1),
                results_left.eq(following.out_cols),
                last_row.eq(following.out_rows == 1),
                last_step.eq(following.steps == 1),
                result.eq(1),
                phase.eq(0),
                row_address.eq(following.address),
                address.eq(following.address),
                bank.eq(following.bank),
                x.eq(following.x),
                pixel.eq(following.pixel),
                first_pixel.eq(following.pixel),
                in_columns.eq(starts_in_columns),
                first_in_columns.eq(starts_in_columns),
                *(row.eq(first) for row, first in zip(image_rows, first_rows, strict=True)),
                in_rows.eq(first_in_rows),
            ]
        return m

    def _reached(self, base):
        """A bit per array row r: whether ``base`` + r is 0 or more. Without carry chains."""
        bits = exact_log2(self._rows)
        near = [sum(1 << low for low in range(self._rows) if low + r >= self._rows) for r in range(self._rows)]
        close = base[bits:].all()  # from -rows to -1
        return Cat(~base[-1] | (close & C(lows, self._rows).bit_select(base[:bits], 1)) for lows in near)

    def _keep_vectors(self, m, running, vector_index):
        """Tell the feeder when a step's vector is a new one."""
        former = Signal.like(vector_index)
        m.d.comb += self.step.fresh.eq(vector_index != former)
        with m.If(running):
            m.d.sync += former.eq(vector_index)

    def _read_residual(self, m, now, running, result, issue, conflict, inside_first, next_bank, last_step, turns):
        """The last port reads the residual operand with each result, a cycle ahead if the activation wants the same bank.

        ``inside_first`` are whether the next row of the image and the next pass's first one lie inside it. Returns whether
        this row's activation lies inside the image, in the bank of the operand, and the same of the next row and of the next
        pass.
        """
        port = self.ports[-1]
        next_inside, first_inside = inside_first
        following = self.passes.payload
        row_address = Signal(16, reset_less=True)
        address = Signal(16, reset_less=True)
        res_bank = Signal(range(BANKS), reset_less=True)
        next_res_bank = (res_bank + 1)[: len(res_bank)]
        met, next_met, first_met = Signal(reset_less=True), Signal(), Signal()
        done = Signal()
        wanted = Signal()
        m.d.comb += [
            wanted.eq(running & now.residual & result & ~done),
            next_met.eq(now.residual & next_inside & (next_bank == next_res_bank)),
            first_met.eq(following.residual & first_inside & (following.bank == following.res_bank)),
            self.res_en.eq(wanted),
            self.res_sub.eq(address % self._units),
        ]
        with m.If(now.residual):
            m.d.comb += [
                port.en.eq(wanted),
                port.place.bank.eq(res_bank),
                port.place.address.eq(address // self._units),
            ]
        m.d.sync += done.eq(running & conflict)
        with m.If(issue):
            with m.If(last_step):
                distance = Mux(res_bank == BANKS - 1, now.res_row_step, 0)
                m.d.sync += [
                    row_address.eq(row_address + distance),
                    address.eq(row_address + distance),
                    res_bank.eq(next_res_bank),
                    met.eq(next_met),
                ]
            with m.Elif(result):
                m.d.sync += address.eq(address + now.res_x_step)
        with m.If(turns):
            m.d.sync += [
                row_address.eq(following.res_address),
                address.eq(following.res_address),
                res_bank.eq(following.res_bank),
                met.eq(first_met),
            ]
        return met, next_met, first_met

    def _spacing(self, m, following, issue, depthwise):
        """Whether the following pass may start in the next cycle, weights and this cycle's step aside: by the age of the latest
        pass's first wave, and by the cycles since the latest depthwise step."""
        # Counted from a pass's first wave, which a vector or residual operand ahead of it may have delayed.
        last_age = Accumulator.REUSE - 1
        age = Signal(range(Accumulator.REUSE), init=last_age)
        old = Signal(init=1)  # as old as that
        with m.If(self.wave.start):
            m.d.sync += [age.eq(1), old.eq(last_age == 1)]
        with m.Elif(~old):
            m.d.sync += [age.eq(age + 1), old.eq(age == last_age - 1)]
        aged = old & (self.room | ~following.last)
        if not self._depthwise:
            return aged, C(1)
        longest = LEAD_LIMIT + self._rows
        quiet = Signal(range(longest + 1), init=longest)  # cycles since the last depthwise step
        with m.If(issue & depthwise):
            m.d.sync += quiet.eq(1)
        with m.Elif(quiet != longest):
            m.d.sync += quiet.eq(quiet + 1)
        return aged, (following.gap == 0) | (quiet >= following.gap)
