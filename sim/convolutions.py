"""Convolutions and matrix products on whole tensors, int8 or uint8.

Images are NHWC, weights in TensorFlow Lite's layouts; padded positions hold the input's zero point. Sums are int32 and
wrap as the kernels' accumulators do. `clamp` is the inclusive range that the fused activation leaves. Bit-exact with
ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`; shapes that do not fit raise `ValueError`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import INT8, requantize, requantize_float
from .windows import NO_PADDING, Padding, Pair, taps

__all__ = [
    "batch_matmul",
    "conv2d",
    "conv2d_accumulators",
    "depthwise_conv2d",
    "depthwise_conv2d_accumulators",
    "fully_connected",
    "fully_connected_accumulators",
    "transpose_conv",
]

ByteArray = npt.NDArray[np.integer[Any]]
"""int8 or uint8."""
Int32Array = npt.NDArray[np.int32]
Float64Array = npt.NDArray[np.float64]

# BLAS has no integers; in float64 all sums here are exact, since they stay below 2**53.


def conv2d_accumulators(
    image: ByteArray,
    weights: ByteArray,
    bias: Int32Array | None,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
) -> Int32Array:
    """int32 sums of a convolution, before requantization.

    `image` [batch, height, width, channels]; `weights` [filters, kernel y, kernel x, channels / groups]; `bias`
    [filters] or None. Returns [batch, rows, columns, filters]. Fewer weight channels than image channels mean groups.
    """
    filters, kernel_y, kernel_x, depth = weights.shape
    channels = image.shape[3]
    if channels % depth or filters % (channels // depth):
        raise ValueError(f"weights {weights.shape} do not fit an image of {channels} channels")
    groups = channels // depth
    centred = image.astype(np.float64) - input_zero_point
    factors = weights.astype(np.float64) - weights_zero_point
    # [group, kernel y, kernel x, depth, filters of the group]
    grouped = factors.reshape(groups, -1, kernel_y, kernel_x, depth).transpose(0, 2, 3, 4, 1)
    sums = [np.zeros(1)] * groups
    for ky, kx, view in taps(centred, (kernel_y, kernel_x), stride, dilation, padding, 0):
        for group in range(groups):
            sums[group] = sums[group] + view[..., group * depth : (group + 1) * depth] @ grouped[group, ky, kx]
    return _add_bias(np.concatenate(sums, axis=-1), bias)


def conv2d(
    image: ByteArray,
    weights: ByteArray,
    bias: Int32Array | None,
    *,
    multipliers: npt.ArrayLike,
    shifts: npt.ArrayLike,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = INT8,
    single_rounding: bool = False,
) -> ByteArray:
    """CONV_2D: `conv2d_accumulators`, requantized per filter rounded twice or once."""
    sums = conv2d_accumulators(
        image,
        weights,
        bias,
        stride=stride,
        dilation=dilation,
        padding=padding,
        input_zero_point=input_zero_point,
        weights_zero_point=weights_zero_point,
    )
    limits = (output_zero_point, clamp, image.dtype)
    return requantize(sums, multipliers, shifts, *limits, single_rounding=single_rounding)


def depthwise_conv2d_accumulators(
    image: ByteArray,
    weights: ByteArray,
    bias: Int32Array | None,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
) -> Int32Array:
    """int32 sums of a depthwise convolution, before requantization.

    `image` [batch, height, width, channels]; `weights` [1, kernel y, kernel x, channels * m]; output channel
    `c * m + j` is the j-th made from input channel c. Returns [batch, rows, columns, channels * m].
    """
    _, kernel_y, kernel_x, outputs = weights.shape
    channels = image.shape[3]
    if weights.shape[0] != 1 or outputs % channels:
        raise ValueError(f"depthwise weights {weights.shape} do not fit an image of {channels} channels")
    centred = np.repeat(image.astype(np.int32) - input_zero_point, outputs // channels, axis=3)
    factors = weights[0].astype(np.int32) - weights_zero_point
    sums = np.zeros(1, np.int32)
    for ky, kx, view in taps(centred, (kernel_y, kernel_x), stride, dilation, padding, 0):
        sums = sums + view * factors[ky, kx]
    return _add_bias(sums, bias)


def depthwise_conv2d(
    image: ByteArray,
    weights: ByteArray,
    bias: Int32Array | None,
    *,
    multipliers: npt.ArrayLike,
    shifts: npt.ArrayLike,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = INT8,
    single_rounding: bool = False,
) -> ByteArray:
    """DEPTHWISE_CONV_2D: `depthwise_conv2d_accumulators`, requantized per output channel rounded twice or once."""
    sums = depthwise_conv2d_accumulators(
        image,
        weights,
        bias,
        stride=stride,
        dilation=dilation,
        padding=padding,
        input_zero_point=input_zero_point,
        weights_zero_point=weights_zero_point,
    )
    limits = (output_zero_point, clamp, image.dtype)
    return requantize(sums, multipliers, shifts, *limits, single_rounding=single_rounding)


def transpose_conv(
    image: ByteArray,
    weights: ByteArray,
    bias: Int32Array | None,
    *,
    size: Pair,
    multipliers: npt.ArrayLike,
    shifts: npt.ArrayLike,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = INT8,
) -> ByteArray:
    """TRANSPOSE_CONV: each pixel spreads the kernel over the output; what falls outside `size` (rows, columns) is lost.

    `image` [batch, height, width, channels]; `weights` [filters, kernel y, kernel x, channels]; `bias` [filters] or
    None. Pixel (y, x) begins at output (y * stride - top, x * stride - left); the other two paddings do not count.
    Returns [batch, rows, columns, filters], requantized per filter with two roundings.
    """
    filters, kernel_y, kernel_x, depth = weights.shape
    batch, height, width, channels = image.shape
    if channels != depth:
        raise ValueError(f"weights {weights.shape} do not fit an image of {channels} channels")
    centred = image.astype(np.float64) - input_zero_point
    factors = weights.astype(np.float64) - weights_zero_point
    top, left = padding[:2]
    spread = np.zeros(
        (
            batch,
            max((height - 1) * stride[0] + kernel_y, top + size[0]),
            max((width - 1) * stride[1] + kernel_x, left + size[1]),
            filters,
        )
    )
    for ky in range(kernel_y):
        for kx in range(kernel_x):
            rows = slice(ky, ky + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(kx, kx + (width - 1) * stride[1] + 1, stride[1])
            spread[:, rows, columns] += centred @ factors[:, ky, kx].T
    sums = _add_bias(spread[:, top : top + size[0], left : left + size[1]], bias)
    return requantize(sums, multipliers, shifts, output_zero_point, clamp, image.dtype)


def fully_connected_accumulators(
    rows: ByteArray,
    weights: ByteArray,
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
    rows: ByteArray,
    weights: ByteArray,
    bias: Int32Array | None,
    *,
    scales: npt.ArrayLike,
    input_zero_point: int = 0,
    weights_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: Pair = INT8,
) -> ByteArray:
    """FULLY_CONNECTED: `fully_connected_accumulators`, requantized in float64. Returns [batch, outputs].

    `scales` is input scale * weight scale / output scale in float64, one per output or one for all.
    """
    sums = fully_connected_accumulators(
        rows, weights, bias, input_zero_point=input_zero_point, weights_zero_point=weights_zero_point
    )
    return requantize_float(sums, scales, output_zero_point, clamp, rows.dtype)


def batch_matmul(
    first: ByteArray,
    second: ByteArray,
    *,
    multiplier: int,
    shift: int,
    transpose_first: bool = False,
    transpose_second: bool = False,
    zero_points: tuple[int, int, int] = (0, 0, 0),
) -> ByteArray:
    """BATCH_MATMUL: `first` [..., rows, depth] times `second` [..., depth, columns]; leading dimensions broadcast.

    A transposed operand has its last two dimensions swapped. `zero_points` is (first, second, output). Requantized
    with two roundings.
    """
    left = first.astype(np.float64) - zero_points[0]
    right = second.astype(np.float64) - zero_points[1]
    left = left.swapaxes(-1, -2) if transpose_first else left
    right = right.swapaxes(-1, -2) if transpose_second else right
    return requantize(_add_bias(left @ right, None), multiplier, shift, zero_points[2], INT8, first.dtype)


def _add_bias(sums: Float64Array | Int32Array, bias: Int32Array | None) -> Int32Array:
    """Add the bias in 32 bits, which wrap as the kernel's accumulator does."""
    total = sums.astype(np.int64)
    return (total if bias is None else total + bias).astype(np.int32)
