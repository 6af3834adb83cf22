"""Which programs an accelerator can run: the contract of `docs/architecture.md`, as far as a program alone shows it."""

from collections import deque
from collections.abc import Callable

from .encoding import Fields
from .isa import (
    CONSTANT_VECTORS,
    DATA_BASES,
    POOL_COLUMNS,
    POOL_PIXELS,
    TABLE_BYTES,
    Base,
    Mode,
    Opcode,
    Pool,
    Stream,
)
from .legality_compact import check_compact, verify_compact
from .params import BANKS, Parameters
from .program import AcceleratorRun, Program, ProgramError
from .tables import check_tables

__all__ = [
    "STREAM_ALIGNMENT", "WEIGHTS_BETWEEN", "check_fields", "check_pool", "minimum_period", "pooled_size", "resolve_wait",
    "stream_bytes", "tile_rows", "verify_program",
]  # fmt: skip

STREAM_ALIGNMENT = 16
"""A WEIGHTS stream starts at a multiple of this many bytes; the base registers are multiples of it too."""

WEIGHTS_BETWEEN = 1
"""Most WEIGHTS instructions between another one and a COMPUTE that takes its tiles: as many as a gate holds."""


_MOST_TILES = 1 << 21
"""Tiles of a weight stream, and passes of a COMPUTE."""

_MOST_STREAM_BYTES = 1 << 25
_MOST_PIXELS = 1 << 18
"""Output pixels of a COMPUTE before its pool; no memory holds as many."""

_MOST_STEPS = 1 << 32
"""Steps of the array, and bytes that are moved, in the whole program."""


def resolve_wait(wait: int, earlier: int) -> int:
    """The count, 0 to `earlier`, that a `wait_*` field stands for in an instruction behind `earlier` such tokens.

    Raises ``ValueError`` if the token points forward.
    """
    behind = (earlier - wait) % (1 << 16)
    if behind >= 1 << 15 or behind > earlier:
        raise ValueError(f"waits for {wait}, but only {earlier} came before")
    return earlier - behind


def minimum_period(fields: Fields) -> int:
    """Steps that an output row of a depthwise COMPUTE takes at least (architecture: Depthwise mode)."""
    span = (fields["out_cols"] - 1) * fields["stride_x"]
    period = span + 1
    for segment in range(fields["taps_x"]):
        first = fields["x"] + segment * fields["tap_x_cols"]
        last = min(fields["width"] - 1, first + span + fields["group"] - 1)
        period = max(period, last - max(0, first) + 1)
    return period


def pooled_size(fields: Fields) -> tuple[int, int]:
    """Rows and columns of the pixels that a COMPUTE writes."""
    match fields["pool"]:
        case Pool.MAX:
            return fields["out_rows"] // fields["pool_rows"], fields["out_cols"] // fields["pool_cols"]
        case Pool.AVERAGE:
            return 1, 1
        case _:
            return fields["out_rows"], fields["out_cols"]


def tile_rows(fields: Fields) -> tuple[int, ...]:
    """Rows of the weight tiles that a block of a COMPUTE takes, in order."""
    if fields["mode"] is Mode.PACKED:
        chunks = (fields["rows"],) * (fields["taps_y"] - 1) + (fields["last_rows"],)
        return tuple(rows for rows in chunks for _ in range(fields["taps_x"]))
    tiles = (fields["rows"],) * (fields["channels"] - 1) + (fields["last_rows"],)
    return tiles * (fields["taps_y"] * fields["taps_x"])


def check_fields(opcode: Opcode, fields: Fields, params: Parameters) -> None:
    """Raise ``ValueError`` naming the field if an accelerator of these parameters cannot run the instruction."""
    checks: dict[Opcode, Callable[[Fields, Parameters], None]] = {
        Opcode.LOAD: _check_transfer,
        Opcode.STORE: _check_transfer,
        Opcode.WEIGHTS: _check_weights,
        Opcode.COMPUTE: _check_compute,
    }
    if opcode in checks:
        checks[opcode](fields, params)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _at_least_one(fields: Fields, *names: str) -> None:
    for name in names:
        _require(fields[name] >= 1, f"{name}: {fields[name]} is not at least 1")


def _check_transfer(fields: Fields, params: Parameters) -> None:
    _require(fields["base"] in DATA_BASES, f"base: {fields['base'].name} holds no data")
    _at_least_one(fields, "run_bytes", "runs", "rows", "width", "channels")
    size = fields["rows"] * fields["width"] * fields["channels"]
    run_bytes = fields["run_bytes"] * fields["runs"]
    _require(run_bytes == size, f"run_bytes: runs hold {run_bytes} bytes, the image {size}")
    for name in ("address", "row_step"):
        _require(fields[name] % params.units == 0, f"{name}: {fields[name]} is not a multiple of {params.units} units")
    vectors = fields["width"] * -(-fields["channels"] // params.vector)
    memory = params.activation_kib * 1024
    _require(size <= memory, f"rows: an image of {size} bytes is more than the memory of {memory}")
    last = (fields["bank"] + fields["rows"] - 1) // BANKS * fields["row_step"] + vectors * params.units
    end = fields["address"] + last
    size = params.bank_words * params.units
    _require(end <= size, f"address: the image ends at unit {end} of a bank of {size}")


def stream_bytes(fields: Fields, params: Parameters) -> int:
    """Bytes of the stream that a WEIGHTS instruction's fields describe."""
    if fields["stream"] is Stream.TABLES:
        return TABLE_BYTES
    tiles = fields["groups"] * ((fields["tiles"] - 1) * fields["rows"] + fields["last_rows"])
    return fields["blocks"] * (CONSTANT_VECTORS + tiles) * params.cols


def _check_weights(fields: Fields, params: Parameters) -> None:
    _require(fields["base"] in DATA_BASES, f"base: {fields['base'].name} holds no data")
    aligned = fields["offset"] % STREAM_ALIGNMENT == 0
    _require(aligned, f"offset: {fields['offset']} is not a multiple of {STREAM_ALIGNMENT}")
    if fields["stream"] is Stream.TILES:
        _at_least_one(fields, "blocks", "groups", "tiles", "rows", "last_rows")
        for name in ("rows", "last_rows"):
            _require(fields[name] <= params.rows, f"{name}: {fields[name]} is more than {params.rows}")
        tiles = fields["blocks"] * fields["groups"] * fields["tiles"]
        _require(tiles <= _MOST_TILES, f"tiles: {tiles} in all are more than {_MOST_TILES}")
    else:
        _require(params.residual, "stream: TABLES needs an accelerator with `residual`")
    size = stream_bytes(fields, params)
    _require(size <= _MOST_STREAM_BYTES, f"bytes: a stream of {size} is more than {_MOST_STREAM_BYTES}")
    _require(fields["bytes"] == size, f"bytes: {fields['bytes']}, but the stream has {size}")


def _check_compute(fields: Fields, params: Parameters) -> None:
    _at_least_one(
        fields, "blocks", "taps_y", "taps_x", "channels", "out_rows", "out_cols", "rows", "last_rows", "stride_y",
        "stride_x", "height", "width",
    )  # fmt: skip
    for name in ("rows", "last_rows"):
        _require(fields[name] <= params.rows, f"{name}: {fields[name]} is more than {params.rows}")
    for low, high in (("minimum", "maximum"), ("res_minimum", "res_maximum")):
        _require(fields[low] <= fields[high], f"{low}: {fields[low]} is more than {high}, {fields[high]}")
    passes = fields["taps_y"] * fields["taps_x"] * fields["channels"]
    size = fields["out_rows"] * fields["out_cols"]
    _require(
        (passes == 1 and params.parts == 1) or size <= params.accumulator_depth,
        f"out_rows: {size} pixels in {passes} passes exceed the accumulator's depth of {params.accumulator_depth}",
    )
    _require(size <= _MOST_PIXELS, f"out_rows: {size} pixels are more than {_MOST_PIXELS}")
    total = passes * fields["blocks"]
    _require(total <= _MOST_TILES, f"blocks: {total} passes in all are more than {_MOST_TILES}")
    _require(not fields["residual"] or params.residual, "residual: the accelerator has no tables")
    if fields["pool"] is not Pool.NONE:
        check_pool(fields, params)
    if fields["mode"] is Mode.DEPTHWISE:
        _check_depthwise(fields, params)
    elif fields["mode"] is Mode.PACKED:
        _check_packed(fields, params)
    if params.compact:
        check_compact(fields, params.accumulator_depth)


def check_pool(fields: Fields, params: Parameters) -> None:
    """Raise ``ValueError`` if the pool of a COMPUTE, which has one, does not fit its loops (architecture: Pools)."""
    _require(params.pooling, "pool: the accelerator has no `pooling`")
    rows, columns = fields["out_rows"], fields["out_cols"]
    if fields["pool"] is Pool.AVERAGE:
        size = rows * columns
        _require(size <= POOL_PIXELS, f"pool: the mean of {size} pixels, more than {POOL_PIXELS}")
        between = (fields["taps_y"] * fields["taps_x"] * fields["channels"] - 1) * size
        _require(
            fields["blocks"] == 1 or between >= params.cols + 2,
            f"pool: {between} cycles between the results of two blocks are less than a mean's {params.cols + 2}",
        )
        return
    _at_least_one(fields, "pool_rows", "pool_cols")
    for name, size in (("pool_rows", rows), ("pool_cols", columns)):
        _require(size % fields[name] == 0, f"{name}: {size} results are not whole windows of {fields[name]}")
    windows = columns // fields["pool_cols"]
    _require(windows <= POOL_COLUMNS, f"pool_cols: {windows} windows side by side are more than {POOL_COLUMNS}")
    narrow = fields["pool_cols"] == 1 < fields["pool_rows"]
    _require(not narrow, f"pool_cols: 1 with windows of {fields['pool_rows']} rows")


def _check_depthwise(fields: Fields, params: Parameters) -> None:
    _require(params.depthwise, "mode: the accelerator has no depthwise mode")
    _require(fields["channels"] == 1, f"channels: {fields['channels']} in depthwise mode")
    _at_least_one(fields, "group")
    rows, group = fields["rows"], fields["group"]
    _require(fields["last_rows"] == rows, f"last_rows: {fields['last_rows']} is not rows, {rows}, in depthwise mode")
    most = params.kernel_rows(bool(fields["residual"]))
    _require(rows % group == 0 and rows // group <= most, f"group: {rows} rows are not 1 to {most} groups of {group}")
    period = minimum_period(fields)
    _require(fields["period"] >= period, f"period: {fields['period']} is less than {period}")
    _require(fields["x"] >= -15, f"x: lead of {-fields['x']} is more than 15")


def _check_packed(fields: Fields, params: Parameters) -> None:
    _require(params.packed, "mode: the accelerator has no packed mode")
    _require(fields["channels"] == 1, f"channels: {fields['channels']} in packed mode")
    _require(not fields["residual"], "residual: not in packed mode")
    _at_least_one(fields, "group", "x_step")
    for name in ("group", "x_step"):
        _require(fields[name] <= params.vector, f"{name}: {fields[name]} is more than {params.vector}")
    for name in ("address", "row_step"):
        _require(fields[name] % params.units == 0, f"{name}: {fields[name]} is not a multiple of {params.units} units")
    rows, group = fields["rows"], fields["group"]
    _require(
        fields["last_rows"] == rows or (fields["last_rows"] < rows and fields["taps_x"] == 1),
        f"last_rows: {fields['last_rows']} with rows of {rows} and {fields['taps_x']} segments",
    )
    for chunk in range(fields["taps_y"]):
        size = fields["last_rows"] if chunk == fields["taps_y"] - 1 else rows
        touched = (chunk * rows + size - 1) // group - chunk * rows // group + 1
        _require(touched <= BANKS, f"group: chunk {chunk} touches {touched} kernel rows")


def verify_program(program: Program) -> None:
    """Raise `ProgramError` naming the instruction if the program is not one that its accelerator can run.

    Checked: fields, memory regions, END, tokens (they point backwards, and the COMPUTE behind an average pool waits for
    it), and that the weight stream brings what each COMPUTE takes, no further ahead than the queues reach; that the runs
    take up all instructions, and that each step finds its tensors. What lies in the scratchpad at the time is checked by
    `sim/hazards.py` and the interpreter.
    """
    check_tables(program)
    first = 0
    for run in program.runs:
        count = len(program) - first if run.count is None else run.count
        if run.first != first or not 1 <= count <= len(program) - first:
            raise ProgramError(f"steps: a run has {count} instructions from {run.first} on, not from {first}")
        first += count
    if first != len(program):
        raise ProgramError(f"steps: no run has the instructions from {first} on")
    _verify_dataflow(program)
    first = 0
    for part in program.parts:
        _verify_run(part, first)
        first += len(part)
    _check_work(program)
    if program.params.compact:
        verify_compact(program)


def _check_work(program: Program) -> None:
    """Refuse a program that would run, but not to its end in anybody's time."""
    steps = moved = tiles = 0
    for opcode, fields in program.decoded():
        if opcode is Opcode.COMPUTE:
            passes = fields["blocks"] * fields["taps_y"] * fields["taps_x"] * fields["channels"]
            width = fields["period"] if fields["mode"] is Mode.DEPTHWISE else fields["out_cols"]
            steps += passes * fields["out_rows"] * width
            tiles += passes
        elif opcode is Opcode.WEIGHTS:
            moved += fields["bytes"]
        elif opcode in (Opcode.LOAD, Opcode.STORE):
            moved += fields["run_bytes"] * fields["runs"]
    for what, count, most in (
        ("steps", steps, _MOST_STEPS), ("bytes moved", moved, _MOST_STEPS), ("passes", tiles, 8 * _MOST_TILES)
    ):  # fmt: skip
        if count > most:
            raise ProgramError(f"the program takes {count} {what}, more than {most}")


def _verify_dataflow(program: Program) -> None:
    """Each step's tensors are there before it, and the model's outputs behind the last; nothing is defined twice."""
    external = {tensor.name for tensor in program.inputs + program.outputs}
    tables = external | {tensor.name for tensor in program.host_tensors}
    known = {tensor.name for tensor in program.host_tensors if tensor.data is not None}
    known |= set(program.model_inputs) or {tensor.name for tensor in program.inputs}
    for number, step in enumerate(program.steps):
        reads, writes = step.inputs, step.outputs
        reads = tuple(tensor.name for tensor in program.inputs) if reads is None else reads
        writes = tuple(tensor.name for tensor in program.outputs) if writes is None else writes
        for name in (*reads, *writes):
            if name not in (external if isinstance(step, AcceleratorRun) else tables):
                raise ProgramError(f"steps: step {number} names {name!r}, which no table has")
        if missing := [name for name in reads if name not in known]:
            raise ProgramError(f"steps: step {number} reads {missing[0]!r} before anything defines it")
        if twice := [name for name in writes if name in known]:
            raise ProgramError(f"steps: step {number} defines {twice[0]!r} again")
        known |= set(writes)
    if missing := [name for name in program.model_outputs if name not in known]:
        raise ProgramError(f"steps: nothing defines the model's output {missing[0]!r}")
    if stray := sorted(external - known):
        raise ProgramError(f"steps: nothing defines {stray[0]!r}, which the accelerator's tables have")


def _verify_run(program: Program, offset: int) -> None:
    """A program of one run, whose instructions count from `offset` on in messages."""
    counts = dict.fromkeys((Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE), 0)
    streams = 0
    blocks: deque[tuple[int, tuple[int, ...]]] = deque()  # the number of their WEIGHTS, and their tiles
    tables = ended = False
    averages = 0  # the count of the last COMPUTE, if it is an average pool
    for index, (opcode, fields) in enumerate(program.decoded()):
        try:
            _require(not ended, "comes after END")
            for counted in counts:
                name = f"wait_{counted.name.lower()}"
                try:
                    resolve_wait(fields[name], counts[counted])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            check_fields(opcode, fields, program.params)
            if opcode in (Opcode.LOAD, Opcode.STORE, Opcode.WEIGHTS):
                _check_region(opcode, fields, program)
            streams += opcode is Opcode.WEIGHTS
            if opcode is Opcode.WEIGHTS and fields["stream"] is Stream.TILES:
                tiles = (fields["rows"],) * (fields["tiles"] - 1) + (fields["last_rows"],)
                blocks += [(streams, tiles * fields["groups"])] * fields["blocks"]
            elif opcode is Opcode.WEIGHTS:
                tables = True
            elif opcode is Opcode.COMPUTE:
                known = resolve_wait(fields["wait_compute"], counts[opcode])
                _require(known >= averages, f"wait_compute: the average pool before it is number {averages}")
                averages = counts[opcode] + 1 if fields["pool"] is Pool.AVERAGE else 0
                _require(tables or not fields["residual"], "residual: no TABLES came before")
                wanted = tile_rows(fields)
                for _ in range(fields["blocks"]):
                    _require(bool(blocks), "the weight stream is empty")
                    stream, found = blocks.popleft()
                    _require(found == wanted, "the weight stream brings other tiles than the passes take")
                    _require(
                        streams - stream <= WEIGHTS_BETWEEN,
                        f"{streams - stream} other WEIGHTS stand between it and its own, more than {WEIGHTS_BETWEEN}",
                    )
            ended = opcode is Opcode.END
        except ValueError as error:
            raise ProgramError(f"instruction {offset + index} ({opcode.name}): {error}") from None
        if opcode in counts:
            counts[opcode] += 1
    if not ended:
        raise ProgramError(f"instruction {offset + len(program) - 1}, the last of a run, is not END")
    if blocks:
        raise ProgramError(f"{len(blocks)} blocks of the weight stream are left over")


def _check_region(opcode: Opcode, fields: Fields, program: Program) -> None:
    size = program.region_bytes(fields["base"])
    start = end = fields["offset"]
    if opcode is Opcode.WEIGHTS:
        end += fields["bytes"]
    else:
        span = (fields["runs"] - 1) * fields["run_pitch"]
        start, end = start + min(0, span), end + max(0, span) + fields["run_bytes"]
        _require(opcode is Opcode.LOAD or fields["base"] is not Base.WEIGHTS, "base: WEIGHTS is read-only")
    region = f"{fields['base'].name} of {size} bytes"
    _require(start >= 0 and end <= size, f"offset: bytes {start} to {end} are not in {region}")
