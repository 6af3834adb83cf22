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
    "Layout",
    "Tensors",
    "base_layer",
    "constant",
    "diagonal",
    "natural_layout",
    "refused",
    "walk",
    "whole",
]

Layout = tuple[int, int, int]
"""Rows, width, channels."""

Tensors = Mapping[str, Tensor]

Windowed = Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D

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
    zero_point = tensors[source].zero_point
    if window.swapped:
        weights = weights.swapaxes(0, 1)
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
        pad=zero_point,
        mode=mode,
        weights=weights.astype(np.int8),
        regions=(),
        zero_point=tensors[operator.output].zero_point,
        clamp=getattr(operator, "clamp", FULL_RANGE),
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
