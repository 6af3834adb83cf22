"""Raw operators that move elements to operators of the graph."""

import math
from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ..sim.arithmetic import INT8
from .element_types import BYTES
from .ir import (
    BatchToSpaceNd,
    BroadcastTo,
    Concatenation,
    DepthToSpace,
    ExpandDims,
    Gather,
    MirrorPad,
    Operator,
    Pack,
    Pad,
    Reshape,
    ResizeBilinear,
    ResizeNearestNeighbor,
    Slice,
    SpaceToBatchNd,
    SpaceToDepth,
    Split,
    Squeeze,
    Tensor,
    Tile,
    Transpose,
    Unpack,
)
from .tflite_site import Site
from .tflite_slices import read_strided_slice

__all__ = ["MOVEMENT_READERS"]


def _source(site: Site, position: int = 0) -> Tensor:
    """The operand whose elements are moved, of any type."""
    return site.value(site.tensor(position, "input"), "input")


def _read_reshape(site: Site) -> Operator:
    source = _source(site)
    wanted: Any = getattr(site.options, "newShape", None)
    if site.has_input(1) and site.tensor(1, "shape").dtype == "int32" and len(site.tensor(1, "shape").shape) == 1:
        wanted = site.integers(1, "shape")
    if wanted is None:
        site.broken("it has no shape")
    shape = list(site.numbers(wanted, "shape"))
    if shape.count(-1) == 1:
        known = math.prod(length for length in shape if length != -1)
        shape[shape.index(-1)] = math.prod(source.shape) // known if known > 0 else 0
    if any(length < 0 for length in shape):
        site.broken(f"its shape {shape} has a negative dimension")
    return Reshape(**site.common, input=source.name, shape=tuple(shape))


def _read_squeeze(site: Site) -> Operator:
    source = _source(site)
    dims = site.option("squeezeDims")
    rank = len(source.shape)
    axes = {site.axis(axis, rank) for axis in ([] if dims is None else site.numbers(dims, "squeezed axes"))}
    if not axes:
        axes = {axis for axis, length in enumerate(source.shape) if length == 1}
    shape = tuple(length for axis, length in enumerate(source.shape) if axis not in axes)
    return Squeeze(**site.common, input=source.name, shape=shape)


def _read_expand_dims(site: Site) -> Operator:
    source = _source(site)
    axis = site.axis(_one(site, 1, "axis"), len(source.shape) + 1)
    return ExpandDims(**site.common, input=source.name, shape=(*source.shape[:axis], 1, *source.shape[axis:]))


def _one(site: Site, position: int, role: str) -> int:
    numbers = site.integers(position, role)
    if len(numbers) != 1:
        site.broken(f"its {role} is {numbers}, and must be one number")
    return numbers[0]


def _read_pad(site: Site) -> Operator:
    source = _source(site)
    numbers = site.integers(1, "padding")
    if len(numbers) != 2 * len(source.shape):
        site.broken(f"its padding of {len(numbers)} numbers does not fit an input of shape {source.shape}")
    value = 0 if source.dtype == "float32" else site.output().zero_point
    if site.has_input(2):
        filler = site.tensor(2, "padding value")
        if source.dtype != "float32" and filler.quantization != site.output().quantization:
            site.unsupported("its padding value is quantized otherwise than its output", "give both one quantization")
        if filler.dtype == "float32":
            site.unsupported("its padding value is a float32", "quantize the model to int8")
        value = _one(site, 2, "padding value")
    padding = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return Pad(**site.common, input=source.name, padding=padding, value=value)


def _read_concatenation(site: Site) -> Operator:
    parts = [site.value(site.tensor(position, "part"), "part") for position in range(len(site.inputs))]
    if not parts:
        site.broken("it has no parts")
    output = site.tensors[site.outputs[0]]
    if output.dtype in ("int8", "uint8"):
        for part in (*parts, output):
            site.activation(part, "part")
    if output.dtype == "int8":
        if any(part.quantization != output.quantization for part in parts):
            site.unsupported("its parts are quantized otherwise than its output", "give all one quantization")
        if site.clamp() != INT8:
            site.unsupported("it has a fused activation", "export the model without it")
    return Concatenation(
        **site.common,
        parts=tuple(part.name for part in parts),
        axis=site.axis(int(site.option("axis")), len(parts[0].shape)),
    )


def _read_pack(site: Site) -> Operator:
    parts = [site.value(site.tensor(position, "part"), "part") for position in range(len(site.inputs))]
    if not parts:
        site.broken("it has no parts")
    axis = site.axis(int(site.option("axis")), len(parts[0].shape) + 1)
    return Pack(**site.common, parts=tuple(part.name for part in parts), axis=axis)


def _read_unpack(site: Site) -> Operator:
    source = _source(site)
    axis = site.axis(int(site.option("axis")), len(source.shape))
    return Unpack(**site.common, input=source.name, axis=axis, others=site.outputs[1:])


def _read_split(site: Site) -> Operator:
    source = _source(site, 1)
    axis = site.axis(_one(site, 0, "axis"), len(source.shape))
    count = len(site.outputs)
    if source.shape[axis] % count:
        site.broken(f"axis {axis} of shape {source.shape} cannot be split into {count} equal parts")
    sizes = (source.shape[axis] // count,) * count
    return Split(**site.common, input=source.name, axis=axis, sizes=sizes, others=site.outputs[1:])


def _read_split_v(site: Site) -> Operator:
    source = _source(site)
    axis = site.axis(_one(site, 2, "axis"), len(source.shape))
    sizes = list(site.integers(1, "sizes"))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = source.shape[axis] - sum(sizes) - 1
    return Split(**site.common, input=source.name, axis=axis, sizes=tuple(sizes), others=site.outputs[1:])


def _read_slice(site: Site) -> Operator:
    source = _source(site)
    begin, size = site.integers(1, "begin"), site.integers(2, "size")
    if not len(begin) == len(size) == len(source.shape):
        site.broken(f"its begin {begin} and size {size} do not fit an input of shape {source.shape}")
    counts = tuple(
        length - first if count == -1 else count
        for length, first, count in zip(source.shape, begin, size, strict=True)
    )
    return Slice(**site.common, input=source.name, begin=begin, size=counts)


def _read_transpose(site: Site) -> Operator:
    source = _source(site)
    permutation = tuple(site.axis(axis, len(source.shape)) for axis in site.integers(1, "permutation"))
    return Transpose(**site.common, input=source.name, permutation=permutation)


def _read_block(site: Site) -> Operator:
    source = _source(site)
    kind = SpaceToDepth if site.kind == SpaceToDepth.KIND else DepthToSpace
    return kind(**site.common, input=source.name, block=int(site.option("blockSize")))


def _pairs(site: Site, position: int, role: str) -> tuple[tuple[int, int], ...]:
    numbers = site.integers(position, role)
    if len(numbers) % 2:
        site.broken(f"its {role} is {numbers}, and must be pairs")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _read_batches(site: Site) -> Operator:
    source, block = _source(site), site.integers(1, "block")
    if site.kind == BatchToSpaceNd.KIND:
        return BatchToSpaceNd(**site.common, input=source.name, block=block, crops=_pairs(site, 2, "crops"))
    value = site.output().zero_point if source.dtype in BYTES else 0
    return SpaceToBatchNd(**site.common, input=source.name, block=block, padding=_pairs(site, 2, "padding"), value=value)


def _read_tile(site: Site) -> Operator:
    return Tile(**site.common, input=_source(site).name, multiples=site.integers(1, "multiples"))


def _read_broadcast_to(site: Site) -> Operator:
    return BroadcastTo(**site.common, input=_source(site).name, shape=site.integers(1, "shape"))


def _read_mirror_pad(site: Site) -> Operator:
    symmetric = site.option("mode") == schema.MirrorPadMode.SYMMETRIC
    return MirrorPad(**site.common, input=_source(site).name, padding=_pairs(site, 1, "padding"), symmetric=symmetric)


def _read_resize(site: Site) -> Operator:
    source = site.input() if site.kind == ResizeBilinear.KIND else _source(site)
    size = site.integers(1, "size")
    if len(size) != 2:
        site.broken(f"its size is {size}, and must be two numbers")
    kind = ResizeBilinear if site.kind == ResizeBilinear.KIND else ResizeNearestNeighbor
    return kind(
        **site.common,
        input=source.name,
        size=(size[0], size[1]),
        align_corners=bool(site.option("alignCorners")),
        half_pixel_centers=bool(site.option("halfPixelCenters")),
    )


def _read_gather(site: Site) -> Operator:
    source = _source(site)
    if int(getattr(site.options, "batchDims", 0)):
        site.unsupported("it gathers in batches", "use a gather without batch dimensions")
    axis = site.axis(int(site.option("axis")), len(source.shape))
    indices = site.constant_integers(1, "indices")
    if indices.size and not 0 <= indices.min() <= indices.max() < source.shape[axis]:
        site.broken(f"an index is outside 0 to {source.shape[axis] - 1}")
    return Gather(**site.common, input=source.name, indices=site.tensor(1, "indices").name, axis=axis)


MOVEMENT_READERS: dict[str, Callable[[Site], Operator]] = {
    Reshape.KIND: _read_reshape,
    Squeeze.KIND: _read_squeeze,
    ExpandDims.KIND: _read_expand_dims,
    Pad.KIND: _read_pad,
    "PADV2": _read_pad,
    Concatenation.KIND: _read_concatenation,
    Pack.KIND: _read_pack,
    Unpack.KIND: _read_unpack,
    Split.KIND: _read_split,
    "SPLIT_V": _read_split_v,
    Slice.KIND: _read_slice,
    "STRIDED_SLICE": read_strided_slice,
    Transpose.KIND: _read_transpose,
    SpaceToDepth.KIND: _read_block,
    DepthToSpace.KIND: _read_block,
    ResizeNearestNeighbor.KIND: _read_resize,
    ResizeBilinear.KIND: _read_resize,
    SpaceToBatchNd.KIND: _read_batches,
    BatchToSpaceNd.KIND: _read_batches,
    Tile.KIND: _read_tile,
    BroadcastTo.KIND: _read_broadcast_to,
    MirrorPad.KIND: _read_mirror_pad,
    Gather.KIND: _read_gather,
}
