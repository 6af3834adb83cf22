"""Operators that move elements of a graph, on the golden arithmetic."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim import operators as golden
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
    Tensor,
    Tile,
    Transpose,
    Unpack,
)

__all__ = ["evaluate_movement"]

Array = npt.NDArray[Any]


def evaluate_movement(
    operator: Operator, tensors: Mapping[str, Tensor], values: Mapping[str, Array]
) -> tuple[Array, ...]:
    """The outputs, from the values of the tensors that the operator reads; `TypeError` for an unknown operator."""
    match operator:
        case Split():
            return golden.split(values[operator.input], operator.sizes, operator.axis)
        case Unpack():
            return tuple(np.moveaxis(values[operator.input], operator.axis, 0))
        case Concatenation():
            return (_concatenate(operator, tensors, values),)
        case Pack():
            return (np.stack([values[name] for name in operator.parts], operator.axis),)
        case Gather():
            return (np.take(values[operator.input], values[operator.indices], operator.axis),)
    return (_evaluate_single(operator, values),)


def _evaluate_single(operator: Operator, values: Mapping[str, Array]) -> Array:
    source = values[operator.inputs[0]]
    match operator:
        case Reshape():
            return golden.reshape(source, operator.shape)
        case Pad():
            return golden.pad(source, operator.padding, operator.value)
        case Slice():
            return golden.slice_elements(source, operator.begin, (1,) * len(operator.begin), operator.size)
        case StridedSlice():
            return golden.slice_elements(source, operator.begin, operator.strides, operator.size)
        case Transpose():
            return source.transpose(operator.permutation)
        case SpaceToDepth():
            return golden.space_to_depth(source, operator.block)
        case DepthToSpace():
            return golden.depth_to_space(source, operator.block)
        case SpaceToBatchNd():
            return golden.space_to_batch(source, operator.block, operator.padding, operator.value)
        case BatchToSpaceNd():
            return golden.batch_to_space(source, operator.block, operator.crops)
        case Tile():
            return np.tile(source, operator.multiples)
        case BroadcastTo():
            return np.broadcast_to(source, operator.shape).copy()
        case MirrorPad():
            return np.pad(source, operator.padding, mode="symmetric" if operator.symmetric else "reflect")
        case ResizeNearestNeighbor() | ResizeBilinear():
            nearest = isinstance(operator, ResizeNearestNeighbor)
            return (golden.resize_nearest_neighbor if nearest else golden.resize_bilinear)(
                source,
                size=operator.size,
                align_corners=operator.align_corners,
                half_pixel_centers=operator.half_pixel_centers,
            )
    raise TypeError(f"no arithmetic for {type(operator).__name__}")


def _concatenate(operator: Concatenation, tensors: Mapping[str, Tensor], values: Mapping[str, Array]) -> Array:
    parts = [values[name] for name in operator.parts]
    if tensors[operator.output].dtype != "uint8":
        return golden.concatenation(parts, operator.axis)
    quantized = [tensors[name] for name in (*operator.parts, operator.output)]
    scales, zero_points = [tensor.scale for tensor in quantized], [tensor.zero_point for tensor in quantized]
    return golden.quantized_concatenation(parts, operator.axis, scales, zero_points)
