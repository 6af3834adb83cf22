"""The machine of the cycle model: a process for the controller and each engine, and the state that they share."""

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

from ..hw.encoding import Fields
from ..hw.isa import INSTRUCTION_BYTES, Opcode
from ..hw.legality import resolve_wait
from ..hw.program import Program
from .clock import Clock, Process, Signal
from .latencies import Latencies, MemoryModel
from .passes import Pass, gap, passes
from .read_channel import Beats, ReadChannel
from .streams import bursts, pieces, vector_ends

__all__ = ["COUNTERS", "Machine"]

COUNTERS = ("active", "wait_weights", "wait_input", "wait_output", "wait_tokens", "idle")

_COUNTED = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)
_GATED = (("wait_input", Opcode.LOAD), ("wait_output", Opcode.STORE), ("wait_tokens", Opcode.COMPUTE))


class Machine:
    """All processes of a run, and what they tell each other."""

    def __init__(self, program: Program, memory: MemoryModel, latencies: Latencies) -> None:
        self._params, self._latencies, self._memory = program.params, latencies, memory
        self._clock = Clock()
        self._channel = ReadChannel(self._clock, memory, latencies)
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
        self._changed = Signal(self._clock)  # tokens, queues
        # The weight stream. For each vector the cycle in which it reaches the head, and the beats that leave with it;
        # then the cycles in which beats left, tiles were in the shadow registers, passes started, and blocks ended.
        self._vectors: deque[tuple[int, int]] = deque()
        self._beats_gone: list[int] = []
        self._tiles_ready: list[int] = []
        self._starts: list[int] = []
        self._blocks_done: list[int] = []
        self._stream = Signal(self._clock)
        self._bursts: deque[list[int]] = deque()  # of LOAD: the cycles of the beats
        self._loading: deque[int] = deque()
        self._load_beats_gone: list[int] = []
        self._loaded = Signal(self._clock)
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._array_free = 0
        self._total: int | None = None

    def run(self) -> tuple[int, tuple[int, ...], dict[str, int]]:
        """The total, the completions and the counters. Raises ``ValueError`` if the run would not end."""
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
        return self._total, tuple(self._completions), self._counters

    # --- Instructions and tokens --------------------------------------------------------------------------

    def _fetch(self) -> Process:
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

    def _dispatch(self) -> Process:
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

    def _finish(self, opcode: Opcode, index: int, cycle: int) -> Process:
        """Give a token."""
        yield cycle
        self._completions[index] = cycle
        self._tokens[opcode].append(cycle)
        self._changed.give()

    def _end(self) -> Process:
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
        """Bytes and beats of the bursts of a run."""
        return bursts(start, size, self._params.axi_bytes, self._latencies.burst_beats)

    # --- LOAD ---------------------------------------------------------------------------------------------

    def _load(self) -> Process:
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

    def _write_vectors(self) -> Process:
        """Cut the beats into vectors; one beat in and one vector out per cycle."""
        lat, beat_bytes = self._latencies, self._params.axi_bytes
        last = 0
        while True:
            while not self._loading:
                yield self._loaded
            index = self._loading.popleft()
            fields = self._instructions[index][1]
            vectors = vector_ends(fields, self._params)
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

    # --- WEIGHTS ------------------------------------------------------------------------------------------

    def _weights(self) -> Process:
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

    def _hand_out(self) -> Process:
        """Take the vectors from the head: constants and tables at once, a tile from the swap before it on."""
        ring = self._latencies.constant_blocks
        cycle = former = tiles = blocks = 0
        for index, (opcode, fields) in enumerate(self._instructions):
            if opcode is not Opcode.WEIGHTS:
                continue
            for kind, vectors, pace in pieces(fields, self._params):
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

    # --- COMPUTE ------------------------------------------------------------------------------------------

    def _compute(self) -> Process:
        """Start each pass when its instruction, its weights, and the pass before it allow."""
        lat = self._latencies
        former = Pass(0, 0, 0, 0, 0, 0, False)
        while True:
            index, fields = yield from self._next(Opcode.COMPUTE)
            marks = self._waited(index)
            earliest = self._clock.now + lat.compute
            block = passes(fields, self._params)
            for _ in range(fields["blocks"]):
                for this in block:
                    ready = max(earliest, self._array_free + gap(former, this, self._params))
                    if self._starts:
                        ready = max(ready, self._starts[-1] + lat.reuse)
                    while len(self._tiles_ready) <= len(self._starts):
                        yield self._stream
                    start = max(ready, self._tiles_ready[len(self._starts)] + 1)
                    self._attribute([*marks, ("wait_tokens", ready - 1), ("wait_weights", start)])
                    marks = []
                    self._starts.append(start + this.late)
                    self._array_free = start + this.cycles
                    self._counters["active"] += this.steps
                    self._counters["wait_tokens"] += this.cycles - this.steps
                    if this.ends_block:
                        self._blocks_done.append(self._array_free - 1 - this.tail + lat.result(self._params))
                    self._stream.give()
                    former = this
                    yield start
            done = self._blocks_done[-1] + lat.mean(fields, self._params)
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

    def _store(self) -> Process:
        """Read a vector per cycle, write a beat per cycle; the next instruction starts behind the last beat."""
        lat, beat_bytes = self._latencies, self._params.axi_bytes
        bus = Beats(self._memory)
        answers: list[int] = []
        while True:
            index, fields = yield from self._next(Opcode.STORE)
            cycle = self._clock.now + lat.store - 1
            vectors = vector_ends(fields, self._params)
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
