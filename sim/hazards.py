"""Which bytes each instruction touches, and whether its tokens order it behind all those that it must not meet.

The engines run side by side, so a program with a token missing still computes the right answer whenever the timing is
kind. `find_hazards` looks at the program alone and finds every such race.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.encoding import Fields
from ..hw.isa import CONSTANT_VECTORS, Base, Mode, Opcode, Pool, Stream
from ..hw.legality import pooled_size, resolve_wait, tile_rows
from ..hw.params import BANKS, Parameters
from ..hw.program import Program

__all__ = [
    "Hazard",
    "find_hazards",
    "input_units",
    "output_units",
    "residual_units",
    "row_places",
    "transfer_bytes",
    "transfer_units",
]

Indices = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_COUNTED = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)


@dataclass(frozen=True)
class Hazard:
    """A race: instruction number `instruction` may meet token `count` of engine `engine` before it is given."""

    instruction: int
    opcode: Opcode
    engine: Opcode
    count: int
    reason: str

    def __str__(self) -> str:
        return (
            f"instruction {self.instruction} ({self.opcode.name}) {self.reason} {self.engine.name} {self.count} "
            f"and does not wait for it"
        )


# --- What an instruction touches --------------------------------------------------------------------------


def row_places(fields: Fields, rows: Indices, prefix: str = "", step: str = "row_step") -> tuple[Indices, Indices]:
    """Bank and unit address (before wrapping at 2**16) of the image rows that lie `rows` below the first one."""
    line = fields[f"{prefix}bank"] + rows
    return line % BANKS, fields[f"{prefix}address"] + (line // BANKS) * fields[step]


def _units(params: Parameters, places: tuple[Indices, Indices], offsets: Indices) -> Indices:
    """Sorted unit numbers (bank * units in a bank + unit address) of all rows with all offsets into them."""
    bank, address = places
    size = params.bank_words * params.units
    unit = (address[:, None] + offsets) % (1 << 16)
    if unit.size and unit.max() >= size:
        raise ValueError(f"unit address {unit.max()} is beyond a bank of {size} units")
    return np.unique(bank[:, None] * size + unit)


def input_units(fields: Fields, params: Parameters, used: Sequence[Bools] | None = None) -> Indices:
    """Units that a COMPUTE reads as activations: taps inside the image only, every block and pass.

    `used` says for each pass of a block, and each array row of it, whether the row has any weight but zero; rows
    without need nothing. It does not matter in dense mode. Without `used` all rows count.
    """
    outputs = np.arange(fields["out_rows"]) * fields["stride_y"]
    if used is None:
        used = [np.ones(rows, np.bool_) for rows in tile_rows(fields)]
    units = [np.zeros(0, np.int64)]
    for below, offsets in _TAPS[fields["mode"]](fields, params, used):
        rows = below + outputs
        rows = rows[(fields["y"] + rows >= 0) & (fields["y"] + rows < fields["height"])]
        units.append(_units(params, row_places(fields, rows), offsets))
    return np.unique(np.concatenate(units))


Taps = Iterator[tuple[int, Indices]]
"""Image rows below the first one, for output row 0, and the units that are read of each such row."""


def _dense_taps(fields: Fields, params: Parameters, used: Sequence[Bools]) -> Taps:
    f, block = fields, params.rows // params.unit
    taps, outputs = np.arange(f["taps_x"])[:, None], np.arange(f["out_cols"])
    column = f["x"] + taps * f["tap_x_cols"] + outputs * f["stride_x"]
    steps = (taps * f["tap_x_step"] + outputs * f["x_step"])[(column >= 0) & (column < f["width"])]
    channels = (np.arange(f["channels"] - 1)[:, None] * block + np.arange(-(-f["rows"] // params.unit))).ravel()
    channels = np.append(channels, (f["channels"] - 1) * block + np.arange(-(-f["last_rows"] // params.unit)))
    offsets = (np.unique(steps)[:, None] + channels).ravel()
    for tap in range(f["taps_y"]):
        yield tap * f["tap_y_rows"], offsets


def _depthwise_taps(fields: Fields, params: Parameters, used: Sequence[Bools]) -> Taps:
    f = fields
    channels = np.arange(f["blocks"] * (params.cols // params.unit))
    outputs = np.arange(f["out_cols"]) * f["stride_x"]
    for tap, group in np.ndindex(f["taps_y"], f["rows"] // f["group"]):
        steps = [np.zeros(0, np.int64)]
        for segment in range(f["taps_x"]):
            rows = used[tap * f["taps_x"] + segment][group * f["group"] : (group + 1) * f["group"]]
            pixels = np.unique(outputs[:, None] + np.flatnonzero(rows))
            column = f["x"] + segment * f["tap_x_cols"] + pixels
            inside = (column >= 0) & (column < f["width"])
            steps.append(segment * f["tap_x_step"] + pixels[inside] * f["x_step"])
        yield tap * f["tap_y_rows"] + group, (np.unique(np.concatenate(steps))[:, None] + channels).ravel()


def _packed_taps(fields: Fields, params: Parameters, used: Sequence[Bools]) -> Taps:
    f = fields
    outputs = f["x"] + np.arange(f["out_cols"]) * f["x_step"]
    for (chunk, segment), rows in zip(np.ndindex(f["taps_y"], f["taps_x"]), used, strict=True):
        kernel_row, byte = np.divmod(chunk * f["rows"] + np.flatnonzero(rows), f["group"])
        for below in np.unique(kernel_row):
            column = outputs[:, None] + segment * f["tap_x_cols"] + byte[kernel_row == below]
            yield int(below), np.unique(column[(column >= 0) & (column < f["width"])] // params.unit)


_TAPS = {Mode.DENSE: _dense_taps, Mode.DEPTHWISE: _depthwise_taps, Mode.PACKED: _packed_taps}


def output_units(fields: Fields, params: Parameters) -> Indices:
    """Units that a COMPUTE writes."""
    rows, columns = pooled_size(fields)
    places = row_places(fields, np.arange(rows), "out_", "out_row_step")
    return _units(params, places, _pixels(fields, params, columns))


def residual_units(fields: Fields, params: Parameters) -> Indices:
    """Units that a COMPUTE reads as its residual operand; none without `residual`."""
    rows = np.arange(fields["out_rows"] if fields["residual"] else 0)
    return _units(params, row_places(fields, rows, "res_", "res_row_step"), _pixels(fields, params, fields["out_cols"]))


def _pixels(fields: Fields, params: Parameters, columns: int) -> Indices:
    channels = np.arange(fields["blocks"] * (params.cols // params.unit))
    return (np.arange(columns)[:, None] * fields["out_x_step"] + channels).ravel()


def transfer_units(opcode: Opcode, fields: Fields, params: Parameters) -> Indices:
    """Units that a LOAD writes (whole vectors) or a STORE reads."""
    vectors = -(-fields["channels"] // params.vector)
    used = vectors * params.units if opcode is Opcode.LOAD else -(-fields["channels"] // params.unit)
    offsets = (np.arange(fields["width"])[:, None] * (vectors * params.units) + np.arange(used)).ravel()
    return _units(params, row_places(fields, np.arange(fields["rows"])), offsets)


def transfer_bytes(opcode: Opcode, fields: Fields) -> Indices:
    """Offsets from its base of the bytes that a LOAD, STORE or WEIGHTS moves, in the order of the stream."""
    if opcode is Opcode.WEIGHTS:
        return fields["offset"] + np.arange(fields["bytes"])
    runs = np.arange(fields["runs"])[:, None] * fields["run_pitch"]
    return (fields["offset"] + runs + np.arange(fields["run_bytes"])).ravel()


# --- Races ------------------------------------------------------------------------------------------------


class _Space:
    """A memory: for each engine, the count of its last instruction that read or wrote each place."""

    def __init__(self, size: int) -> None:
        engines = (*_COUNTED, Opcode.WEIGHTS)
        self.read = {engine: np.zeros(size, np.int64) for engine in engines}
        self.written = {engine: np.zeros(size, np.int64) for engine in engines}

    def needs(self, engine: Opcode, places: Indices, writes: bool) -> Iterator[tuple[Opcode, int, str]]:
        """Counts that an access must wait for. An engine's own reads and writes come in order, but the array reads
        ahead of what it writes."""
        verb = "overwrites" if writes else "reads"
        for other, last in self.written.items():
            if other is not engine or (not writes and engine is Opcode.COMPUTE):
                yield other, int(last[places].max(initial=0)), f"{verb} what is written by"
        for other, last in self.read.items():
            if writes and other is not engine:
                yield other, int(last[places].max(initial=0)), f"{verb} what is read by"

    def record(self, engine: Opcode, places: Indices, writes: bool, count: int) -> None:
        """Note an access of the engine's instruction number `count`."""
        (self.written if writes else self.read)[engine][places] = count


Access = tuple[Any, Indices, bool]
"""A memory (None: the scratchpad, else a base), places in it, and whether they are written."""


def _accesses(opcode: Opcode, fields: Fields, params: Parameters, used: Sequence[Bools] | None) -> list[Access]:
    if opcode is Opcode.COMPUTE:
        read = np.union1d(input_units(fields, params, used), residual_units(fields, params))
        return [(None, read, False), (None, output_units(fields, params), True)]
    if opcode is Opcode.END:
        return []
    external = (fields["base"], transfer_bytes(opcode, fields), opcode is Opcode.STORE)
    if opcode is Opcode.WEIGHTS:
        return [external]
    return [external, (None, transfer_units(opcode, fields, params), opcode is Opcode.LOAD)]


class _Weights:
    """The weight stream: which vectors of each block are not all zero."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._blocks: deque[Bools | None] = deque()

    def put(self, fields: Fields) -> None:
        """A WEIGHTS instruction."""
        if fields["stream"] is Stream.TABLES:
            return
        blocks: list[Bools | None] = [None] * fields["blocks"]
        if fields["base"] is Base.WEIGHTS:
            data = np.frombuffer(self._program.weights, np.uint8, fields["bytes"], fields["offset"])
            vectors = data.reshape(fields["blocks"], -1, self._program.params.cols)
            blocks = list(vectors[:, CONSTANT_VECTORS:].max(axis=2) > 0)
        self._blocks.extend(blocks)

    def take(self, fields: Fields) -> list[Bools] | None:
        """For each pass of a COMPUTE and each array row, whether any block has a weight there; None if unknown."""
        sizes = tile_rows(fields)
        blocks = [self._blocks.popleft() if self._blocks else None for _ in range(fields["blocks"])]
        known = [block for block in blocks if block is not None and len(block) == sum(sizes)]
        if len(known) != len(blocks):
            return None
        anywhere = np.max(known, axis=0)
        return [tile[::-1] for tile in np.split(anywhere, np.cumsum(sizes)[:-1])]


def _overwrites_itself(fields: Fields, params: Parameters, used: Sequence[Bools] | None) -> bool:
    """Whether a COMPUTE may write a place before it has read it. In place, pixel by pixel, is sound."""
    f = fields
    output = output_units(f, params)
    if f["pool"] is not Pool.NONE:
        read = np.union1d(input_units(f, params, used), residual_units(f, params))
        return bool(np.intersect1d(read, output).size)
    same = all(f[f"res_{name}"] == f[f"out_{name}"] for name in ("address", "bank", "row_step"))
    if not same and np.intersect1d(residual_units(f, params), output).size:
        return True
    single = f["taps_y"] == f["taps_x"] == f["channels"] == f["stride_y"] == f["stride_x"] == 1
    single &= f["mode"] is not Mode.PACKED
    pixel = f["rows"] == 1 if f["mode"] is Mode.DEPTHWISE else f["blocks"] == 1
    steps = all(f[name] == f[f"out_{name}"] for name in ("address", "bank", "row_step", "x_step"))
    return not (single and pixel and steps) and bool(np.intersect1d(input_units(f, params, used), output).size)


def find_hazards(program: Program) -> tuple[Hazard, ...]:
    """Every race of a program: reads not ordered behind the write, writes not ordered behind earlier reads and writes,
    and residual tables that arrive while a COMPUTE still uses the former ones: nothing holds them up at the lanes.

    What an instruction knows to be finished: the counts that it waits for, what its engine's earlier instructions
    waited for, and what those instructions had waited for. A run begins when the one before it is over. Raises
    ``ValueError`` for tokens that point forward and for addresses outside the scratchpad.
    """
    runs = zip(program.runs, program.parts, strict=True)
    return tuple(hazard for run, part in runs for hazard in _of_run(part, run.first))


def _of_run(program: Program, offset: int) -> Iterator[Hazard]:
    """The races of a program of one run; its instructions count from `offset` on."""
    params = program.params
    spaces: dict[Base | None, _Space] = {base: _Space(program.region_bytes(base)) for base in Base}
    spaces[None] = _Space(BANKS * params.bank_words * params.units)
    starts: dict[Opcode, list[dict[Opcode, int]]] = {opcode: [dict.fromkeys(_COUNTED, 0)] for opcode in Opcode}
    weights = _Weights(program)
    last_residual = 0
    for index, (opcode, fields) in enumerate(program.decoded()):
        known = dict(starts[opcode][-1])
        for engine in _COUNTED:
            target = resolve_wait(fields[f"wait_{engine.name.lower()}"], len(starts[engine]) - 1)
            known[engine] = max(known[engine], target)
            for other, count in starts[engine][target].items():
                known[other] = max(known[other], count)
        starts[opcode].append(known)
        used = weights.take(fields) if opcode is Opcode.COMPUTE else None
        if opcode is Opcode.WEIGHTS:
            weights.put(fields)
        accesses = _accesses(opcode, fields, params, used)
        for space, places, writes in accesses:
            for engine, count, reason in spaces[space].needs(opcode, places, writes):
                if count > known.get(engine, 0):
                    yield Hazard(offset + index, opcode, engine, count, reason)
        if opcode is Opcode.COMPUTE and fields["residual"]:
            last_residual = len(starts[opcode]) - 1
        if opcode is Opcode.WEIGHTS and fields["stream"] is Stream.TABLES and last_residual > known[Opcode.COMPUTE]:
            yield Hazard(offset + index, opcode, Opcode.COMPUTE, last_residual, "overwrites the tables of")
        if opcode is Opcode.COMPUTE and _overwrites_itself(fields, params, used):
            yield Hazard(offset + index, opcode, opcode, len(starts[opcode]) - 1, "overwrites what is read by")
        for space, places, writes in accesses:
            spaces[space].record(opcode, places, writes, len(starts[opcode]) - 1)
