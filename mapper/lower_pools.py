"""Pools and means to layers: depthwise convolutions whose weights are all 1."""

import math
from dataclasses import replace

import numpy as np

from ..hw.isa import Combine, Mode
from .average import find_average
from .ir import AveragePool2D, MaxPool2D, Mean
from .layer import Constants, Layer, Region, uniform
from .lower_base import IDENTITY, Tensors, base_layer, refused, shift, walk, whole, zero_point
from .window import Window, find_window, inside_counts

__all__ = ["average_pool", "maximum_pool", "mean"]


def _pool(operator: AveragePool2D | MaxPool2D, tensors: Tensors, pad: int) -> tuple[Layer, Window]:
    channels = tensors[operator.input].shape[3]
    window = walk(operator, tensors, operator.kernel)
    weights = np.ones((*operator.kernel, channels), np.int8)
    layer = base_layer(operator, tensors, operator.input, window, weights, Mode.DEPTHWISE)
    return replace(layer, pad=pad, zero_point=0), window


def average_pool(operator: AveragePool2D, tensors: Tensors) -> Layer:
    layer, window = _pool(operator, tensors, 0)
    by = shift(tensors[operator.input])
    regions, roundings = [], set()
    for row, column, rows, columns, taps in inside_counts(window):
        found = find_average(taps)
        if found is None:
            raise refused(operator, f"no factors give the exact mean of {taps} elements", "it runs on the host")
        multiplier, total, rounding = found
        # Halves are rounded away from zero: sums of uint8 are made whole again before the division.
        regions.append(Region(row, column, rows, columns, uniform(layer.outputs, by * taps, multiplier, total)))
        roundings.add(rounding)
    return replace(layer, regions=tuple(regions), rounding=roundings.pop(), zero_point=-by)


def maximum_pool(operator: MaxPool2D, tensors: Tensors) -> Layer:
    layer, _ = _pool(operator, tensors, -128)
    return whole(replace(layer, combine=Combine.MAX), uniform(layer.outputs, 0, *IDENTITY))


def mean(operator: Mean, tensors: Tensors) -> Layer:
    """The mean of all pixels, or of all rows or columns, as one window; its factor holds 1 / count and the scales."""
    source = tensors[operator.input]
    if len(source.shape) not in (3, 4) or not set(operator.axes) < set(range(1, len(source.shape))):
        raise refused(operator, f"it goes along {operator.axes} of {source.shape}, not over pixels", "it runs on the host")
    if len(source.shape) - 1 in operator.axes:
        raise refused(operator, "it goes along the channels", "it runs on the host")
    batch, height, width, channels = source.shape if len(source.shape) == 4 else (*source.shape[:2], 1, source.shape[2])
    kernel = (height if 1 in operator.axes else 1, width if 2 in operator.axes and len(source.shape) == 4 else 1)
    out_shape = (batch, height // kernel[0], width // kernel[1], channels)
    window = find_window((batch, height, width, channels), out_shape, kernel, kernel, (1, 1), (0, 0, 0, 0))
    count = math.prod(kernel)
    if count * 255 << max(operator.shift, 0) >= 1 << 31:
        raise refused(operator, f"a sum of {count} elements may leave 32 bits", "it runs on the host")
    weights = np.ones((*kernel, channels), np.int8)
    layer = base_layer(operator, tensors, operator.input, window, weights, Mode.DEPTHWISE)
    bias = np.full(channels, -count * zero_point(source), np.int64)
    factors = (np.full(channels, value, np.int64) for value in (operator.multiplier, 31 - operator.shift))
    return whole(layer, Constants(bias, *factors))
