"""Convolutions and matrix products to layers."""

import math
from dataclasses import replace

import numpy as np

from ..hw.isa import Mode, Rounding
from ..hw.params import Parameters
from ..sim.arithmetic import wrap_int32
from .ir import Conv2D, DepthwiseConv2D, FullyConnected, Tensor
from .layer import Array, Constants, Layer
from .limits import MOST_SIZE, MOST_TAPS
from .lower_base import (
    Layout,
    Tensors,
    base_layer,
    centred_weights,
    constant,
    diagonal,
    natural_layout,
    refused,
    walk,
    whole,
    zero_point,
)
from .rounding import single_factors
from .window import Window

__all__ = ["convolution", "depthwise", "fully_connected"]


def convolution(operator: Conv2D, tensors: Tensors) -> Layer:
    filters = centred_weights(operator, tensors, "weights")
    channels = tensors[operator.input].shape[3]
    outputs, kernel_y, kernel_x, depth = filters.shape
    weights = np.zeros((kernel_y, kernel_x, channels, outputs), np.int64)
    per_group = outputs // (channels // depth)
    for group in range(channels // depth):
        ins = slice(group * depth, (group + 1) * depth)
        outs = slice(group * per_group, (group + 1) * per_group)
        weights[:, :, ins, outs] = filters[outs].transpose(1, 2, 3, 0)
    window = walk(operator, tensors, (kernel_y, kernel_x), operator.dilation)
    layer = base_layer(operator, tensors, operator.input, window, weights, Mode.DENSE)
    layer = replace(layer, rounding=_rounding(operator))
    return whole(layer, _constants(operator, _folded_bias(operator, tensors, weights, layer.pad), weights))


def depthwise(operator: DepthwiseConv2D, tensors: Tensors) -> Layer:
    weights = centred_weights(operator, tensors, "weights")[0]
    channels = tensors[operator.input].shape[3]
    window = walk(operator, tensors, weights.shape[:2], operator.dilation)
    mode = Mode.DEPTHWISE
    constants = _constants(operator, _folded_bias(operator, tensors, weights, zero_point(tensors[operator.input])), weights)
    if weights.shape[2] != channels:
        weights, mode = diagonal(weights, channels), Mode.DENSE
    layer = base_layer(operator, tensors, operator.input, window, weights, mode)
    return whole(replace(layer, rounding=_rounding(operator)), constants)


def fully_connected(operator: FullyConnected, tensors: Tensors, params: Parameters, layout: Layout | None) -> Layer:
    matrix = centred_weights(operator, tensors, "weights")
    outputs, depth = matrix.shape
    layout = layout or _free_layout(tensors[operator.input], depth, params)
    window, taps = _matrix_window(layout, depth)
    weights = matrix.T.reshape(*taps, outputs)
    layer = base_layer(operator, tensors, operator.input, window, weights, Mode.DENSE)
    bias = _folded_bias(operator, tensors, weights, layer.pad)
    low, high = _sum_bounds(weights, bias)
    factors = single_factors(
        np.array(operator.scales),
        np.array(operator.multipliers, np.int64),
        np.array(operator.shifts, np.int64),
        low,
        high,
        (layer.clamp[0] - layer.zero_point, layer.clamp[1] - layer.zero_point),
    )
    if factors is None:
        raise refused(operator, "no integer factors round as the reference kernel does", "it runs on the host")
    return whole(replace(layer, rounding=Rounding.SINGLE), Constants(bias, *factors))


def _free_layout(tensor: Tensor, depth: int, params: Parameters) -> Layout:
    """The best cut of an input that is loaded: a batch row in a pixel, unless that has too many channel blocks."""
    natural = natural_layout(tensor.shape)
    if natural[2] == depth or -(-depth // params.rows) > MOST_SIZE:
        return natural
    return tensor.size // depth, 1, depth


def _matrix_window(layout: Layout, depth: int) -> tuple[Window, tuple[int, int, int]]:
    """How a matrix product walks over an image, and its weights' shape (kernel y, kernel x, channels).

    Without another cut where possible: each batch row is a pixel, or a number of image rows.
    """
    rows, width, channels = layout
    per_batch, remainder = divmod(depth, width * channels)
    if channels == depth:
        size, kernel, batch = (rows, width), (1, 1), 1
    elif per_batch and not remainder and rows % per_batch == 0 and max(per_batch, width) <= MOST_TAPS:
        size, kernel, batch = (per_batch, width), (per_batch, width), rows // per_batch
    else:
        size, kernel, batch = (rows * width * channels // depth, 1), (1, 1), 1
    out_size = size if kernel == (1, 1) else (1, 1)
    taps = (*kernel, depth // math.prod(kernel))
    return Window(batch, size, out_size, kernel, (1, 1), (1, 1), (0, 0), False), taps


def _folded_bias(
    operator: Conv2D | DepthwiseConv2D | FullyConnected, tensors: Tensors, weights: Array, point: int
) -> Array:
    """Bias minus the input zero point times the sum of the weights, which are [taps..., outputs]."""
    sums = weights.astype(np.int64).sum(axis=tuple(range(weights.ndim - 1)))
    bias = 0 if operator.bias is None else constant(operator, tensors, "bias").astype(np.int64).reshape(-1)
    return wrap_int32(bias - point * sums)


def _rounding(operator: Conv2D | DepthwiseConv2D) -> Rounding:
    return Rounding.SINGLE if operator.single_rounding else Rounding.DOUBLE


def _constants(operator: Conv2D | DepthwiseConv2D, bias: Array, weights: Array) -> Constants:
    """Constants of the requantization.

    Where TensorFlow Lite shifts sums left, in 32 bits, the accelerator has more: a sum must be proven not to leave them.
    """
    shifts = np.array(operator.shifts, np.int64)
    low, high = _sum_bounds(weights, bias)
    if (np.maximum(-low, high + 1) << np.maximum(shifts, 0) > 1 << 31).any():
        raise refused(operator, f"a left shift by {shifts.max()} may leave 32 bits", "check the tensors' scales")
    return Constants(bias, np.array(operator.multipliers, np.int64), 31 - shifts)


def _sum_bounds(weights: Array, bias: Array) -> tuple[Array, Array]:
    """The least and the greatest sum of each output, from weights [taps..., outputs] and folded bias."""
    axes = tuple(range(weights.ndim - 1))
    positive, negative = (part.sum(axis=axes, dtype=np.int64) for part in (weights.clip(min=0), weights.clip(max=0)))
    return bias - 128 * positive + 127 * negative, bias + 127 * positive - 128 * negative
