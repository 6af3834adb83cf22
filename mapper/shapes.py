"""Shapes: where windows lie on an image, and what shapes an operator's outputs have."""

import math
from collections.abc import Mapping

import numpy as np

from ..sim.operators import window_positions
from .ir import (
    Add,
    ArgMax,
    ArgMin,
    AveragePool2D,
    BatchMatMul,
    Cast,
    Conv2D,
    DepthwiseConv2D,
    Dequantize,
    FullyConnected,
    Lookup,
    Maximum,
    MaxPool2D,
    Mean,
    Minimum,
    Mul,
    Operator,
    Prelu,
    Quantize,
    ReduceMax,
    ReduceMin,
    Softmax,
    SquaredDifference,
    Sub,
    Tensor,
    TransposeConv,
    UnidirectionalSequenceLstm,
)
from .shapes_movement import movement_shapes

__all__ = ["output_shape", "output_shapes", "same_padding"]

Shape = tuple[int, ...]


def same_padding(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """TensorFlow's SAME as (top, left, bottom, right): ceil(size / stride) windows, the odd position at the end."""
    before, after = [], []
    for length, taps, step, spread in zip(size, kernel, stride, dilation, strict=True):
        windows = -(-length // step)
        total = max(0, (windows - 1) * step + (taps - 1) * spread + 1 - length)
        before.append(total // 2)
        after.append(total - total // 2)
    return before[0], before[1], after[0], after[1]


def output_shapes(operator: Operator, tensors: Mapping[str, Tensor]) -> tuple[Shape, ...]:
    """The shape of each of an operator's outputs, from its fields and its inputs' shapes.

    `ValueError` where they do not fit.
    """
    shapes = [tensors[name].shape for name in operator.inputs]
    if isinstance(operator, UnidirectionalSequenceLstm):
        return _lstm_shapes(operator, tensors)
    single = _single_shape(operator, shapes)
    return movement_shapes(operator, shapes) if single is None else (single,)


def output_shape(operator: Operator, tensors: Mapping[str, Tensor]) -> Shape:
    """The shape of an operator's first output; `ValueError` as `output_shapes`."""
    return output_shapes(operator, tensors)[0]


def _single_shape(operator: Operator, shapes: list[Shape]) -> Shape | None:
    match operator:
        case Conv2D() | DepthwiseConv2D():
            image, weights = _rank(shapes[0], 4, "input"), _rank(shapes[1], 4, "weights")
            depthwise = isinstance(operator, DepthwiseConv2D)
            filters = weights[3] if depthwise else weights[0]
            _check_channels(operator.KIND, image, weights)
            _check_bias(shapes[2:], filters)
            places = window_positions(
                (image[1], image[2]), (weights[1], weights[2]), operator.stride, operator.dilation, operator.padding
            )
            return (image[0], *places, filters)
        case TransposeConv():
            image, weights = _rank(shapes[0], 4, "input"), _rank(shapes[1], 4, "weights")
            _check_bias(shapes[2:], weights[0])
            if image[3] != weights[3]:
                raise ValueError(f"weights {weights} do not fit an image of {image[3]} channels")
            if min(operator.size) < 1:
                raise ValueError(f"the output of {operator.size} pixels is empty")
            return (image[0], *operator.size, weights[0])
        case FullyConnected():
            outputs, depth = _rank(shapes[1], 2, "weights")
            _check_bias(shapes[2:], outputs)
            size = math.prod(shapes[0])
            if size % depth or (operator.keep_dims and shapes[0][-1] != depth):
                raise ValueError(f"weights {shapes[1]} do not fit an input of shape {shapes[0]}")
            return (*shapes[0][:-1], outputs) if operator.keep_dims else (size // depth, outputs)
        case BatchMatMul():
            return _matmul_shape(operator, *shapes)
        case Add() | Sub() | Mul() | SquaredDifference() | Maximum() | Minimum():
            return tuple(np.broadcast_shapes(*shapes))
        case Prelu():
            if tuple(np.broadcast_shapes(*shapes)) != shapes[0]:
                raise ValueError(f"alpha of shape {shapes[1]} does not broadcast to the input's {shapes[0]}")
            return shapes[0]
        case AveragePool2D() | MaxPool2D():
            image = _rank(shapes[0], 4, "input")
            places = window_positions((image[1], image[2]), operator.kernel, operator.stride, (1, 1), operator.padding)
            return (image[0], *places, image[3])
        case Softmax():
            if not shapes[0]:
                raise ValueError("the input is a scalar")
            return shapes[0]
        case Lookup() | Quantize() | Dequantize() | Cast():
            return shapes[0]
        case Mean() | ReduceMax() | ReduceMin():
            return _reduced(shapes[0], operator.axes, operator.keep_dims)
        case ArgMax() | ArgMin():
            return _reduced(shapes[0], (operator.axis,), False)
    return None


def _reduced(shape: Shape, axes: tuple[int, ...], keep_dims: bool) -> Shape:
    if any(not 0 <= axis < len(shape) for axis in axes) or len(set(axes)) != len(axes):
        raise ValueError(f"axes {axes} are not axes of the shape {shape}")
    if any(shape[axis] == 0 for axis in axes):
        raise ValueError(f"the shape {shape} is empty along {axes}")
    if keep_dims:
        return tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


def _matmul_shape(operator: BatchMatMul, first: Shape, second: Shape) -> Shape:
    if min(len(first), len(second)) < 2:
        raise ValueError(f"operands of shapes {first} and {second} need 2 dimensions at least")
    rows, depth = first[-2:][:: -1 if operator.transpose_first else 1]
    other_depth, columns = second[-2:][:: -1 if operator.transpose_second else 1]
    if depth != other_depth:
        raise ValueError(f"matrices of {rows} x {depth} and {other_depth} x {columns} cannot be multiplied")
    return (*np.broadcast_shapes(first[:-2], second[:-2]), rows, columns)


def _lstm_shapes(operator: UnidirectionalSequenceLstm, tensors: Mapping[str, Tensor]) -> tuple[Shape, ...]:
    sequence = _rank(tensors[operator.input].shape, 3, "input")
    batch = sequence[1 if operator.time_major else 0]
    cells = tensors[operator.biases[0]].shape[0]
    wanted = {"input_weights": (cells, sequence[2]), "recurrent_weights": (cells, cells), "biases": (cells,)}
    for role, shape in wanted.items():
        for name in getattr(operator, role):
            if tensors[name].shape != shape:
                raise ValueError(f"{role} {name!r} have shape {tensors[name].shape}, and must have {shape}")
    return (*sequence[:2], cells), (batch, cells), (batch, cells)


def _rank(shape: Shape, rank: int, role: str) -> Shape:
    if len(shape) != rank or 0 in shape:
        raise ValueError(f"{role} of shape {shape}: it needs {rank} dimensions, none of them empty")
    return shape


def _check_channels(kind: str, image: Shape, weights: Shape) -> None:
    channels = image[3]
    if kind == DepthwiseConv2D.KIND:
        fits = weights[0] == 1 and weights[3] % channels == 0
    else:
        fits = channels % weights[3] == 0 and weights[0] % (channels // weights[3]) == 0
    if not fits:
        raise ValueError(f"weights {weights} do not fit an image of {channels} channels")


def _check_bias(shapes: list[Shape], channels: int) -> None:
    if shapes and math.prod(shapes[0]) != channels:
        raise ValueError(f"a bias of shape {shapes[0]} does not fit {channels} output channels")
