"""Operator arithmetic on whole int8 tensors: the numbers that every other part of Tilewright is compared with.

Tensors are NHWC, weights in TensorFlow Lite's layouts. A stride, a dilation and a kernel are (y, x); padding is (top,
left, bottom, right) positions, which hold the input's zero point. `clamp` is the inclusive int8 range that the fused
activation leaves. Every function is bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`; shapes that do
not fit raise `ValueError`.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .arithmetic import multiply_by_quantized_multiplier, requantize, requantize_float
from .softmax import softmax

__all__ = [
    "ADD_LEFT_SHIFT",
    "add",
    "average_pool_2d",
    "conv2d",
    "conv2d_accumulators",
    "depthwise_conv2d",
    "depthwise_conv2d_accumulators",
    "fully_connected",
    "fully_connected_accumulators",
    "max_pool_2d",
    "reshape",
    "softmax",
    "window_positions",
]

Scalar = TypeVar("Scalar", bound=np.generic)
Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]

ADD_LEFT_SHIFT = 20
"""Bits by which ADD scales its operands up before it rescales them to a common scale."""

NO_PADDING: Padding = (0, 0, 0, 0)


def window_positions(size: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding) -> Pair:
    """How many places (y, x) a window has on an image of `size`; `ValueError` if it has none."""
    counts = []
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        padded = size[axis] + padding[axis] + padding[axis + 2]
        if padded < extent:
            raise ValueError(f"a window of {extent} does not fit an image of {padded} along {'yx'[axis]}")
        counts.append((padded - extent) // stride[axis] + 1)
    return counts[0], counts[1]


def _taps(
    image: npt.NDArray[Scalar], kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, fill: int
) -> Iterator[tuple[int, int, npt.NDArray[Scalar]]]:
    """Yield (ky, kx, view): for each kernel position what it sees, [batch, rows, columns, channels]."""
    rows, columns = window_positions((image.shape[1], image.shape[2]), kernel, stride, dilation, padding)
    top, left, bottom, right = padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    for ky in range(kernel[0]):
        y = ky * dilation[0]
        for kx in range(kernel[1]):
            x = kx * dilation[1]
            last_y, last_x = y + (rows - 1) * stride[0] + 1, x + (columns - 1) * stride[1] + 1
            yield ky, kx, padded[:, y : last_y : stride[0], x : last_x : stride[1], :]


def conv2d_accumulators(
    image: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
) -> Int32Array:
    """int32 sums of a convolution, before requantization.

    `image` [batch, height, width, channels]; `weights` [filters, kernel y, kernel x, channels / groups], zero point
    0; `bias` [filters] or None. Returns [batch, rows, columns, filters]. Fewer weight channels than image channels
    mean groups.
    """
    filters, kernel_y, kernel_x, depth = weights.shape
    channels = image.shape[3]
    if channels % depth or filters % (channels // depth):
        raise ValueError(f"weights {weights.shape} do not fit an image of {channels} channels")
    groups = channels // depth
    # BLAS has no integers; in float64 these sums are exact, since they stay below 2**53.
    centred = image.astype(np.float64) - input_zero_point
    # [group, kernel y, kernel x, depth, filters of the group]
    grouped = weights.astype(np.float64).reshape(groups, -1, kernel_y, kernel_x, depth).transpose(0, 2, 3, 4, 1)
    sums = [np.zeros(1)] * groups
    for ky, kx, view in _taps(centred, (kernel_y, kernel_x), stride, dilation, padding, 0):
        for group in range(groups):
            sums[group] = sums[group] + view[..., group * depth : (group + 1) * depth] @ grouped[group, ky, kx]
    return _add_bias(np.concatenate(sums, axis=-1), bias)


def conv2d(
    image: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    *,
    multipliers: npt.ArrayLike,
    shifts: npt.ArrayLike,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = (-128, 127),
) -> Int8Array:
    """CONV_2D: `conv2d_accumulators`, requantized per filter with two roundings."""
    sums = conv2d_accumulators(
        image, weights, bias, stride=stride, dilation=dilation, padding=padding, input_zero_point=input_zero_point
    )
    return requantize(sums, multipliers, shifts, output_zero_point, clamp)


def depthwise_conv2d_accumulators(
    image: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
) -> Int32Array:
    """int32 sums of a depthwise convolution, before requantization.

    `image` [batch, height, width, channels]; `weights` [1, kernel y, kernel x, channels * m], zero point 0; output
    channel `c * m + j` is the j-th made from input channel c. Returns [batch, rows, columns, channels * m].
    """
    _, kernel_y, kernel_x, outputs = weights.shape
    channels = image.shape[3]
    if weights.shape[0] != 1 or outputs % channels:
        raise ValueError(f"depthwise weights {weights.shape} do not fit an image of {channels} channels")
    centred = np.repeat(image.astype(np.int32) - input_zero_point, outputs // channels, axis=3)
    taps = weights[0].astype(np.int32)
    sums = np.zeros(1, np.int32)
    for ky, kx, view in _taps(centred, (kernel_y, kernel_x), stride, dilation, padding, 0):
        sums = sums + view * taps[ky, kx]
    return _add_bias(sums, bias)


def depthwise_conv2d(
    image: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    *,
    multipliers: npt.ArrayLike,
    shifts: npt.ArrayLike,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = (-128, 127),
) -> Int8Array:
    """DEPTHWISE_CONV_2D: `depthwise_conv2d_accumulators`, requantized per output channel with two roundings."""
    sums = depthwise_conv2d_accumulators(
        image, weights, bias, stride=stride, dilation=dilation, padding=padding, input_zero_point=input_zero_point
    )
    return requantize(sums, multipliers, shifts, output_zero_point, clamp)


def fully_connected_accumulators(
    rows: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    *,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
) -> Int32Array:
    """int32 sums of a matrix product, before requantization.

    `rows` is any shape whose size is a multiple of the depth, read as [batch, depth]; `weights` [outputs, depth];
    `bias` [outputs] or None. Returns [batch, outputs].
    """
    depth = weights.shape[1]
    if rows.size % depth:
        raise ValueError(f"weights {weights.shape} do not fit an input of shape {rows.shape}")
    centred = rows.reshape(-1, depth).astype(np.float64) - input_zero_point
    return _add_bias(centred @ (weights.astype(np.float64) - weights_zero_point).T, bias)


def fully_connected(
    rows: Int8Array,
    weights: Int8Array,
    bias: Int32Array | None,
    *,
    scales: npt.ArrayLike,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = (-128, 127),
) -> Int8Array:
    """FULLY_CONNECTED: `fully_connected_accumulators`, requantized in float64. Returns [batch, outputs].

    `scales` is input scale * weight scale / output scale in float64, one per output or one for all.
    """
    sums = fully_connected_accumulators(
        rows, weights, bias, input_zero_point=input_zero_point, weights_zero_point=weights_zero_point
    )
    return requantize_float(sums, scales, output_zero_point, clamp)


def add(
    first: Int8Array,
    second: Int8Array,
    *,
    zero_points: tuple[int, int, int],
    multipliers: tuple[int, int, int],
    shifts: tuple[int, int, int],
    clamp: Pair = (-128, 127),
) -> Int8Array:
    """ADD of two int8 tensors, which broadcast; each triple is (first, second, output).

    Operands are shifted left by 20 bits and scaled to twice the larger scale, the sum to the output's; each scaling
    rounds twice. Shifts lie in -31 to 0.
    """
    total = np.zeros(1, np.int64)
    for operand, zero_point, multiplier, shift in zip((first, second), zero_points, multipliers, shifts, strict=False):
        centred = (operand.astype(np.int64) - zero_point) << ADD_LEFT_SHIFT
        total = total + multiply_by_quantized_multiplier(centred, multiplier, shift)
    return requantize(total, multipliers[2], shifts[2], zero_points[2], clamp)


def average_pool_2d(
    image: Int8Array, *, kernel: Pair, stride: Pair, padding: Padding = NO_PADDING, clamp: Pair = (-128, 127)
) -> Int8Array:
    """AVERAGE_POOL_2D: the mean of each window's elements inside the image, rounded half away from zero."""
    views = _taps(image.astype(np.int64), kernel, stride, (1, 1), padding, 0)
    inside = _taps(np.ones((1, *image.shape[1:3], 1), np.int64), kernel, stride, (1, 1), padding, 0)
    total = np.add.reduce([view for _, _, view in views])
    count = np.add.reduce([view for _, _, view in inside])
    if not count.all():
        raise ValueError(f"a window of {kernel} lies wholly in the padding {padding}")
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    clamped: Int8Array = np.clip(mean, *clamp).astype(np.int8)
    return clamped


def max_pool_2d(
    image: Int8Array, *, kernel: Pair, stride: Pair, padding: Padding = NO_PADDING, clamp: Pair = (-128, 127)
) -> Int8Array:
    """MAX_POOL_2D: the largest of each window's elements inside the image."""
    views = _taps(image, kernel, stride, (1, 1), padding, -128)
    clamped: Int8Array = np.clip(np.maximum.reduce([view for _, _, view in views]), *clamp).astype(np.int8)
    return clamped


def reshape(tensor: Int8Array, shape: Sequence[int]) -> Int8Array:
    """RESHAPE: the same elements in row-major order."""
    return tensor.reshape(tuple(shape))


def _add_bias(sums: npt.NDArray[np.float64] | Int32Array, bias: Int32Array | None) -> Int32Array:
    """Add the bias in 32 bits, which wrap as the kernel's accumulator does."""
    total = sums.astype(np.int64)
    return (total if bias is None else total + bias).astype(np.int32)
