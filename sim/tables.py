"""Operators on one byte at a time, as tables of their 256 results.

A table is indexed by the element's byte as an unsigned number (int8 -1 stands at 255) and holds results of the same
type. Zero points and multipliers are (input, output) or as the argument says; see `arithmetic` for multipliers and
shifts. Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import multiply_by_quantized_multiplier, round_half_away, rounding_divide_by_pot
from .fixed_point import high_mul, saturate

__all__ = [
    "Table",
    "absolute_table",
    "float_table",
    "hard_swish_table",
    "leaky_relu_table",
    "rescale_table",
    "rsqrt_table",
]

Table = tuple[int, ...]
Pair = tuple[int, int]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]


def _elements(dtype: str) -> Int64Array:
    """The element behind each of the 256 bytes."""
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.int64)


def _table(results: npt.NDArray[Any], dtype: str) -> Table:
    limits = np.iinfo(dtype)
    return tuple(int(result) for result in np.clip(results, limits.min, limits.max))


def rescale_table(
    input_dtype: str, output_dtype: str, zero_points: Pair, multiplier: int, shift: int, clamp: Pair | None = None
) -> Table:
    """Another scale and zero point: QUANTIZE of 8 bits, and with a clamp RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1."""
    results = multiply_by_quantized_multiplier(_elements(input_dtype) - zero_points[0], multiplier, shift)
    results += zero_points[1]
    return _table(results if clamp is None else np.clip(results, *clamp), output_dtype)


def leaky_relu_table(dtype: str, zero_points: Pair, identity: Pair, alpha: Pair, negative_alpha: bool) -> Table:
    """LEAKY_RELU: `identity` and `alpha` are (multiplier, shift) at or above zero and below, for the size of alpha."""
    centred = _elements(dtype) - zero_points[0]
    below = multiply_by_quantized_multiplier(centred, *alpha)
    results = np.where(
        centred >= 0, multiply_by_quantized_multiplier(centred, *identity), -below if negative_alpha else below
    )
    return _table(results + zero_points[1], dtype)


def hard_swish_table(dtype: str, zero_points: Pair, output: Pair, relu: Pair) -> Table:
    """HARD_SWISH in 16-bit fixed point: `output` and `relu` are (16-bit multiplier, exponent).

    They scale an element times 128 to the output, and to a third of it where 1.0 is 32768; the exponents lie in -15 to
    0 and -15 to 15.
    """
    fine = (_elements(dtype) - zero_points[0]) << 7
    before_shift = high_mul(fine, output[0], 16)
    multiplier, exponent = relu
    gate = saturate(fine << (exponent - 1), 16) if exponent > 0 else fine
    gate = high_mul(gate, multiplier, 16)
    gate = saturate(gate << 1, 16) if exponent > 0 else rounding_divide_by_pot(gate, -exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * before_shift
    # Truncated towards zero, unlike every other product here.
    product = np.sign(product) * (np.abs(product) >> 15)
    return _table(rounding_divide_by_pot(product, -output[1]) + zero_points[1], dtype)


def float_table(
    function: Callable[[FloatArray], FloatArray],
    dtype: str,
    scales: tuple[float, float],
    zero_points: Pair,
) -> Table:
    """LOGISTIC, TANH, EXP, LOG: a float32 function of float32 numbers between dequantization and quantization.

    `ValueError` for an output scale below 2**-126.
    """
    if scales[1] < np.finfo(np.float32).tiny:
        raise ValueError(f"the output scale {scales[1]} has no reciprocal in float32")
    with np.errstate(over="ignore", invalid="ignore"):
        real = np.float32(scales[0]) * (_elements(dtype) - zero_points[0]).astype(np.float32)
        inverse = np.float32(1) / np.float32(scales[1])
        rounded = round_half_away(function(real).astype(np.float32) * inverse)
    return _table(rounded + np.float32(zero_points[1]), dtype)


def absolute_table(zero_points: Pair, factor: Pair | None) -> Table:
    """ABS of int8: `factor` is (multiplier, shift), None for equal scales."""
    size = np.abs(_elements("int8") - zero_points[0])
    results = size if factor is None else multiply_by_quantized_multiplier(size, *factor)
    return _table(results + zero_points[1], "int8")


_RSQRT_SHIFT = 20


def rsqrt_table(zero_points: Pair, multiplier: int, shift: int) -> Table:
    """RSQRT of int8: the reciprocal root of the centred element in fixed point, rescaled.

    Zero gives the largest result. Elements below the zero point, which the kernel refuses, count as zero here.
    `shift` is at least -11.
    """
    results = np.full(256, 127, np.int64)
    for byte, element in enumerate(_elements("int8") - zero_points[0]):
        if element > 0:
            root = multiply_by_quantized_multiplier(1, *_inverse_root(int(element)))
            results[byte] = multiply_by_quantized_multiplier(root, multiplier, shift - _RSQRT_SHIFT) + zero_points[1]
    return _table(results, "int8")


@functools.cache
def _inverse_root(x: int) -> Pair:
    """`2**20 / sqrt(x)` of an integer from 1 to 255 as (multiplier, shift): five Newton steps in Q3.28."""
    if x == 1:
        return (1 << 31) - 1, _RSQRT_SHIFT
    # The number is brought to [2**27, 2**29), which is [1/4, 1) in Q2.
    pairs = (31 - x.bit_length()) // 2 - 1
    right_shift = 11 - pairs
    half = int(rounding_divide_by_pot((x << (2 * pairs)) >> 1, 1))
    root = 1 << 28
    for _ in range(5):
        cube = saturate(high_mul(high_mul(root, root, 32), root, 32) << 6, 32)
        step = high_mul((1 << 28) + (1 << 27), root, 32) - high_mul(half, cube, 32)
        root = int(saturate(step << 3, 32))
    root = int(high_mul(root, math.floor(math.sqrt(0.5) * (1 << 31) + 0.5), 32))
    if right_shift < 0:
        root, right_shift = root << -right_shift, 0
    return root, _RSQRT_SHIFT - right_shift
