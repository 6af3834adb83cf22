"""The controller: fetch instructions ahead, check them, hand them to the engines in order; stop at END or at an
error."""

from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from . import isa
from .axi import ReadClientSignature
from .stream_fifo import StreamFIFO, StreamRegister
from .tokens import COUNTS, TOKENS, missing_tokens

__all__ = ["DETAIL", "ENGINES", "FAULTS", "WAITING", "Controller", "Fetcher", "Lifecycle"]

ENGINES = data.StructLayout({"load": 1, "weights": 1, "compute": 1, "store": 1})
"""A bit for each engine."""

FAULTS = data.StructLayout({"load": 1, "weights": 1, "store": 1, "no_progress": 1})
"""Reasons to stop from outside the controller: bus errors of the engines and the watchdog."""

WAITING = data.StructLayout({name: TOKENS for name in ENGINES.members})
"""The tokens that each engine's gate lacks."""

DETAIL = data.StructLayout({
    "busy": ENGINES,  # the engine has instructions that are not finished
    "waiting": WAITING,  # the tokens that its next instruction lacks
    "end": TOKENS,  # the tokens that END lacks
    "full": ENGINES,  # the engine that cannot take the controller's instruction yet
})  # fmt: skip
"""ERROR_DETAIL: the state at the moment of the error."""

_OPCODES = {
    "load": isa.Opcode.LOAD,
    "weights": isa.Opcode.WEIGHTS,
    "compute": isa.Opcode.COMPUTE,
    "store": isa.Opcode.STORE,
}
_NUMBERS = 16  # instructions of one engine that are dispatched and not finished
_NUMBER_BITS = 26  # instructions in 4 GiB


class Fetcher(wiring.Component):
    """Fetch instructions from ``program`` on (a multiple of 64 bytes), up to ``ahead`` of them before they are taken.

    ``run`` lets it request, up to ``length`` instructions (0: no limit); ``discard`` keeps the instruction that is
    offered and throws away those behind it. ``idle`` when none is in flight or buffered behind it. The payload's
    ``error`` is that of any of the instruction's beats.
    """

    def __init__(self, axi_bytes: int, ahead: int = 8):
        self._beats = isa.INSTRUCTION_BYTES // axi_bytes
        self._ahead = ahead
        super().__init__(
            {
                "run": In(1),
                "discard": In(1),
                "program": In(32),
                "length": In(32),
                "read": Out(ReadClientSignature(8 * axi_bytes)),
                "instructions": Out(stream.Signature(data.StructLayout({"word": isa.INSTRUCTION_BITS, "error": 1}))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = StreamFIFO(self.read.beat.shape(), self._ahead * self._beats)
        m.submodules.beat = beat = StreamRegister(self.read.beat.shape())  # The FIFO's memory answers late in the cycle.
        wiring.connect(m, beats.o, beat.i)
        free = Signal(range(self._ahead + 1), init=self._ahead)  # instructions
        number = Signal(_NUMBER_BITS)
        requests = self.read.requests
        taken = Signal()
        m.d.comb += [
            beats.i.p.eq(self.read.beat),
            beats.i.valid.eq(self.read.beat_valid),
            requests.p.address.eq(Cat(C(0, 6), (self.program[6:] + number)[:26])),
            requests.p.beats.eq(self._beats),
            self.idle.eq((free == self._ahead) & ~requests.valid),
        ]
        ask = self.run & (free != 0) & ((number != self.length) | (self.length == 0))
        requested = requests.valid & requests.ready
        with m.If(requested):
            m.d.sync += [requests.valid.eq(0), number.eq(number + 1)]
        with m.Elif(~requests.valid):
            m.d.sync += requests.valid.eq(ask)
        m.d.sync += free.eq(free - requested + taken)

        word = self.instructions.payload
        count = Signal(range(self._beats))
        popped = Signal()
        m.d.comb += [
            beat.o.ready.eq(~self.instructions.valid | self.discard),
            popped.eq(beat.o.valid & beat.o.ready),
            taken.eq(popped & (count == self._beats - 1)),
        ]
        with m.If(popped):
            m.d.sync += count.eq(Mux(taken, 0, count + 1))
        with m.If(popped & ~self.discard):
            m.d.sync += [
                word.word.eq(Cat(word.word, beat.o.p.data)[len(beat.o.p.data) :]),
                word.error.eq(beat.o.p.error | (word.error & (count != 0))),
                self.instructions.valid.eq(taken),
            ]
        with m.If(self.instructions.valid & self.instructions.ready):
            m.d.sync += self.instructions.valid.eq(0)
        return m


class Controller(wiring.Component):
    """Run a program from ``start`` to END. Reset it (with all engines) before each run: `Lifecycle`.

    ``loads``, ``weights``, ``computes``, ``stores`` go to the engines' gates. ``finished`` pulses when an engine
    finishes an instruction, ``idle`` says that it has nothing left. ``busy`` from the cycle after ``start`` to END's
    completion, ``done`` after it. An error raises ``halt`` one cycle later, for good, with
    ``error``, ``error_pc`` (the instruction's number; of a watchdog, that of the next to dispatch) and
    ``error_detail`` as of then. A bus error's number is that of the engine's oldest unfinished instruction.
    """

    def __init__(
        self, rows: int, cols: int, axi_bytes: int, *, depthwise: bool = True, packed: bool = True,
        residual: bool = True, pooling: bool = True,
    ):  # fmt: skip
        self._rows, self._cols, self._axi_bytes = rows, cols, axi_bytes
        self._depthwise, self._packed, self._residual, self._pooling = depthwise, packed, residual, pooling
        self._sub_bits = (max(rows, cols) // min(rows, cols)).bit_length() - 1
        super().__init__(
            {
                "start": In(1),
                "program": In(32),
                "length": In(32),
                "read": Out(ReadClientSignature(8 * axi_bytes)),
                "loads": Out(stream.Signature(isa.TRANSFER)),
                "weights": Out(stream.Signature(isa.WEIGHTS)),
                "computes": Out(stream.Signature(isa.COMPUTE)),
                "stores": Out(stream.Signature(isa.TRANSFER)),
                "counts": In(COUNTS),
                "finished": In(ENGINES),
                "idle": In(ENGINES),
                "waiting": In(WAITING),
                "faults": In(FAULTS),
                "busy": Out(1),
                "done": Out(1),
                "halt": Out(1),
                "error": Out(isa.ErrorCode),
                "error_pc": Out(32),
                "error_detail": Out(32),
                "instructions": Out(32),
                "advance": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetcher = fetcher = Fetcher(self._axi_bytes)
        wiring.connect(m, wiring.flipped(self.read), fetcher.read)
        outputs = dict(zip(ENGINES.members, (self.loads, self.weights, self.computes, self.stores), strict=True))
        offer = Signal(ENGINES)
        ready = Signal(ENGINES)
        dispatch = Signal(ENGINES)
        pending = Signal(ENGINES)
        crowded = Signal(ENGINES)
        numbers = {}
        word = fetcher.instructions.p.word
        number = Signal(_NUMBER_BITS)
        for name, output in outputs.items():
            view = data.View(isa.FORMATS[_OPCODES[name]], word)
            kept = [field for field, _ in view.shape() if field not in ("opcode", "reserved", "unused")]
            m.submodules[f"{name}_numbers"] = numbers[name] = fifo.SyncFIFO(width=_NUMBER_BITS, depth=_NUMBERS)
            m.d.comb += [
                *(output.p[field].eq(view[field]) for field in kept),
                output.p.opcode.eq(_OPCODES[name]),
                output.valid.eq(offer[name] & ~crowded[name]),
                ready[name].eq(output.ready & ~crowded[name]),
                numbers[name].w_data.eq(number),
                numbers[name].w_en.eq(dispatch[name]),
                numbers[name].r_en.eq(self.finished[name]),
                pending[name].eq(numbers[name].r_rdy),
            ]
            m.d.sync += crowded[name].eq(numbers[name].level == _NUMBERS)  # two cycles lie between dispatches

        header = data.View(isa.HEADER, word[: isa.HEADER.size])
        target = Signal(ENGINES)  # of the instruction that is dispatched, as `is_end` and `verdict`
        is_end = Signal()
        illegal = Signal()
        checked = Signal(isa.ErrorCode)
        verdict = Signal(isa.ErrorCode)
        sound = Signal()  # there is none
        stop = Signal(isa.ErrorCode)
        m.d.sync += [
            is_end.eq(header.opcode == isa.Opcode.END),
            *(target[name].eq(header.opcode == opcode) for name, opcode in _OPCODES.items()),
        ]
        with m.If(fetcher.instructions.p.error):
            m.d.comb += checked.eq(isa.ErrorCode.FETCH_BUS)
        with m.Elif(~is_end & ~target.as_value().any()):
            m.d.comb += checked.eq(isa.ErrorCode.ILLEGAL_OPCODE)
        with m.Elif(illegal):
            m.d.comb += checked.eq(isa.ErrorCode.ILLEGAL_FIELD)

        faulty = []
        for opcode, check in self._checks(word).items():
            failed = Signal(len(check), name=f"failed_{opcode.name.lower()}")
            m.d.sync += failed.eq(check)
            of_it = is_end if opcode is isa.Opcode.END else target[opcode.name.lower()]
            faulty.append(of_it & failed.any())
        m.d.comb += illegal.eq(Cat(faulty).any())

        detail = Signal(DETAIL)
        failed_pc = Signal(_NUMBER_BITS)
        m.d.comb += [
            fetcher.program.eq(self.program),
            fetcher.length.eq(self.length),
            self.instructions.eq(number),
            self.advance.eq(fetcher.read.beat_valid | dispatch.as_value().any()),
            detail.busy.eq(pending.as_value() | ~self.idle.as_value()),
            detail.waiting.eq(self.waiting),
            failed_pc.eq(number),
        ]
        with m.FSM(name="controller") as states:
            with m.State("IDLE"), m.If(self.start):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += fetcher.run.eq(1)
                with m.If(fetcher.instructions.valid):
                    m.next = "JUDGE"
                with m.Elif((self.length != 0) & (number == self.length)):
                    m.d.sync += [verdict.eq(isa.ErrorCode.PROGRAM_END), sound.eq(0)]
                    m.next = "DISPATCH"
            with m.State("JUDGE"):
                m.d.comb += fetcher.run.eq(1)
                m.d.sync += [verdict.eq(checked), sound.eq(checked == isa.ErrorCode.NONE)]
                m.next = "DISPATCH"
            with m.State("DISPATCH"):
                m.d.comb += fetcher.run.eq(1)
                m.d.comb += stop.eq(verdict)
                with m.If(sound & is_end):
                    m.next = "END"
                with m.Elif(sound):
                    m.d.comb += [
                        offer.eq(target.as_value() & ~self.halt.replicate(len(target.as_value()))),
                        detail.full.eq(target.as_value() & ~ready.as_value()),
                        dispatch.eq(offer.as_value() & ready.as_value()),
                    ]
                    with m.If(dispatch.as_value().any()):
                        m.d.comb += fetcher.instructions.ready.eq(1)
                        m.d.sync += number.eq(number + 1)
                        m.next = "CHECK"
            with m.State("END"):
                m.d.comb += [fetcher.discard.eq(1), detail.end.eq(missing_tokens(self.counts, header))]
                with m.If(~detail.end.as_value().any() & ~detail.busy.as_value().any() & fetcher.idle & ~self.halt):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
        m.d.comb += self.busy.eq(~states.ongoing("IDLE") & ~states.ongoing("DONE") & ~self.halt)

        codes = {"load": isa.ErrorCode.LOAD_BUS, "weights": isa.ErrorCode.WEIGHTS_BUS, "store": isa.ErrorCode.STORE_BUS}
        with m.If(self.faults.no_progress):
            m.d.comb += stop.eq(isa.ErrorCode.NO_PROGRESS)
        for name, code in codes.items():
            with m.If(self.faults[name]):
                m.d.comb += [stop.eq(code), failed_pc.eq(numbers[name].r_data)]
        with m.If(self.busy & (stop != isa.ErrorCode.NONE)):
            m.d.sync += [
                self.halt.eq(1),
                self.error.eq(stop),
                self.error_pc.eq(failed_pc),
                self.error_detail.eq(detail),
            ]
        return m

    def _checks(self, word: Value) -> dict[isa.Opcode, Value]:
        """For each opcode, bits that are set where an instruction of it has a field whose value its format does not allow."""
        transfer, weights, compute = (data.View(layout, word) for layout in (isa.TRANSFER, isa.WEIGHTS, isa.COMPUTE))
        header, end = data.View(isa.HEADER, word[: isa.HEADER.size]), data.View(isa.END, word)

        def zero(view, *names):
            return Cat(view[name] == 0 for name in names).any()

        def rows(view, *names):
            return Cat((view[name] == 0) | (view[name] > self._rows) for name in names).any()

        no_base = transfer.base.as_value() >= isa.BASES  # also that of WEIGHTS: both begin alike
        sub_vector = Cat(transfer[name][: self._sub_bits] for name in ("address", "row_step")).any()
        tables = weights.stream == isa.Stream.TABLES
        tiles = weights.stream == isa.Stream.TILES
        depthwise, packed = compute.mode == isa.Mode.DEPTHWISE, compute.mode == isa.Mode.PACKED
        dense = compute.mode == isa.Mode.DENSE
        maximum, average = compute.pool == isa.Pool.MAX, compute.pool == isa.Pool.AVERAGE
        counts = ("blocks", "taps_y", "taps_x", "channels", "out_rows", "out_cols", "stride_y", "stride_x")
        checks = {
            isa.Opcode.END: end.unused.any(),
            isa.Opcode.WEIGHTS: Cat(
                weights.unused.any(),
                no_base,
                weights.offset[:4].any(),
                weights.bytes == 0,
                weights.bytes[: (self._cols - 1).bit_length()].any(),
                ~tables & ~tiles,
                tiles & (zero(weights, "blocks", "groups", "tiles") | rows(weights, "rows", "last_rows")),
                tables & (weights.bytes != isa.TABLE_BYTES) if self._residual else tables,
            ),
            isa.Opcode.COMPUTE: Cat(
                compute.unused.any(),
                zero(compute, *counts),
                rows(compute, "rows", "last_rows"),
                ~dense & ~(depthwise & self._depthwise) & ~(packed & self._packed),
                ~dense & ((compute.channels != 1) | (compute.group == 0)),
                depthwise & ((compute.group > self._rows) | (compute.period == 0)),
                packed & ((compute.group > max(self._rows, self._cols)) | compute.residual),
                0 if self._residual else compute.residual,
                (compute.pool != isa.Pool.NONE) & ~((maximum | average) & self._pooling),
                maximum & zero(compute, "pool_rows", "pool_cols"),
            ),
        }
        checks[isa.Opcode.LOAD] = checks[isa.Opcode.STORE] = Cat(
            transfer.unused.any(), no_base, sub_vector, zero(transfer, "run_bytes", "runs", "rows", "width", "channels")
        )
        return {opcode: Cat(header.reserved.any(), check) for opcode, check in checks.items()}


class Lifecycle(wiring.Component):
    """Start and reset. The only block besides the registers that ``clear`` does not reset.

    ``clear`` resets all others for a cycle: behind an accepted ``start`` (none while ``busy`` or ``failed``), followed by
    ``go``, and after a ``reset``, once ``halt`` has brought the bus to rest (``quiet``). ``halt`` comes a cycle behind ``failed``
    or ``resetting``. ``running`` from ``go`` to the end of ``busy``: the cycles that count.
    """

    start: In(1)
    reset: In(1)
    busy: In(1)
    failed: In(1)
    quiet: In(1)
    go: Out(1)
    running: Out(1)
    halt: Out(1)
    clear: Out(1)
    resetting: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.running.eq(self.go | (self.busy & ~self.resetting))
        # Registers: `clear` and `halt` go everywhere, `quiet` comes from everywhere.
        halted, at_rest = Signal(), Signal()
        m.d.sync += [
            self.clear.eq(0),
            self.halt.eq(self.failed | self.resetting),
            halted.eq(self.halt),
            at_rest.eq(self.quiet & halted & self.resetting),
        ]
        with m.FSM(name="lifecycle"):
            with m.State("READY"):
                with m.If(self.reset):
                    m.next = "DRAIN"
                with m.Elif(self.start & ~self.busy & ~self.failed):
                    m.d.sync += self.clear.eq(1)
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.next = "GO"
                with m.If(self.reset):
                    m.next = "DRAIN"
            with m.State("GO"):
                m.d.comb += self.go.eq(1)
                m.next = "READY"
                with m.If(self.reset):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += self.resetting.eq(1)
                with m.If(at_rest):
                    m.d.sync += self.clear.eq(1)
                    m.next = "CLEARED"
            with m.State("CLEARED"):
                m.d.comb += self.resetting.eq(1)
                m.next = "READY"
        return m
