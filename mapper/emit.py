"""A schedule to instructions and packed weights."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..hw.encoding import encode
from ..hw.isa import TABLE_BYTES, Base, Mode, Opcode, Pool, Stream
from ..hw.params import Parameters
from ..hw.program import TensorInfo
from .allocate import Allocation, Place
from .layer import Array, Constants, Layer, Network, Residual
from .schedule import ENGINES, Compute, Rows, Schedule, Tables, Task, Weights
from .tiling import Tiling, packed_rows, period, tap_columns, taps

__all__ = ["WeightRegion", "emit"]

Fields = dict[str, Any]

_ALIGNMENT = 64
"""Bytes to which each weight stream is aligned: whole beats of the widest memory port."""

_ADDRESS = 1 << 16

_ANY_SHIFT = 31
"""The compact accelerator's where the multiplier is 0; it has none that is much less."""

_TOKEN_WINDOW = 1 << 14
"""Tokens are compared modulo 2**16: a wait lies no further back than this, half of what the comparison allows."""


class WeightRegion:
    """The region behind `Base.WEIGHTS`; equal streams share a place."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._offsets: dict[bytes, int] = {}

    def place(self, stream: bytes) -> int:
        """The offset of a stream."""
        if stream not in self._offsets:
            self.data.extend(bytes(-len(self.data) % _ALIGNMENT))
            self._offsets[stream] = len(self.data)
            self.data.extend(stream)
        return self._offsets[stream]


def emit(
    schedule: Schedule,
    network: Network,
    tilings: Mapping[str, Tiling],
    allocation: Allocation,
    tensors: Mapping[str, TensorInfo],
    params: Parameters,
    streams: WeightRegion,
) -> bytes:
    """The instructions of a run, 64 bytes each: one per task, then END.

    `tensors` says where the tensors lie in external memory; weights and tables go to `streams`. A weight stream that is
    needed again is fetched again.
    """
    issued = dict.fromkeys(ENGINES, 0)
    instructions = []
    for task in schedule.tasks:
        match task:
            case Rows():
                fields = _transfer(task, network, allocation, tensors)
            case Tables():
                fields = _tables(task.residual, streams)
            case Weights():
                fields = _weights(task.layer, task.constants, tilings[task.layer.name], streams, params)
            case Compute():
                fields = _compute(task, tilings[task.layer.name], allocation, params)
            case _:
                raise TypeError(f"no instruction for {type(task).__name__}")
        instructions.append(encode(task.opcode, **fields, **_waits(task, issued)))
        if task.opcode in issued:
            issued[task.opcode] += 1
    waits = {f"wait_{engine.name.lower()}": count % _ADDRESS for engine, count in issued.items()}
    instructions.append(encode(Opcode.END, **waits))
    return b"".join(instructions)


def _waits(task: Task, issued: Mapping[Opcode, int]) -> Fields:
    wanted = {Opcode.LOAD: task.waits.load, Opcode.COMPUTE: task.waits.compute, Opcode.STORE: task.waits.store}
    return {
        f"wait_{engine.name.lower()}": max(wait, issued[engine] - _TOKEN_WINDOW) % _ADDRESS
        for engine, wait in wanted.items()
    }


def _transfer(task: Rows, network: Network, allocation: Allocation, tensors: Mapping[str, TensorInfo]) -> Fields:
    image, place = network.images[task.image], allocation.places[task.image]
    bank, address = place.row(task.first)
    row_bytes = image.width * image.channels
    if task.tensor is None:
        base, offset = Base.SCRATCH, task.slot + task.runs.offset
    else:
        base, offset = tensors[task.tensor].base, tensors[task.tensor].offset
    return {
        "base": base,
        "offset": offset + task.first * row_bytes,
        "run_bytes": task.rows * row_bytes // task.runs.count,
        "runs": task.runs.count,
        "run_pitch": task.runs.pitch,
        "address": address,
        "bank": bank,
        "row_step": place.row_step,
        "rows": task.rows,
        "width": image.width,
        "channels": image.channels,
    }


def _stream(fields: Fields, stream: Stream, data: bytes, streams: WeightRegion) -> Fields:
    return fields | {"base": Base.WEIGHTS, "offset": streams.place(data), "bytes": len(data), "stream": stream}


def _tables(residual: Residual, streams: WeightRegion) -> Fields:
    pairs = np.stack([residual.table_a, residual.table_b], axis=1).astype("<i4")
    assert pairs.nbytes == TABLE_BYTES
    shape = {"blocks": 0, "groups": 0, "tiles": 0, "rows": 0, "last_rows": 0}
    return _stream(shape, Stream.TABLES, pairs.tobytes(), streams)


def _weights(layer: Layer, constants: Constants, tiling: Tiling, streams: WeightRegion, params: Parameters) -> Fields:
    match layer.mode:
        case Mode.DEPTHWISE:
            tiles, shape = _depthwise_tiles(layer, tiling, params)
        case Mode.PACKED:
            tiles, shape = _packed_tiles(layer, tiling, params)
        case _:
            tiles, shape = _dense_tiles(layer, params)
    planes = _planes(constants, params)
    data = b"".join(block.tobytes() for pair in zip(planes, tiles, strict=True) for block in pair)
    # All tiles of a packed layer count as one group, unless its segments make them all alike.
    groups = math.prod(taps(layer, tiling)) // (shape["tiles"] if layer.mode is Mode.PACKED else 1)
    fields = {"blocks": len(tiles), "groups": groups, **shape}
    return _stream(fields, Stream.TILES, data, streams)


def _planes(constants: Constants, params: Parameters) -> Array:
    """Constants as they travel, [block, plane, column]: bytes 0 to 3 of bias and of multiplier, then the shift."""
    bias, multiplier = (
        _in_blocks(values.astype("<i4").view(np.uint8).reshape(-1, 4).T, params)
        for values in (constants.bias, constants.multiplier)
    )
    shift = _in_blocks(constants.shift.astype(np.uint8)[None], params)
    if params.compact:
        shift[~multiplier.any(axis=1, keepdims=True)] = _ANY_SHIFT
    return np.concatenate([bias, multiplier, shift], axis=1)


def _in_blocks(values: Array, params: Parameters) -> Array:
    """[..., channels] as [block, ..., column], filled up with zeros."""
    missing = -values.shape[-1] % params.cols
    filled = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return np.moveaxis(filled.reshape(*values.shape[:-1], -1, params.cols), -2, 0)


def _input_channels(layer: Layer, params: Parameters) -> int:
    """Input channels of a dense layer's tiles; the compact accelerator's are all alike, with weights of zero at the end."""
    inputs = int(layer.weights.shape[2])
    return -(-inputs // params.rows) * params.rows if params.compact and inputs > params.rows else inputs


def _dense_tiles(layer: Layer, params: Parameters) -> tuple[list[Array], Fields]:
    """The tiles of each block in order of use, each with its highest row first, and how they are cut."""
    inputs = _input_channels(layer, params)
    weights = np.pad(layer.weights, ((0, 0), (0, 0), (0, inputs - layer.weights.shape[2]), (0, 0)))
    blocks = _in_blocks(weights.reshape(-1, inputs, layer.outputs), params)
    cuts = range(params.rows, inputs, params.rows)
    highest_first = [part[:, :, ::-1] for part in np.split(blocks, cuts, axis=2)]
    tiles = np.concatenate(highest_first, axis=2)
    last = inputs - len(cuts) * params.rows
    rows = params.rows if len(cuts) else last
    return list(tiles), {"tiles": len(cuts) + 1, "rows": rows, "last_rows": last}


def _depthwise_tiles(layer: Layer, tiling: Tiling, params: Parameters) -> tuple[list[Array], Fields]:
    """As `_dense_tiles`: array row g * group + x holds kernel row g, column x of the pass; zero beyond the kernel."""
    taps_y, taps_x = taps(layer, tiling)
    height, width = tiling.group_rows, tiling.group
    missing = (taps_y * height - layer.kernel[0], taps_x * width - layer.weights.shape[1])
    filled = np.pad(layer.weights, [(0, missing[0]), (0, missing[1]), (0, 0)])
    grid = filled.reshape(taps_y, height, taps_x, width, layer.outputs).transpose(0, 2, 1, 3, 4)
    tiles = _in_blocks(grid.reshape(taps_y * taps_x, height * width, layer.outputs), params)
    rows = height * width
    return list(tiles[:, :, ::-1]), {"tiles": 1, "rows": rows, "last_rows": rows}


def _packed_tiles(layer: Layer, tiling: Tiling, params: Parameters) -> tuple[list[Array], Fields]:
    """As `_dense_tiles`: array row r of chunk p holds the segment's tap p * chunk + r, in order of row and byte."""
    chunks, segments = taps(layer, tiling)
    kernel = np.pad(layer.weights[:, :, 0], [(0, 0), (0, segments * tiling.group - layer.weights.shape[1]), (0, 0)])
    grid = kernel.reshape(layer.kernel[0], segments, tiling.group, layer.outputs).swapaxes(0, 1)
    flat = grid.reshape(segments, layer.kernel[0] * tiling.group, layer.outputs)
    rows = packed_rows(layer, tiling)
    flat = np.pad(flat, [(0, 0), (0, sum(rows) - flat.shape[1]), (0, 0)])
    pieces = np.split(flat, np.cumsum(rows)[:-1], axis=1)
    tiles = np.concatenate([piece[segment, ::-1] for piece in pieces for segment in range(segments)])
    shape = {"tiles": chunks, "rows": rows[0], "last_rows": rows[-1]}
    return list(_in_blocks(tiles, params)), shape


def _compute(task: Compute, tiling: Tiling, allocation: Allocation, params: Parameters) -> Fields:
    layer, part = task.layer, task.rectangle
    target = allocation.places[layer.output]
    out_bank, out_address = target.row(part.item * layer.stored_size[0] + part.row // layer.window[0])
    taps_y, taps_x = taps(layer, tiling)
    return {
        "mode": layer.mode,
        "combine": layer.combine,
        "rounding": layer.rounding,
        "blocks": -(-layer.outputs // params.cols),
        "taps_y": taps_y,
        "taps_x": taps_x,
        "out_rows": part.rows,
        "out_cols": part.columns,
        "group": tiling.group,
        "stride_y": layer.stride[0],
        "height": layer.size[0],
        "width": layer.size[1],
        "pad": layer.pad,
        "out_address": out_address + part.column // layer.window[1] * target.x_step,
        "out_bank": out_bank,
        "out_row_step": target.row_step,
        "out_x_step": target.x_step,
        "zero_point": layer.zero_point,
        "minimum": layer.clamp[0],
        "maximum": layer.clamp[1],
        **_walk(task, tiling, allocation.places[layer.input]),
        **_reduction(layer, tiling, params),
        **_residual(task, allocation),
        **_pool(layer),
    }


def _walk(task: Compute, tiling: Tiling, source: Place) -> Fields:
    """How the steps go over the input image."""
    layer, part = task.layer, task.rectangle
    y = layer.origin[0] + part.row * layer.stride[0]
    x = layer.origin[1] + part.column * layer.stride[1]
    bank, address = source.row(part.item * layer.size[0] + y)
    fields: Fields = {"bank": bank, "row_step": source.row_step, "y": y, "x": x, "period": 1}
    fields["tap_x_cols"] = tap_columns(layer, tiling)
    if layer.mode is Mode.PACKED:
        steps = {"address": address, "x_step": layer.stride[1], "tap_x_step": 0, "tap_y_rows": 0, "stride_x": 1}
    else:
        depthwise = layer.mode is Mode.DEPTHWISE
        steps = {
            "address": address + x * source.x_step,
            "x_step": source.x_step * (1 if depthwise else layer.stride[1]),
            "tap_x_step": source.x_step * tap_columns(layer, tiling),
            "tap_y_rows": tiling.group_rows * layer.dilation[0],
            "stride_x": layer.stride[1],
        }
        if depthwise:
            fields["period"] = period(layer, tiling, part)
    wrapped = {name: steps[name] % _ADDRESS for name in ("address", "x_step", "tap_x_step")}
    return fields | steps | wrapped


def _reduction(layer: Layer, tiling: Tiling, params: Parameters) -> Fields:
    """Channel blocks and array rows of a pass."""
    match layer.mode:
        case Mode.DEPTHWISE:
            rows = tiling.group_rows * tiling.group
            return {"channels": 1, "rows": rows, "last_rows": rows}
        case Mode.PACKED:
            chunks = packed_rows(layer, tiling)
            return {"channels": 1, "rows": chunks[0], "last_rows": chunks[-1]}
        case _:
            inputs = _input_channels(layer, params)
            channels = -(-inputs // params.rows)
            last = inputs - (channels - 1) * params.rows
            return {"channels": channels, "rows": params.rows if channels > 1 else last, "last_rows": last}


def _residual(task: Compute, allocation: Allocation) -> Fields:
    residual = task.layer.residual
    names = ("address", "bank", "row_step", "shift", "tie", "offset", "zero_point", "minimum", "maximum")
    if residual is None:
        return {"residual": 0, **{f"res_{name}": 0 for name in names}}
    part, place = task.rectangle, allocation.places[residual.image]
    bank, address = place.row(part.item * task.layer.out_size[0] + part.row)
    address += part.column * place.x_step
    where = (address, bank, place.row_step)
    values = (*where, residual.shift, int(residual.tie), residual.offset, residual.zero_point, *residual.clamp)
    return {"residual": 1, **{f"res_{name}": value for name, value in zip(names, values, strict=True)}}


def _pool(layer: Layer) -> Fields:
    """A pool behind the layer."""
    names = ("pool", "pool_rows", "pool_cols", "pool_multiplier", "pool_shift")
    pooled = layer.pooled
    if pooled is None:
        return dict(zip(names, (Pool.NONE, 0, 0, 0, 0), strict=True))
    if pooled.kind is Pool.MAX:
        return dict(zip(names, (Pool.MAX, *pooled.window, 0, 0), strict=True))
    return dict(zip(names, (Pool.AVERAGE, 0, 0, pooled.multiplier, pooled.shift), strict=True))
