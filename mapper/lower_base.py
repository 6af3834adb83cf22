"""What all lowerings share. Images are named by their tensors here; `legalize.py` puts the right cut in."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..hw.isa import Mode
from .errors import UnsupportedError
from .ir import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D, Operator, Tensor
from .layer import Array, Constants, Layer, Pair, Region
from .window import Window, find_window

__all__ = [
    "FULL_RANGE",
    "IDENTITY",
    "Layout",
    "Tensors",
    "base_layer",
    "centred_weights",
    "clamp_of",
    "constant",
    "diagonal",
    "natural_layout",
    "refused",
    "shift",
    "walk",
    "whole",
    "zero_point",
]

Layout = tuple[int, int, int]
"""Rows, width, channels."""

Tensors = Mapping[str, Tensor]

Windowed = Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D

IDENTITY = (1 << 30, 30)
"""Multiplier and shift that leave a sum as it is."""

FULL_RANGE = (-128, 127)
"""A clamp that leaves everything as it is."""


def refused(operator: Operator, reason: str, hint: str) -> UnsupportedError:
    """The error for an operator that the accelerator cannot run."""
    return UnsupportedError(operator.KIND, operator.name, reason, hint)


def constant(operator: Operator, tensors: Tensors, role: str) -> Array:
    """The data of an operator's weights or bias. Raises `UnsupportedError` if they are computed."""
    data = tensors[getattr(operator, role)].data
    if data is None:
        raise refused(
            operator, f"its {role} are computed by the network", "only constant weights run on the accelerator"
        )
    return data


def shift(tensor: Tensor) -> int:
    """What is taken off a tensor's elements on chip: a uint8 tensor lies there as int8, 128 less."""
    return 128 if tensor.dtype == "uint8" else 0


def zero_point(tensor: Tensor) -> int:
    """A tensor's zero point on chip."""
    return tensor.zero_point - shift(tensor)


def clamp_of(operator: Operator, tensors: Tensors) -> Pair:
    """The range of an operator's output on chip."""
    if (limits := getattr(operator, "clamp", None)) is None:
        return FULL_RANGE
    by = shift(tensors[operator.output])
    return limits[0] - by, limits[1] - by


def centred_weights(operator: Operator, tensors: Tensors, role: str) -> Array:
    """Constant weights less their zero point, int64."""
    data = constant(operator, tensors, role)
    quantization = tensors[getattr(operator, role)].quantization
    axis = None if quantization is None else quantization.axis
    points = np.array((0,) if quantization is None else quantization.zero_point, np.int64)
    if axis is not None:
        points = points.reshape([-1 if dimension == axis else 1 for dimension in range(data.ndim)])
    return data.astype(np.int64) - points


def _folded(weights: Array) -> tuple[Array, int]:
    """Weights [y, x, ...] as a sum of int8 kernels side by side along x, and their number: 1 if they are int8 as they are."""
    parts: list[Array] = []
    while not parts or weights.any():
        parts.append(weights.clip(-128, 127))
        weights = weights - parts[-1]
    return np.concatenate(parts, axis=1).astype(np.int8), len(parts)


def walk(operator: Windowed, tensors: Tensors, kernel: Pair, dilation: Pair = (1, 1)) -> Window:
    """How an operator's kernel goes over its input."""
    return find_window(
        tensors[operator.input].shape,
        tensors[operator.output].shape,
        kernel,
        operator.stride,
        dilation,
        operator.padding,
    )


def base_layer(operator: Operator, tensors: Tensors, source: str, window: Window, weights: Array, mode: Mode) -> Layer:
    """What every kind of layer has in common; constants, rounding and combination are the caller's."""
    if window.swapped:
        weights = weights.swapaxes(0, 1)
    weights, folds = _folded(weights)
    return Layer(
        operators=(operator.name,),
        kind=operator.KIND,
        input=source,
        output=operator.output,
        batch=window.batch,
        size=window.size,
        out_size=window.out_size,
        stride=window.stride,
        dilation=window.dilation,
        origin=window.origin,
        pad=zero_point(tensors[source]),
        mode=mode,
        weights=weights,
        folds=folds,
        regions=(),
        zero_point=zero_point(tensors[operator.output]),
        clamp=clamp_of(operator, tensors),
    )


def whole(layer: Layer, constants: Constants) -> Layer:
    """A layer with the same constants for the whole output."""
    return replace(layer, regions=(Region(0, 0, *layer.out_size, constants),))


def diagonal(weights: Array, channels: int) -> Array:
    """Depthwise weights [y, x, outputs] as dense ones [y, x, channels, outputs]."""
    outputs = weights.shape[2]
    source = np.arange(outputs) // (outputs // channels)
    dense = np.zeros((*weights.shape[:2], channels, outputs), weights.dtype)
    dense[:, :, source, np.arange(outputs)] = weights
    return dense


def natural_layout(shape: tuple[int, ...]) -> Layout:
    """The cut that nothing else decides: the last dimension is a pixel's, the one before it the width.

    It is the one that `find_window` prefers, too.
    """
    channels = shape[-1] if shape else 1
    width = shape[-2] if len(shape) > 2 else 1
    if len(shape) == 4 and width == 1:
        width = shape[1]
    return math.prod(shape) // (width * channels), width, channels
