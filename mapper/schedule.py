"""The order of instructions, and the tokens each waits for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..hw.isa import Opcode, Pool
from ..hw.params import BANKS, Parameters
from .allocate import Allocation, Place
from .layer import WHOLE, Constants, Join, Layer, Load, Move, Network, Residual, Runs, Store
from .tiling import Rectangle, Tiling, rectangles

__all__ = ["Compute", "Rows", "Schedule", "Tables", "Task", "Weights", "order", "synchronize", "verify_schedule"]

ENGINES = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)
"""The engines that count what they finish."""


@dataclass(frozen=True)
class Waits:
    """Counts of finished instructions, from the program's start, that must be reached."""

    load: int = 0
    compute: int = 0
    store: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """What becomes one instruction. `owner` is the layer it belongs to."""

    opcode: Opcode
    owner: str
    waits: Waits = Waits()


@dataclass(frozen=True, kw_only=True)
class Rows(Task):
    """LOAD or STORE of some rows of an image; without a `tensor` in scratch memory, from `slot` on, in `runs`.

    `operator` is the graph operator whose work it is, if it is one's.
    """

    image: str
    tensor: str | None
    slot: int
    first: int
    rows: int
    runs: Runs = WHOLE
    operator: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights(Task):
    """The weight stream of a rectangle: the layer's tiles, with these constants."""

    layer: Layer
    constants: Constants
    opcode: Opcode = Opcode.WEIGHTS


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables(Task):
    """A layer's residual tables."""

    layer: Layer
    residual: Residual
    opcode: Opcode = Opcode.WEIGHTS


@dataclass(frozen=True, kw_only=True, eq=False)
class Compute(Task):
    """A rectangle of a layer's output."""

    layer: Layer
    rectangle: Rectangle
    opcode: Opcode = Opcode.COMPUTE


@dataclass(frozen=True, eq=False)
class Schedule:
    """Tasks in program order, and the bytes of scratch memory they use."""

    tasks: tuple[Task, ...]
    scratch_bytes: int


def order(network: Network, tilings: Mapping[str, Tiling], params: Parameters) -> Schedule:
    """All tasks in order, without tokens.

    A band of input rows is loaded right before the first instruction that reads it, and stored right behind the one
    that completes it: the queues are short, and what stands far behind in the program starts late. Weights come right
    before their COMPUTE. The compact accelerator's images are loaded and stored whole, where their steps stand.
    """
    walk = _Walk(network, tilings, whole=params.compact)
    return Schedule(tuple(walk.tasks()), walk.scratch)


class _Walk:
    """Goes through the network's steps; `pending` are the rows of images that are still to be loaded."""

    def __init__(self, network: Network, tilings: Mapping[str, Tiling], *, whole: bool) -> None:
        self._whole = whole
        self._network = network
        self._tilings = tilings
        self._loads: dict[str, Load] = {}
        self._pending: dict[str, int] = {}
        self.scratch = 0

    def tasks(self) -> Iterator[Task]:
        for step in self._network.steps:
            match step:
                case Load():
                    self._loads[step.image] = step
                    self._pending[step.image] = 0
                    if self._whole:
                        yield from self._load(step.image, self._network.images[step.image].rows)
                case Store() if self._whole:
                    rows = self._network.images[step.image].rows
                    yield self._rows(Opcode.STORE, step.image, step.tensor, 0, rows)
                case Layer():
                    yield from self._layer(step)
                case Move():
                    yield from self._move(step)
                case Join():
                    yield from self._join(step)

    def _rows(self, opcode: Opcode, image: str, tensor: str | None, first: int, rows: int, slot: int = 0) -> Rows:
        return Rows(owner=image, opcode=opcode, image=image, tensor=tensor, slot=slot, first=first, rows=rows)

    def _load(self, image: str, end: int) -> Iterator[Task]:
        """Rows of an image up to `end` that are not there yet."""
        if image in self._pending and (start := self._pending[image]) < end:
            self._pending[image] = end
            yield self._rows(Opcode.LOAD, image, self._loads[image].tensor, start, end - start)

    def _move(self, step: Move) -> Iterator[Task]:
        transfers = [(Opcode.STORE, *part) for part in zip(step.images, step.stores, strict=True)]
        for opcode, image, runs in (*transfers, (Opcode.LOAD, step.output, step.load)):
            rows = self._network.images[image].rows
            if opcode is Opcode.STORE:
                yield from self._load(image, rows)
            task = self._rows(opcode, image, None, 0, rows, self.scratch)
            yield replace(task, runs=runs, operator=step.operator)
        rows = self._network.images[step.output].rows
        for store in self._stores(step.output):
            yield self._rows(Opcode.STORE, step.output, store.tensor, 0, rows)
        self.scratch += -(-step.size // 64) * 64

    def _join(self, step: Join) -> Iterator[Task]:
        for image in step.images:
            yield from self._load(image, self._network.images[image].rows)
        for store in self._stores(step.output):
            yield self._rows(Opcode.STORE, step.output, store.tensor, 0, self._network.images[step.output].rows)

    def _layer(self, layer: Layer) -> Iterator[Task]:
        if layer.residual is not None:
            yield Tables(owner=layer.name, layer=layer, residual=layer.residual)
        stores = [] if self._whole else self._stores(layer.output)
        parts = rectangles(layer, self._tilings[layer.name])
        stored = 0
        for number, part in enumerate(parts):
            yield from self._inputs(layer, part, last=number + 1 == len(parts))
            yield Weights(owner=layer.name, layer=layer, constants=part.constants)
            yield Compute(owner=layer.name, layer=layer, rectangle=part)
            complete = _complete_rows(layer, parts[number + 1 :])
            if complete > stored:
                for store in stores:
                    yield self._rows(Opcode.STORE, layer.output, store.tensor, stored, complete - stored)
                stored = complete

    def _stores(self, image: str) -> list[Store]:
        return [step for step in self._network.readers(image) if isinstance(step, Store)]

    def _inputs(self, layer: Layer, part: Rectangle, last: bool) -> Iterator[Task]:
        """Load what a rectangle reads; all the rest with the layer's last one."""
        ends = {layer.input: part.item * layer.size[0] + layer.input_rows(part.row, part.rows).stop}
        if layer.residual is not None:
            end = part.item * layer.out_size[0] + part.row + part.rows
            ends[layer.residual.image] = max(end, ends.get(layer.residual.image, 0))
        for image, end in ends.items():
            yield from self._load(image, self._network.images[image].rows if last else end)


def _complete_rows(layer: Layer, remaining: tuple[Rectangle, ...]) -> int:
    """Output rows, counted through the batch, that no remaining rectangle writes to."""
    height, window = layer.stored_size[0], layer.window[0]
    rows = (part.item * height + part.row // window for part in remaining)
    return min(rows, default=layer.batch * height)


def synchronize(schedule: Schedule, network: Network, allocation: Allocation, params: Parameters) -> Schedule:
    """The same tasks with the tokens that keep them apart, found from the memory each reads and writes.

    Rows are told apart, pixels and channels of a row are not. The array's instructions read and write in order among
    themselves, except that the results of one come after the reads of the next, and that the next one behind an average
    pool must wait for it.
    """
    memory = _Memory(params.bank_words * params.units)
    issued = dict.fromkeys(ENGINES, 0)
    residual_user = average = 0
    tasks = []
    for task in schedule.tasks:
        needed = dict.fromkeys(ENGINES, 0)
        if isinstance(task, Tables):
            needed[Opcode.COMPUTE] = residual_user
        elif isinstance(task, Compute):
            needed[Opcode.COMPUTE] = average
        reads, writes = accesses(task, network, allocation)
        for other in ENGINES:
            if other is not task.opcode or other is Opcode.COMPUTE:
                needed[other] = max(needed[other], memory.last(memory.written[other], reads))
            if other is not task.opcode:
                needed[other] = max(
                    needed[other], memory.last(memory.written[other], writes), memory.last(memory.read[other], writes)
                )
        if isinstance(task, Rows) and task.tensor is None and task.opcode is Opcode.LOAD:
            needed[Opcode.STORE] = issued[Opcode.STORE]  # the first half of the move stands right before
        waits = Waits(needed[Opcode.LOAD], needed[Opcode.COMPUTE], needed[Opcode.STORE])
        tasks.append(replace(task, waits=waits))
        if task.opcode in issued:
            issued[task.opcode] += 1
            memory.note(memory.read[task.opcode], reads, issued[task.opcode])
            memory.note(memory.written[task.opcode], writes, issued[task.opcode])
        if isinstance(task, Compute):
            pooled = task.layer.pooled
            average = issued[Opcode.COMPUTE] if pooled is not None and pooled.kind is Pool.AVERAGE else 0
            if task.layer.residual is not None:
                residual_user = issued[Opcode.COMPUTE]
    return replace(schedule, tasks=tuple(tasks))


Extents = list[tuple[int, int, int]]
"""Bank, first unit and the one behind the last."""


def accesses(task: Task, network: Network, allocation: Allocation) -> tuple[Extents, Extents]:
    """Whole image rows that a task reads and writes on chip."""

    parts = network.parts

    def units(image: str, rows: range) -> Extents:
        image, (above, _, _) = parts.get(image, (image, (0, 0, 0)))
        rows = range(rows.start + above, rows.stop + above)
        place: Place = allocation.places[image]
        starts = [place.row(row) for row in rows]
        return [(bank, start, start + place.row_step) for bank, start in starts]

    if isinstance(task, Rows):
        moved = units(task.image, range(task.first, task.first + task.rows))
        return ([], moved) if task.opcode is Opcode.LOAD else (moved, [])
    if not isinstance(task, Compute):
        return [], []
    layer, part = task.layer, task.rectangle
    top = part.item * layer.size[0]
    reads = units(layer.input, range(top, top + layer.size[0])[_slice(layer.input_rows(part.row, part.rows))])
    if layer.residual is not None:
        first = part.item * layer.out_size[0] + part.row
        reads += units(layer.residual.image, range(first, first + part.rows))
    first = part.item * layer.stored_size[0] + part.row // layer.window[0]
    written = range(first, first + part.rows // layer.window[0])
    return reads, units(layer.output, written)


def _slice(rows: range) -> slice:
    """The slice that selects a range."""
    return slice(rows.start, rows.stop)


class _Memory:
    """For each engine and each unit of each bank, the count of the engine's last instruction that read or wrote it."""

    def __init__(self, units: int) -> None:
        self.read = {engine: np.zeros((BANKS, units), np.int64) for engine in ENGINES}
        self.written = {engine: np.zeros((BANKS, units), np.int64) for engine in ENGINES}

    @staticmethod
    def last(counts: npt.NDArray[np.int64], extents: Extents) -> int:
        return max((int(counts[bank, start:end].max()) for bank, start, end in extents), default=0)

    @staticmethod
    def note(counts: npt.NDArray[np.int64], extents: Extents, count: int) -> None:
        for bank, start, end in extents:
            counts[bank, start:end] = count


def verify_schedule(schedule: Schedule) -> None:
    """Raise `ValueError` if a token points forward, or weights or tables do not stand before their COMPUTE."""
    issued = dict.fromkeys(ENGINES, 0)
    weights: Weights | None = None
    tables: Layer | None = None
    for number, task in enumerate(schedule.tasks):
        for engine, wait in zip(ENGINES, (task.waits.load, task.waits.compute, task.waits.store), strict=True):
            if not 0 <= wait <= issued[engine]:
                raise ValueError(f"task {number} waits for {engine.name} {wait} of {issued[engine]}")
        match task:
            case Weights():
                if weights is not None:
                    raise ValueError(f"task {number}: the weights before have no COMPUTE")
                weights = task
            case Tables():
                tables = task.layer
            case Compute():
                if weights is None or weights.layer is not task.layer:
                    raise ValueError(f"task {number}: no weights stand before it")
                if weights.constants is not task.rectangle.constants:
                    raise ValueError(f"task {number}: the constants before it are another region's")
                if task.layer.residual is not None and tables is not task.layer:
                    raise ValueError(f"task {number}: no tables stand before it")
                weights = None
        if task.opcode in issued:
            issued[task.opcode] += 1
