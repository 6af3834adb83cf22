"""The cycle model: when every instruction finishes, from the program and the parameters alone.

The engines are processes on a common clock, as in `docs/architecture.md`: a controller that fetches and hands out
instructions, LOAD, WEIGHTS, COMPUTE and STORE, and the read channel that three of them share. Nothing is simulated
below a pass of the array, a burst of the bus, or a vector of a stream. Cycle 0 is the one of the start.
"""

import heapq
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..hw.isa import CONSTANT_VECTORS, INSTRUCTION_BYTES, TABLE_BYTES, TABLE_ENTRIES, Mode, Opcode, Stream
from ..hw.params import BANKS, Parameters
from ..hw.program import Fields, Program, resolve_wait

__all__ = ["COUNTERS", "Latencies", "MemoryModel", "Prediction", "passes", "predict"]

COUNTERS = ("active", "wait_weights", "wait_input", "wait_output", "wait_tokens", "idle")

_COUNTED = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)
_BEAT = 100
_PAIR_BYTES = TABLE_BYTES // TABLE_ENTRIES
_GATED = (("wait_input", Opcode.LOAD), ("wait_output", Opcode.STORE), ("wait_tokens", Opcode.COMPUTE))


@dataclass(frozen=True, kw_only=True)
class MemoryModel:
    """External memory. A burst's first beat comes `latency` cycles after its address, later ones one per cycle, all in
    order; writes are answered `write_latency` cycles after a burst's last beat. `bandwidth` is the percentage of cycles
    that can carry a beat, each way."""

    latency: int = 20
    write_latency: int = 4
    bandwidth: int = 100


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Cycles and sizes of the hardware that the instruction set does not show."""

    start: int = 2  # start to the first request for instructions
    fetch_pace: int = 2  # between two requests for instructions
    fetched: int = 4  # an instruction's last beat to its dispatch
    dispatch: int = 2  # a dispatch to the next one's first beat, and that one's last beat to its dispatch
    gate: int = 3  # a dispatch to the exit of the engine's gate, tokens given
    token: int = 1  # an engine's `done` to the count
    request: int = 1  # a burst is asked for, to its address on the bus
    beat: int = 1  # a beat on the bus to its client
    split: int = 2  # a transfer leaves the gate, to its first request
    fifo: int = 2  # into a queue to out of it
    load: int = 6  # a beat to the last vector that it completes
    weights: int = 3  # a beat to its vector at the head of the stream
    compute: int = 3  # a COMPUTE leaves the gate, to its first step
    feeder: int = 4  # step to wave at PE (0, 0)
    element: int = 3  # ProcessingElement
    accumulator: int = 1
    requantize: int = 9  # sum to byte, without the residual tables
    residual: int = 8  # what the tables add if there are any
    store: int = 8  # a STORE leaves the gate, to its first beat
    end: int = 1  # the dispatch of END, to its first look at the tokens
    finish: int = 1  # all engines idle, to the end
    reuse: int = 3  # between the starts of two passes
    burst_beats: int = 16
    outstanding_reads: int = 16
    outstanding_writes: int = 8
    queue: int = 5  # instructions that wait at an engine, the one in the gate included
    fetch_ahead: int = 8  # instructions that the controller holds or has asked for
    load_beats: int = 64  # beats that LOAD holds or has asked for
    constant_blocks: int = 16

    def result(self, params: Parameters) -> int:
        """Cycles from the last step of a COMPUTE to its token."""
        array = params.rows + params.cols - 2 + self.element
        postprocess = self.requantize + self.residual * params.residual
        return self.feeder + array + self.accumulator + postprocess + self.token


@dataclass(frozen=True)
class Prediction:
    """`total` cycles; the cycle in which each instruction finished; cycles by category, which sum to the total."""

    total: int
    completions: tuple[int, ...]
    counters: dict[str, int]


def predict(program: Program, memory: MemoryModel | None = None, latencies: Latencies | None = None) -> Prediction:
    """Predict a run of a legal program. Raises ``ValueError`` if it would not end."""
    return _Machine(program, memory or MemoryModel(), latencies or Latencies()).run()


# --- Passes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pass:
    """`cycles` from first to last step, of which `steps` start a wave; `lead` and `group` are 0 if not depthwise."""

    cycles: int
    steps: int
    lead: int
    group: int
    ends_block: bool


def passes(fields: Fields, params: Parameters) -> list[_Pass]:
    """The passes of one block of a COMPUTE, in order."""
    f = fields
    size = f["out_rows"] * f["out_cols"]
    result = []
    for tap_y, tap_x in np.ndindex(f["taps_y"], f["taps_x"]):
        last_tap = tap_y == f["taps_y"] - 1 and tap_x == f["taps_x"] - 1
        x = f["x"] + tap_x * f["tap_x_cols"]
        steps, extra, lead, group = size, 0, 0, 0
        if f["mode"] is Mode.DEPTHWISE:
            steps, lead, group = f["out_rows"] * f["period"], max(0, -x), f["group"]
        elif f["mode"] is Mode.PACKED and x > 0 and x % params.vector:
            extra = f["out_rows"]
        for channel in range(f["channels"]):
            last = last_tap and channel == f["channels"] - 1
            if last and f["residual"]:
                extra = _conflicts(f, tap_y, x)
            result.append(_Pass(steps + extra, steps, lead, group, last))
    return result


def _conflicts(fields: Fields, tap_y: int, x: int) -> int:
    """Output pixels whose activation and residual operand lie in one bank."""
    f = fields
    down = tap_y * f["tap_y_rows"] + np.arange(f["out_rows"]) * f["stride_y"]
    row = f["y"] + down
    same = (f["bank"] + down) % BANKS == (f["res_bank"] + np.arange(f["out_rows"])) % BANKS
    column = x + np.arange(f["out_cols"]) * f["stride_x"]
    inside = (column >= 0) & (column < f["width"])
    return int((same & (row >= 0) & (row < f["height"])).sum()) * int(inside.sum())


# --- The clock --------------------------------------------------------------------------------------------

_Process = Generator[Any, None, Any]
"""Yields a cycle to go on in, or a signal to go on at."""


class _Signal:
    """Something that processes wait for; they look again whenever it is given."""

    def __init__(self, clock: "_Clock") -> None:
        self._clock = clock
        self.waiting: list[_Process] = []

    def give(self) -> None:
        waiting, self.waiting = self.waiting, []
        for process in waiting:
            self._clock.resume(process, self._clock.now)


class _Clock:
    def __init__(self) -> None:
        self.now = 0
        self._order = 0
        self._heap: list[tuple[int, int, _Process]] = []

    def resume(self, process: _Process, cycle: int) -> None:
        """Let a process go on in a cycle; those of one cycle in the order of these calls."""
        self._order += 1
        heapq.heappush(self._heap, (max(cycle, self.now), self._order, process))

    def run(self) -> None:
        """Until no process has anything left to wait for but signals."""
        while self._heap:
            self.now, _, process = heapq.heappop(self._heap)
            wish = next(process, None)
            if isinstance(wish, _Signal):
                wish.waiting.append(process)
            elif wish is not None:
                self.resume(process, wish)


class _Beats:
    """Cycles of the beats on one direction of the bus: every cycle earns `bandwidth`, a beat costs 100."""

    _MOST = 199

    def __init__(self, memory: MemoryModel) -> None:
        self._bandwidth = memory.bandwidth
        self._last = -1
        self._credit = self._MOST

    def next(self, earliest: int) -> int:
        """The cycle of the next beat, which cannot come before `earliest`."""
        cycle = max(earliest, self._last + 1)
        credit = min(self._MOST, self._credit + self._bandwidth * (cycle - self._last))
        if credit < _BEAT:
            wait = -(-(_BEAT - credit) // self._bandwidth)
            cycle, credit = cycle + wait, credit + wait * self._bandwidth
        self._last, self._credit = cycle, credit - _BEAT
        return cycle


class _ReadChannel:
    """AR and R: one request per cycle, round robin over the clients; beats come in the order of the requests."""

    def __init__(self, clock: _Clock, memory: MemoryModel, latencies: Latencies) -> None:
        self._clock, self._memory, self._latencies = clock, memory, latencies
        self._asked = _Signal(clock)
        self._answered = _Signal(clock)
        self._wanted: dict[str, int] = {}
        self._given: dict[str, list[int]] = {}
        self._beats = _Beats(memory)

    def read(self, client: str, beats: int) -> Generator[Any, None, list[int]]:
        """Ask for a burst; gives the cycles in which the client sees its beats."""
        self._wanted[client] = beats
        self._asked.give()
        while client not in self._given:
            yield self._answered
        return self._given.pop(client)

    def serve(self) -> _Process:
        """The channel's own process."""
        clients = ("controller", "load", "weights")
        former = 0
        flying: deque[int] = deque()
        while True:
            while not self._wanted:
                yield self._asked
            if len(flying) == self._latencies.outstanding_reads:
                yield flying.popleft()
            order = ((former + offset) % len(clients) for offset in range(1, len(clients) + 1))
            former = next(index for index in order if clients[index] in self._wanted)
            beats = self._wanted.pop(clients[former])
            first = self._clock.now + self._latencies.request + self._memory.latency
            cycles = [self._beats.next(first) + self._latencies.beat for _ in range(beats)]
            flying.append(cycles[-1])
            self._given[clients[former]] = cycles
            self._answered.give()
            yield self._clock.now + 1


# --- The machine ------------------------------------------------------------------------------------------


class _Machine:
    """All processes of a run, and what they tell each other."""

    def __init__(self, program: Program, memory: MemoryModel, latencies: Latencies) -> None:
        self._params, self._latencies, self._memory = program.params, latencies, memory
        self._clock = _Clock()
        self._channel = _ReadChannel(self._clock, memory, latencies)
        self._instructions = list(program.decoded())
        self._targets: list[dict[Opcode, int]] = []
        counts = dict.fromkeys(_COUNTED, 0)
        for opcode, fields in self._instructions:
            self._targets.append({e: resolve_wait(fields[f"wait_{e.name.lower()}"], counts[e]) for e in _COUNTED})
            if opcode in counts:
                counts[opcode] += 1
        self._completions = [0] * len(self._instructions)
        self._tokens: dict[Opcode, list[int]] = {engine: [] for engine in _COUNTED}  # the cycle of each
        self._queues: dict[Opcode, deque[int]] = {opcode: deque() for opcode in Opcode}
        self._fetched: list[int] = []  # the cycle of each instruction's last beat
        self._handed_out = 0
        self._dispatched = [0] * len(self._instructions)
        self._changed = _Signal(self._clock)  # tokens, queues
        # The weight stream. For each vector the cycle in which it reaches the head, and the beats that leave with it;
        # then the cycles in which beats left, tiles were in the shadow registers, passes started, and blocks ended.
        self._vectors: deque[tuple[int, int]] = deque()
        self._beats_gone: list[int] = []
        self._tiles_ready: list[int] = []
        self._starts: list[int] = []
        self._blocks_done: list[int] = []
        self._stream = _Signal(self._clock)
        self._bursts: deque[list[int]] = deque()  # of LOAD: the cycles of the beats
        self._loading: deque[int] = deque()
        self._load_beats_gone: list[int] = []
        self._loaded = _Signal(self._clock)
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._array_free = 0
        self._total: int | None = None

    def run(self) -> Prediction:
        processes = (
            self._channel.serve(), self._fetch(), self._dispatch(), self._load(), self._write_vectors(),
            self._weights(), self._hand_out(), self._compute(), self._store(), self._end(),
        )  # fmt: skip
        for process in processes:
            self._clock.resume(process, 0)
        self._clock.run()
        if self._total is None:
            raise ValueError("the program does not end: an instruction waits for ever")
        self._counters["idle"] += self._total - self._array_free
        return Prediction(self._total, tuple(self._completions), self._counters)

    # --- Instructions and tokens --------------------------------------------------------------------------

    def _fetch(self) -> _Process:
        """Read the program, an instruction at a time, ahead of what was handed out."""
        lat = self._latencies
        yield lat.start
        for index in range(len(self._instructions)):
            while index - self._handed_out >= lat.fetch_ahead:
                yield self._changed
            beats = yield from self._channel.read("controller", INSTRUCTION_BYTES // self._params.axi_bytes)
            self._fetched.append(beats[-1])
            self._changed.give()
            yield self._clock.now + lat.fetch_pace

    def _dispatch(self) -> _Process:
        """Hand each instruction to its engine's queue, in order, while the next one's beats are put together."""
        lat = self._latencies
        pace = INSTRUCTION_BYTES // self._params.axi_bytes + lat.dispatch
        for index, (opcode, _) in enumerate(self._instructions):
            while len(self._fetched) <= index:
                yield self._changed
            yield self._fetched[index] + lat.fetched
            while len(self._queues[opcode]) >= lat.queue:
                yield self._changed
            self._dispatched[index] = self._clock.now
            self._handed_out += 1
            self._queues[opcode].append(index)
            self._changed.give()
            yield self._clock.now + pace

    def _next(self, opcode: Opcode) -> Generator[Any, None, tuple[int, Fields]]:
        """The engine's next instruction, its tokens given; now is the cycle in which it leaves the gate."""
        while not self._queues[opcode]:
            yield self._changed
        index = self._queues[opcode][0]
        yield self._dispatched[index] + self._latencies.gate
        for engine, count in self._targets[index].items():
            while len(self._tokens[engine]) < count:
                yield self._changed
            if count:
                yield self._tokens[engine][count - 1]
        self._queues[opcode].popleft()
        self._changed.give()
        return index, self._instructions[index][1]

    def _finish(self, opcode: Opcode, index: int, cycle: int) -> _Process:
        """Give a token."""
        yield cycle
        self._completions[index] = cycle
        self._tokens[opcode].append(cycle)
        self._changed.give()

    def _end(self) -> _Process:
        lat = self._latencies
        index = len(self._instructions) - 1
        while not self._queues[Opcode.END]:
            yield self._changed
        yield self._clock.now + lat.end
        for engine in _COUNTED:
            count = sum(opcode is engine for opcode, _ in self._instructions)
            while len(self._tokens[engine]) < count:
                yield self._changed
        self._total = self._completions[index] = self._clock.now + lat.finish

    def _split(self, start: int, size: int) -> Iterator[tuple[int, int]]:
        """Bytes and beats of the bursts of a run; bursts end at multiples of the longest."""
        beat = self._params.axi_bytes
        window = beat * self._latencies.burst_beats
        end = start + size
        edges = [start, *range(start // window * window + window, end, window), end]
        for low, high in pairwise(edges):
            yield high - low, -(-high // beat) - low // beat

    # --- LOAD ---------------------------------------------------------------------------------------------

    def _load(self) -> _Process:
        """Ask for bursts as long as there is room for the longest."""
        lat = self._latencies
        asked = 0
        while True:
            index, fields = yield from self._next(Opcode.LOAD)
            self._loading.append(index)
            yield self._clock.now + lat.split
            for run in range(fields["runs"]):
                for _, beats in self._split(fields["offset"] + run * fields["run_pitch"], fields["run_bytes"]):
                    gone = asked + lat.burst_beats - lat.load_beats
                    while len(self._load_beats_gone) < gone:
                        yield self._loaded
                    if gone > 0:
                        yield self._load_beats_gone[gone - 1] + 1
                    self._bursts.append((yield from self._channel.read("load", beats)))
                    asked += beats
                    self._loaded.give()

    def _write_vectors(self) -> _Process:
        """Cut the beats into vectors; one beat in and one vector out per cycle."""
        lat, beat_bytes = self._latencies, self._params.axi_bytes
        last = 0
        while True:
            while not self._loading:
                yield self._loaded
            index = self._loading.popleft()
            fields = self._instructions[index][1]
            vectors = self._vector_ends(fields)
            have = 0
            end = next(vectors, None)
            for run in range(fields["runs"]):
                start = fields["offset"] + run * fields["run_pitch"]
                for size, _ in self._split(start, fields["run_bytes"]):
                    while not self._bursts:
                        yield self._loaded
                    left, room = size, beat_bytes - start % beat_bytes
                    for cycle in self._bursts.popleft():
                        have, left, room = have + min(left, room), left - min(left, room), beat_bytes
                        while end is not None and end <= have:
                            last = max(last + 1, cycle + lat.load)
                            end = next(vectors, None)
                        self._load_beats_gone.append(max(last - lat.load, cycle) + lat.fifo)
                    start += size
                    self._loaded.give()
            self._clock.resume(self._finish(Opcode.LOAD, index, last + lat.token), last + lat.token)

    def _vector_ends(self, fields: Fields) -> Iterator[int]:
        """How many bytes of the stream each vector of an image needs."""
        vector, channels = self._params.vector, fields["channels"]
        for pixel in range(fields["rows"] * fields["width"]):
            yield from range(pixel * channels + vector, (pixel + 1) * channels, vector)
            yield (pixel + 1) * channels

    # --- WEIGHTS ------------------------------------------------------------------------------------------

    def _weights(self) -> _Process:
        """Ask for bursts as long as the FIFO has room for the longest."""
        lat, beat_bytes, cols = self._latencies, self._params.axi_bytes, self._params.cols
        capacity = self._params.weight_fifo_bytes // beat_bytes
        asked = 0
        while True:
            _, fields = yield from self._next(Opcode.WEIGHTS)
            yield self._clock.now + lat.split
            count, number = fields["bytes"] // cols, 0
            arrivals: list[int] = []
            for _, beats in self._split(0, fields["bytes"]):
                gone = asked + lat.burst_beats - capacity
                while len(self._beats_gone) < gone:
                    yield self._stream
                if gone > 0:
                    yield self._beats_gone[gone - 1] + 1
                arrivals += yield from self._channel.read("weights", beats)
                asked += beats
                while number < count and (number + 1) * cols <= len(arrivals) * beat_bytes:
                    end = (number + 1) * cols
                    leaving = -(-end // beat_bytes) if number == count - 1 else end // beat_bytes
                    cycle = arrivals[(end - 1) // beat_bytes] + lat.weights
                    self._vectors.append((cycle, leaving - number * cols // beat_bytes))
                    number += 1
                self._stream.give()

    def _hand_out(self) -> _Process:
        """Take the vectors from the head: constants and tables at once, a tile from the swap before it on."""
        ring = self._latencies.constant_blocks
        cycle = former = tiles = blocks = 0
        for index, (opcode, fields) in enumerate(self._instructions):
            if opcode is not Opcode.WEIGHTS:
                continue
            for kind, vectors, pace in self._pieces(fields):
                if kind == "tile" and tiles:
                    while len(self._starts) < tiles:
                        yield self._stream
                    cycle = max(cycle, self._starts[tiles - 1] - 1)
                elif kind == "constants" and blocks >= ring:
                    while len(self._blocks_done) <= blocks - ring:
                        yield self._stream
                    cycle = max(cycle, self._blocks_done[blocks - ring])
                for _ in range(vectors):
                    while not self._vectors:
                        yield self._stream
                    arrival, leaving = self._vectors.popleft()
                    cycle = max(cycle + pace, arrival)
                    self._beats_gone += [max(former, arrival - 1)] * leaving  # the head is a register behind the FIFO
                    former = cycle
                tiles += kind == "tile"
                blocks += kind == "constants"
                if kind == "tile":
                    self._tiles_ready.append(cycle)
                self._stream.give()
            self._completions[index] = cycle

    def _pieces(self, fields: Fields) -> Iterator[tuple[str, int, int]]:
        """Kind, vectors, and cycles per vector of each piece of a stream."""
        if fields["stream"] is Stream.TABLES:
            yield "tables", fields["bytes"] // self._params.cols, max(1, self._params.cols // _PAIR_BYTES)
            return
        tiles = [fields["rows"]] * (fields["tiles"] - 1) + [fields["last_rows"]]
        for _ in range(fields["blocks"]):
            yield "constants", CONSTANT_VECTORS, 1
            yield from (("tile", rows, 1) for rows in tiles * fields["groups"])

    # --- COMPUTE ------------------------------------------------------------------------------------------

    def _compute(self) -> _Process:
        """Start each pass when its instruction, its weights, and the pass before it allow."""
        lat = self._latencies
        former = _Pass(0, 0, 0, 0, False)
        while True:
            index, fields = yield from self._next(Opcode.COMPUTE)
            marks = self._waited(index)
            earliest = self._clock.now + lat.compute
            block = passes(fields, self._params)
            for _ in range(fields["blocks"]):
                for this in block:
                    ready = max(earliest, self._array_free + _gap(former, this, self._params))
                    if self._starts:
                        ready = max(ready, self._starts[-1] + lat.reuse)
                    while len(self._tiles_ready) <= len(self._starts):
                        yield self._stream
                    start = max(ready, self._tiles_ready[len(self._starts)] + 1)
                    self._attribute([*marks, ("wait_tokens", ready - 1), ("wait_weights", start)])
                    marks = []
                    self._starts.append(start)
                    self._array_free = start + this.cycles
                    self._counters["active"] += this.steps
                    self._counters["wait_tokens"] += this.cycles - this.steps
                    if this.ends_block:
                        self._blocks_done.append(self._array_free - 1 + lat.result(self._params))
                    self._stream.give()
                    former = this
                    yield start
            done = self._array_free - 1 + lat.result(self._params)
            self._clock.resume(self._finish(Opcode.COMPUTE, index, done), done)

    def _waited(self, index: int) -> list[tuple[str, int]]:
        """What a COMPUTE that leaves its gate now has waited for, and until when."""
        marks = [("idle", self._dispatched[index] + self._latencies.gate)]
        for name, engine in _GATED:
            if count := self._targets[index][engine]:
                marks.append((name, self._tokens[engine][count - 1]))
        return [*marks, ("idle", self._clock.now + 1)]

    def _attribute(self, marks: list[tuple[str, int]]) -> None:
        """Give the cycles since the former pass to the categories, each up to its mark; the last is the next pass."""
        at, start = self._array_free, marks[-1][1]
        for name, mark in marks:
            until = max(at, min(mark, start))
            self._counters[name] += until - at
            at = until

    # --- STORE --------------------------------------------------------------------------------------------

    def _store(self) -> _Process:
        """Read a vector per cycle, write a beat per cycle; the next instruction starts behind the last beat."""
        lat, beat_bytes = self._latencies, self._params.axi_bytes
        bus = _Beats(self._memory)
        answers: list[int] = []
        while True:
            index, fields = yield from self._next(Opcode.STORE)
            cycle = self._clock.now + lat.store - 1
            vectors = self._vector_ends(fields)
            end = have = 0
            for run in range(fields["runs"]):
                start = fields["offset"] + run * fields["run_pitch"]
                for size, _ in self._split(start, fields["run_bytes"]):
                    left, room = size, beat_bytes - start % beat_bytes
                    if len(answers) >= lat.outstanding_writes:
                        cycle = max(cycle, answers[-lat.outstanding_writes])
                    while left:
                        have, left, room = have + min(left, room), left - min(left, room), beat_bytes
                        while end < have:
                            end, cycle = next(vectors), cycle + 1
                        beat = bus.next(cycle)
                    answers.append(beat + self._memory.write_latency)
                    start += size
            done = answers[-1] + lat.token
            self._clock.resume(self._finish(Opcode.STORE, index, done), done)
            yield beat


def _gap(former: _Pass, this: _Pass, params: Parameters) -> int:
    """Cycles between two passes that the delay of the pixels needs (architecture: Depthwise mode)."""
    if not former.group or not this.group:
        return 0
    return max(0, former.lead - this.lead) + (params.rows if this.group < former.group else 0)
