"""Shapes: where windows lie on an image, and what shape an operator's output has."""

import math
from collections.abc import Mapping

import numpy as np

from ..sim.operators import window_positions
from .ir import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Operator,
    Reshape,
    Softmax,
    Tensor,
)

__all__ = ["output_shape", "same_padding"]


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


def output_shape(operator: Operator, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The shape of an operator's output from its fields and its inputs' shapes; `ValueError` where they do not fit."""
    shapes = [tensors[name].shape for name in operator.inputs]
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
        case FullyConnected():
            outputs, depth = _rank(shapes[1], 2, "weights")
            _check_bias(shapes[2:], outputs)
            size = math.prod(shapes[0])
            if size % depth or (operator.keep_dims and shapes[0][-1] != depth):
                raise ValueError(f"weights {shapes[1]} do not fit an input of shape {shapes[0]}")
            return (*shapes[0][:-1], outputs) if operator.keep_dims else (size // depth, outputs)
        case Add():
            return tuple(np.broadcast_shapes(*shapes))
        case AveragePool2D() | MaxPool2D():
            image = _rank(shapes[0], 4, "input")
            places = window_positions((image[1], image[2]), operator.kernel, operator.stride, (1, 1), operator.padding)
            return (image[0], *places, image[3])
        case Reshape():
            if math.prod(shapes[0]) != math.prod(operator.shape):
                raise ValueError(f"shape {operator.shape} does not hold the elements of {shapes[0]}")
            return operator.shape
        case Softmax():
            if not shapes[0]:
                raise ValueError("the input is a scalar")
            return shapes[0]
    raise TypeError(f"no shape rule for {type(operator).__name__}")


def _rank(shape: tuple[int, ...], rank: int, role: str) -> tuple[int, ...]:
    if len(shape) != rank or 0 in shape:
        raise ValueError(f"{role} of shape {shape}: it needs {rank} dimensions, none of them empty")
    return shape


def _check_channels(kind: str, image: tuple[int, ...], weights: tuple[int, ...]) -> None:
    channels = image[3]
    if kind == DepthwiseConv2D.KIND:
        fits = weights[0] == 1 and weights[3] % channels == 0
    else:
        fits = channels % weights[3] == 0 and weights[0] % (channels // weights[3]) == 0
    if not fits:
        raise ValueError(f"weights {weights} do not fit an image of {channels} channels")


def _check_bias(shapes: list[tuple[int, ...]], channels: int) -> None:
    if shapes and math.prod(shapes[0]) != channels:
        raise ValueError(f"a bias of shape {shapes[0]} does not fit {channels} output channels")
