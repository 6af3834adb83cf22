"""The shapes of what moves elements."""

import math

import numpy as np

from .ir import (
    BatchToSpaceNd,
    BroadcastTo,
    Concatenation,
    DepthToSpace,
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
    StridedSlice,
    Tile,
    Transpose,
    Unpack,
)

__all__ = ["movement_shapes"]

Shape = tuple[int, ...]


def movement_shapes(operator: Operator, shapes: list[Shape]) -> tuple[Shape, ...]:
    """The shape of each output, from the operator's fields and its inputs' shapes.

    `ValueError` where they do not fit, `TypeError` for an operator of another kind.
    """
    match operator:
        case Split():
            return _split_shapes(operator, shapes[0])
        case Unpack():
            axis = _axis(operator.axis, shapes[0])
            if len(operator.outputs) != shapes[0][axis]:
                raise ValueError(f"{len(operator.outputs)} outputs for {shapes[0][axis]} parts")
            return ((*shapes[0][:axis], *shapes[0][axis + 1 :]),) * len(operator.outputs)
        case Concatenation():
            return (_concatenated(operator, shapes),)
        case Pack():
            if len(set(shapes)) != 1 or not 0 <= operator.axis <= len(shapes[0]):
                raise ValueError(f"parts of shapes {shapes} cannot be packed along axis {operator.axis}")
            return ((*shapes[0][: operator.axis], len(shapes), *shapes[0][operator.axis :]),)
        case Gather():
            axis = _axis(operator.axis, shapes[0])
            return ((*shapes[0][:axis], *shapes[1], *shapes[0][axis + 1 :]),)
    return (_single(operator, shapes[0]),)


def _single(operator: Operator, shape: Shape) -> Shape:
    match operator:
        case Reshape():
            if math.prod(shape) != math.prod(operator.shape):
                raise ValueError(f"shape {operator.shape} does not hold the elements of {shape}")
            return operator.shape
        case Pad():
            if len(operator.padding) != len(shape) or any(min(pair) < 0 for pair in operator.padding):
                raise ValueError(f"padding {operator.padding} does not fit the shape {shape}")
            return tuple(length + sum(pair) for length, pair in zip(shape, operator.padding, strict=True))
        case Slice():
            _check_picks(shape, operator.begin, (1,) * len(operator.begin), operator.size)
            return operator.size
        case StridedSlice():
            _check_picks(shape, operator.begin, operator.strides, operator.size)
            if math.prod(operator.size) != math.prod(operator.shape):
                raise ValueError(f"shape {operator.shape} does not hold the elements of {operator.size}")
            return operator.shape
        case Transpose():
            if sorted(operator.permutation) != list(range(len(shape))):
                raise ValueError(f"permutation {operator.permutation} does not fit the shape {shape}")
            return tuple(shape[axis] for axis in operator.permutation)
        case Tile():
            if len(operator.multiples) != len(shape) or min(operator.multiples, default=1) < 0:
                raise ValueError(f"multiples {operator.multiples} do not fit the shape {shape}")
            return tuple(length * count for length, count in zip(shape, operator.multiples, strict=True))
        case BroadcastTo():
            if tuple(np.broadcast_shapes(shape, operator.shape)) != operator.shape:
                raise ValueError(f"the shape {shape} does not broadcast to {operator.shape}")
            return operator.shape
        case MirrorPad():
            edge = 0 if operator.symmetric else 1
            if len(operator.padding) != len(shape) or any(
                not 0 <= width <= length - edge for length, pair in zip(shape, operator.padding, strict=False) for width in pair
            ):
                raise ValueError(f"a mirrored border of {operator.padding} does not fit the shape {shape}")
            return tuple(length + sum(pair) for length, pair in zip(shape, operator.padding, strict=True))
        case SpaceToBatchNd() | BatchToSpaceNd():
            return _batches(operator, shape)
    return _image(operator, shape)


def _image(operator: Operator, shape: Shape) -> Shape:
    if not isinstance(operator, SpaceToDepth | DepthToSpace | ResizeNearestNeighbor | ResizeBilinear):
        raise TypeError(f"no shape rule for {type(operator).__name__}")
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"input of shape {shape}: it needs 4 dimensions, none of them empty")
    batch, height, width, channels = shape
    if isinstance(operator, ResizeNearestNeighbor | ResizeBilinear):
        if min(operator.size) < 1:
            raise ValueError(f"the output of {operator.size} pixels is empty")
        if operator.align_corners and operator.half_pixel_centers:
            raise ValueError("align_corners and half_pixel_centers exclude each other")
        return (batch, *operator.size, channels)
    block = operator.block
    if block < 1:
        raise ValueError(f"block size {block} is not positive")
    if isinstance(operator, SpaceToDepth):
        if height % block or width % block:
            raise ValueError(f"an image of {height} x {width} has no whole blocks of {block} x {block}")
        return batch, height // block, width // block, channels * block**2
    if channels % block**2:
        raise ValueError(f"{channels} channels are no multiple of {block} x {block}")
    return batch, height * block, width * block, channels // block**2


def _batches(operator: SpaceToBatchNd | BatchToSpaceNd, shape: Shape) -> Shape:
    block, inner = operator.block, shape[1 : 1 + len(operator.block)]
    edges = operator.padding if isinstance(operator, SpaceToBatchNd) else operator.crops
    if not 1 <= len(block) < len(shape) or len(edges) != len(block) or min(block) < 1 or min(map(min, edges)) < 0:
        raise ValueError(f"blocks of {block} with edges of {edges} do not fit the shape {shape}")
    spread = math.prod(block)
    if isinstance(operator, SpaceToBatchNd):
        padded = [length + sum(pair) for length, pair in zip(inner, edges, strict=True)]
        if any(length % step for length, step in zip(padded, block, strict=True)):
            raise ValueError(f"pixels {padded} are no whole blocks of {block}")
        lengths = [length // step for length, step in zip(padded, block, strict=True)]
        return (shape[0] * spread, *lengths, *shape[1 + len(block) :])
    lengths = [length * step - sum(pair) for length, step, pair in zip(inner, block, edges, strict=True)]
    if shape[0] % spread or min(lengths) < 0:
        raise ValueError(f"a batch of {shape[0]} is no whole blocks of {block}, or its crops {edges} leave nothing")
    return (shape[0] // spread, *lengths, *shape[1 + len(block) :])


def _axis(axis: int, shape: Shape) -> int:
    if not 0 <= axis < len(shape):
        raise ValueError(f"axis {axis} is no axis of the shape {shape}")
    return axis


def _split_shapes(operator: Split, shape: Shape) -> tuple[Shape, ...]:
    axis = _axis(operator.axis, shape)
    if min(operator.sizes) < 0 or sum(operator.sizes) != shape[axis] or len(operator.sizes) != len(operator.outputs):
        raise ValueError(f"parts of {operator.sizes} do not make up axis {axis} of the shape {shape}")
    return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in operator.sizes)


def _concatenated(operator: Concatenation, shapes: list[Shape]) -> Shape:
    axis = _axis(operator.axis, shapes[0])
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes if len(shape) > axis}
    if len(rests) != 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
        raise ValueError(f"parts of shapes {shapes} cannot be joined along axis {axis}")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _check_picks(shape: Shape, begin: Shape, strides: Shape, size: Shape) -> None:
    if not len(shape) == len(begin) == len(strides) == len(size):
        raise ValueError(f"a slice of {len(size)} dimensions does not fit the shape {shape}")
    for length, first, stride, count in zip(shape, begin, strides, size, strict=True):
        last = first + (count - 1) * stride
        if count < 0 or stride == 0 or (count and not (0 <= first < length and 0 <= last < length)):
            raise ValueError(f"a slice of {size} from {begin} by {strides} leaves the shape {shape}")
