"""The machine of the cycle model: a process for the controller and each engine, and the state that they share."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from ..hw.encoding import Fields
from ..hw.isa import INSTRUCTION_BYTES, Opcode
from ..hw.legality import resolve_wait
from ..hw.params import Parameters
from .bank_reads import BankReads
from .clock import Clock, Process, Signal
from .lanes import LaneQueue
from .latencies import Latencies, MemoryModel
from .passes import Pass, gap, passes, result_steps, result_writes
from .read_channel import Beats, ReadChannel
from .streams import bursts, pieces, vector_banks, vector_ends

__all__ = ["COUNTERS", "Machine"]

COUNTERS = ("active", "wait_weights", "wait_input", "wait_output", "wait_tokens", "idle")

_COUNTED = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)
_GATED = (("wait_input", Opcode.LOAD), ("wait_output", Opcode.STORE), ("wait_tokens", Opcode.COMPUTE))


class _Transfers:
    """The instructions of an engine that reads: those accepted and not yet cut into bursts, each with the cycle of its
    acceptance; the cycles in which a transfer left the splitter's register, and an instruction the queue behind it."""

    def __init__(self, clock: Clock) -> None:
        self.accepted: deque[tuple[int, Fields]] = deque()
        self.cycles: list[int] = []
        self.register_free: list[int] = []
        self.queue_free: list[int] = []
        self.changed = Signal(clock)


class Machine:
    """All processes of a run, and what they tell each other."""

    def __init__(
        self,
        instructions: Sequence[tuple[Opcode, Fields]],
        params: Parameters,
        memory: MemoryModel,
        latencies: Latencies,
    ) -> None:
        self._params, self._latencies, self._memory = params, latencies, memory
        self._clock = Clock()
        self._channel = ReadChannel(self._clock, memory, latencies)
        self._instructions = instructions
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
        self._taken: list[int] = []  # and the one in which that beat left the queue of beats
        self._dispatched = [0] * len(self._instructions)
        self._gated = [0] * len(self._instructions)  # may leave the gate, tokens aside
        self._left: dict[Opcode, list[int]] = {opcode: [] for opcode in Opcode}  # when they left it
        self._changed = Signal(self._clock)  # tokens, queues
        # The weight stream. For each vector the cycle in which it reaches the head at the earliest, and the beats that leave the
        # FIFO with it; then the cycles in which vectors left the head, beats left the FIFO, tiles were in the shadow registers,
        # passes started, and blocks ended.
        self._vectors: list[tuple[int, int]] = []
        self._vectors_left: list[int] = []
        self._beats_gone: list[int] = []
        self._tiles_ready: list[int] = []
        self._starts: list[int] = []
        self._blocks_done: list[int] = []
        self._stream = Signal(self._clock)
        self._streams = _Transfers(self._clock)
        self._loads = _Transfers(self._clock)
        self._bursts: deque[list[int]] = deque()  # of LOAD: the cycles of the beats
        self._load_beats_gone: list[int] = []
        self._loading = any(opcode is Opcode.LOAD for opcode, _ in self._instructions)
        self._result_writes: set[tuple[int, int]] = set()  # cycles and banks, as long as there are LOADs that they hold up
        self._loaded = Signal(self._clock)
        self._lanes = LaneQueue(params, latencies.sums(params)) if params.parts > 1 else None
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._array_free = 0
        self._reads: deque[tuple[int, int, BankReads]] = deque(maxlen=4)  # of the latest passes: start, number, what they read
        self._total: int | None = None

    def run(self) -> tuple[int, tuple[int, ...], dict[str, int]]:
        """The total, the completions and the counters. Raises ``ValueError`` if the run would not end."""
        processes = (
            self._fetch(), self._dispatch(),
            self._accept(Opcode.LOAD, self._loads, self._latencies.load_queue), self._load(), self._write_vectors(),
            self._accept(Opcode.WEIGHTS, self._streams, self._latencies.weights_queue), self._weights(), self._take_vectors(),
            self._hand_out(), self._compute(), self._end(),
        )  # fmt: skip
        for process in processes:
            self._clock.start(process)
        for process in (self._channel.serve(), self._store()):
            self._clock.start(process, arbiter=True)
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
            if index >= lat.fetch_ahead:
                while len(self._taken) <= index - lat.fetch_ahead:
                    yield self._changed
                yield self._taken[index - lat.fetch_ahead] + lat.fetch_again
            yield from self._channel.ask("controller", INSTRUCTION_BYTES // self._params.axi_bytes)
            beats = yield from self._channel.answer("controller")
            self._fetched.append(beats[-1])
            self._changed.give()

    def _dispatch(self) -> Process:
        """Put each instruction together from its beats, and hand it to its engine's gate, in order."""
        lat = self._latencies
        beats = INSTRUCTION_BYTES // self._params.axi_bytes
        sent = dict.fromkeys(self._left, 0)
        for index, (opcode, _) in enumerate(self._instructions):
            handed_out = self._clock.now
            while len(self._fetched) <= index:
                yield self._changed
            yield max(self._fetched[index] + lat.fifo + lat.late, handed_out + beats)
            self._taken.append(self._clock.now)
            self._changed.give()
            yield self._clock.now + lat.dispatch
            left = self._left[opcode]
            while len(left) < sent[opcode]:
                yield self._changed
            if left:
                yield max(self._clock.now, left[-1] + 1)
            sent[opcode] += 1
            self._dispatched[index] = self._clock.now
            self._queues[opcode].append(index)
            self._changed.give()

    def _next(self, opcode: Opcode) -> Generator[Any, None, tuple[int, Fields]]:
        """The engine's next instruction, its tokens given; now is the cycle in which it leaves the gate."""
        while not self._queues[opcode]:
            yield self._changed
        index = self._queues[opcode][0]
        left = self._left[opcode]
        self._gated[index] = self._dispatched[index] + self._latencies.gate
        yield self._gated[index]
        for engine, count in self._targets[index].items():
            while len(self._tokens[engine]) < count:
                yield self._changed
            if count:
                yield self._tokens[engine][count - 1]
        self._queues[opcode].popleft()
        left.append(self._clock.now)
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

    def _accept(self, opcode: Opcode, transfers: _Transfers, queue: int) -> Process:
        """Take instructions while the splitter's register and the queue behind it have room."""
        number = 0
        while True:
            for freed, room in ((transfers.register_free, 1), (transfers.queue_free, queue)):
                if number >= room:
                    while len(freed) <= number - room:
                        yield transfers.changed
                    yield freed[number - room] + 1
            _, fields = yield from self._next(opcode)
            transfers.accepted.append((self._clock.now, fields))
            transfers.cycles.append(self._clock.now)
            transfers.changed.give()
            number += 1

    def _cut(self, transfers: _Transfers) -> Generator[Any, None, Fields]:
        """Wait for the next transfer, and until its first burst can be asked for after the former transfer's last."""
        while not transfers.accepted:
            yield transfers.changed
        accepted, fields = transfers.accepted.popleft()
        yield max(accepted, self._clock.now - 1) + self._latencies.split
        return fields

    def _release(self, transfers: _Transfers, cycle: int) -> None:
        """The splitter's register is free behind the cycle in which the first burst of the last run was made."""
        transfers.register_free.append(cycle)
        transfers.changed.give()

    # --- LOAD ---------------------------------------------------------------------------------------------

    def _load(self) -> Process:
        """Ask for bursts as long as there is room for the longest."""
        lat = self._latencies
        asked = 0
        while True:
            fields = yield from self._cut(self._loads)
            starts = (fields["offset"] + run * fields["run_pitch"] for run in range(fields["runs"]))
            runs = [[beats for _, beats in self._split(start, fields["run_bytes"])] for start in starts]
            left = len(runs[-1])
            if len(runs) == 1:
                self._release(self._loads, self._clock.now - 1)
            for number, beats in enumerate(sizes := [beats for run in runs for beats in run], start=1):
                gone = asked + lat.burst_beats - lat.load_beats
                while len(self._load_beats_gone) < gone:
                    yield self._loaded
                if gone > 0:
                    yield self._load_beats_gone[gone - 1] + lat.freed
                yield from self._channel.ask("load", beats)
                if number == len(sizes) - left:
                    self._release(self._loads, self._clock.now)
                self._bursts.append((yield from self._channel.answer("load")))
                asked += beats
                self._loaded.give()

    def _write_vectors(self) -> Process:
        """Take beats into the realigner's ring while it has room, and vectors out of it: one of each per cycle."""
        lat, beat_bytes = self._latencies, self._params.axi_bytes
        spare = 4 * max(beat_bytes, self._params.vector) - beat_bytes
        done = former = left_realigner = entered = 0  # `done` and `former`: the latest writes
        loads = (item for item in enumerate(self._instructions) if item[1][0] is Opcode.LOAD)
        for number, (index, (_, fields)) in enumerate(loads):
            while len(self._loads.cycles) <= number:
                yield self._loads.changed
            begin = max(self._loads.cycles[number] + lat.queued, done + lat.loaded)
            self._loads.queue_free.append(begin)
            self._loads.changed.give()
            ends = list(vector_ends(fields, self._params))
            banks = vector_banks(fields, self._params)
            given: list[int] = []  # the cycle in which each vector leaves the ring
            taken, beat, room_for, ready = 0, begin + lat.walk - 1, 0, 0
            for run in range(fields["runs"]):
                start = fields["offset"] + run * fields["run_pitch"]
                for size, _ in self._split(start, fields["run_bytes"]):
                    while not self._bursts:
                        yield self._loaded
                    end = start + size
                    for cycle in self._bursts.popleft():
                        left = max(cycle + lat.fifo, entered)  # its queue, for the register behind that
                        beat = max(beat + 1, left + lat.late)
                        while ends[room_for] < taken - spare:
                            room_for += 1
                        if taken > spare:
                            beat = max(beat, given[room_for] + 1)
                        count = min(end, start // beat_bytes * beat_bytes + beat_bytes) - start
                        start, taken = start + count, taken + count
                        yield left
                        self._load_beats_gone.append(left)
                        self._loaded.give()
                        yield beat
                        entered = beat
                        while len(given) < len(ends) and ends[len(given)] <= taken:
                            given.append(max(beat + lat.ring, ready))
                            # Out of the realigner's register into the two behind it, when the one before the last has left those.
                            ready = max(given[-1] + 1, left_realigner)
                            left_realigner = max(ready, former) + 1
                            former, done = done, max(left_realigner, done) + 1
                            while (done, banks[len(given) - 1]) in self._result_writes:
                                done += 1
            self._clock.resume(self._finish(Opcode.LOAD, index, done + lat.loaded), done + lat.loaded)
        self._loading = False

    # --- WEIGHTS ------------------------------------------------------------------------------------------

    def _weights(self) -> Process:
        """Ask for bursts as long as the FIFO has room for the longest."""
        lat, beat_bytes, cols = self._latencies, self._params.axi_bytes, self._params.cols
        capacity = self._params.weight_fifo_bytes // beat_bytes
        latency = lat.weights + (cols > beat_bytes)  # beats are put together in a register
        asked = 0
        while True:
            fields = yield from self._cut(self._streams)
            self._release(self._streams, self._clock.now - 1)
            count, number = fields["bytes"] // cols, 0
            arrivals: list[int] = []
            for _, beats in self._split(fields["offset"], fields["bytes"]):
                gone = asked + lat.burst_beats - capacity
                while len(self._beats_gone) < gone:
                    yield self._stream
                if gone > 0:
                    yield self._beats_gone[gone - 1] + lat.freed
                yield from self._channel.ask("weights", beats)
                arrivals += yield from self._channel.answer("weights")
                asked += beats
                while number < count and (number + 1) * cols <= len(arrivals) * beat_bytes:
                    end = (number + 1) * cols
                    leaving = -(-end // beat_bytes) if number == count - 1 else end // beat_bytes
                    cycle = arrivals[(end - 1) // beat_bytes] + latency
                    self._vectors.append((cycle, leaving - number * cols // beat_bytes))
                    number += 1
                self._stream.give()

    def _take_vectors(self) -> Process:
        """Take vectors from the FIFO into the two registers behind it: each when the one before the last has left them.

        Their names are two ahead of them, and an instruction leaves its queue when the last one of the instruction before does.
        """
        taken = count = told = 0
        latest = [0, 0, 0]  # cycles in which vectors were taken
        streams = (fields for opcode, fields in self._instructions if opcode is Opcode.WEIGHTS)
        for number, fields in enumerate(streams):
            while len(self._streams.cycles) <= number:
                yield self._streams.changed
            self._streams.queue_free.append(max(self._streams.cycles[number] + self._latencies.fifo, latest[0] + 1))
            self._streams.changed.give()
            for _ in range(fields["bytes"] // self._params.cols):
                while len(self._vectors) <= count or len(self._vectors_left) < count - 1:
                    if told < count:
                        told = count
                        self._stream.give()
                    yield self._stream
                arrival, leaving = self._vectors[count]
                taken = max(taken + 1, arrival - 1, self._vectors_left[count - 2] + 1 if count > 1 else 0)
                self._beats_gone += [taken] * leaving
                latest = [*latest[1:], taken]
                count += 1
            self._stream.give()

    def _hand_out(self) -> Process:
        """Take the vectors from the head: constants and tables at once, a tile from the swap before it on."""
        ring = self._latencies.constant_parts // self._params.parts
        cycle = tiles = blocks = 0
        for index, (opcode, fields) in enumerate(self._instructions):
            if opcode is not Opcode.WEIGHTS:
                continue
            for kind, vectors, pace in pieces(fields, self._params):
                for position in range(vectors):
                    while len(self._vectors) <= len(self._vectors_left):
                        yield self._stream
                    arrival, _ = self._vectors[len(self._vectors_left)]
                    if position == 0 and kind == "tile" and tiles:
                        while len(self._starts) < tiles:
                            yield self._stream
                        cycle = max(cycle, self._starts[tiles - 1] - 1)
                    elif position == 0 and kind == "constants" and blocks >= ring:
                        while len(self._blocks_done) <= blocks - ring:
                            yield self._stream
                        cycle = max(cycle, self._blocks_done[blocks - ring])
                    cycle = max(cycle + pace, arrival + pace - 1)
                    self._vectors_left.append(cycle)
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
        former = Pass(0, 0, 0, 0, 0, False)
        while True:
            index, fields = yield from self._next(Opcode.COMPUTE)
            marks = self._waited(index)
            earliest = self._clock.now + lat.compute
            block = passes(fields, self._params)
            steps = result_steps(fields, self._params)
            reads = BankReads(fields, self._params)
            for _ in range(fields["blocks"]):
                for number, this in enumerate(block):
                    ready = max(earliest, self._array_free + gap(former, this, self._params))
                    if self._starts:
                        ready = max(ready, self._starts[-1] + lat.reuse)
                    if self._lanes and this.ends_block:
                        ready = self._lanes.room(ready)
                    while len(self._tiles_ready) <= len(self._starts):
                        yield self._stream
                    start = max(ready, self._tiles_ready[len(self._starts)] + 1)
                    self._attribute([*marks, ("wait_tokens", ready - 1), ("wait_weights", start)])
                    marks = []
                    self._starts.append(start + this.late)
                    self._reads.append((start, number, reads))
                    if this.ends_block:
                        out = start + steps
                        if self._lanes:
                            out = self._lanes.pass_through(out)
                        if self._loading:
                            behind = lat.result(self._params) - lat.token + lat.write
                            writes = result_writes(fields, out + behind, self._params)
                            self._result_writes.update(writes)
                        self._blocks_done.append(int(out[-1, -1]) + lat.result(self._params))
                    self._array_free = start + this.cycles
                    self._counters["active"] += this.steps
                    self._counters["wait_tokens"] += this.cycles - this.steps
                    self._stream.give()
                    former = this
                    yield start
            done = self._blocks_done[-1] + lat.mean(fields, self._params)
            self._clock.resume(self._finish(Opcode.COMPUTE, index, done), done)

    def _waited(self, index: int) -> list[tuple[str, int]]:
        """What a COMPUTE that leaves its gate now has waited for, and until when."""
        marks = [("idle", self._gated[index])]
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
        """Read vectors as the array and the room for them allow, write a beat per cycle; the next instruction starts behind
        the last beat."""
        lat, beat_bytes, vector = self._latencies, self._params.axi_bytes, self._params.vector
        room = 4 * max(beat_bytes, vector) - vector  # in the realigner's ring, for it to take a vector more
        bus = Beats(self._memory)
        answers: list[int] = []
        beats = deque([-1, -1], maxlen=2)
        while True:
            index, fields = yield from self._next(Opcode.STORE)
            read = entered = given = self._clock.now + lat.store_read - 1
            vectors = zip(vector_ends(fields, self._params), vector_banks(fields, self._params), strict=True)
            left: deque[int] = deque([0] * lat.store_reads, maxlen=lat.store_reads)  # when vectors went into the ring
            gone: deque[tuple[int, int]] = deque()  # bytes that are out of the ring, and since when
            end = have = 0
            for run in range(fields["runs"]):
                start = fields["offset"] + run * fields["run_pitch"]
                for size, _ in self._split(start, fields["run_bytes"]):
                    after = answers[-lat.outstanding_writes] + 1 if len(answers) >= lat.outstanding_writes else 0
                    while size:
                        count = min(size, beat_bytes - start % beat_bytes)
                        have, size, start = have + count, size - count, start + count
                        while end < have:
                            while gone and gone[0][0] < end - room:
                                gone.popleft()
                            fits = gone[0][1] + 1 if end > room else 0
                            end, bank = next(vectors)
                            read = yield from self._read(bank, max(read + 1, left[0] + 1))
                            entered = max(entered + 1, read + lat.store_queue, fits)
                            left.append(entered)
                        given = max(given + 1, entered + lat.store_ring, beats[0], after - lat.store_out)
                        gone.append((have, given))
                        beats.append(bus.next(given + lat.store_out))
                    answers.append(beats[-1] + self._memory.write_latency)
            done = answers[-1] + lat.token
            self._clock.resume(self._finish(Opcode.STORE, index, done), done)
            yield given + 1

    def _read(self, bank: int, cycle: int) -> Generator[Any, None, int]:
        """The first cycle, from this one on, in which the array leaves a bank to STORE."""
        while True:
            yield cycle
            at = cycle - self._latencies.issue
            taken = next(((start, number, reads) for start, number, reads in reversed(self._reads) if start <= at), None)
            if taken is None or not taken[2].taken(taken[1], at - taken[0], bank):
                return cycle
            cycle += 1
