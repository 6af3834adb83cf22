"""Integer arithmetic of TensorFlow Lite's quantized kernels, vectorised over numpy arrays.

A real factor is written as ``multiplier * 2**(shift - 31)`` with an integer multiplier in [2**30, 2**31), or 0. A
positive shift is a left shift, a negative one a right shift. Accumulators are int32; results are int64 arrays that
hold int32 values.

Source: the contracts of gemmlowp's fixed-point primitives and of LiteRT's `kernels/internal/common.h` and
`quantization_util.cc`, measured against ai-edge-litert 2.3.0 (`OpResolverType.BUILTIN_REF`).
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "INT8",
    "INT32_MAX",
    "INT32_MIN",
    "multiply_by_quantized_multiplier",
    "multiply_by_quantized_multiplier_single",
    "quantize_multiplier",
    "requantize",
    "requantize_float",
    "round_half_away",
    "rounding_divide_by_pot",
    "saturating_left_shift",
    "saturating_rounding_doubling_high_mul",
    "wrap_int32",
]

INT32_MIN = -(1 << 31)
INT32_MAX = (1 << 31) - 1
INT8 = (-128, 127)
"""The inclusive range of int8."""

IntArray = npt.NDArray[np.integer[Any]]
Int64Array = npt.NDArray[np.int64]


def wrap_int32(x: npt.ArrayLike) -> Int64Array:
    """Reduce to int32 modulo 2**32, as a register of 32 bits does."""
    return np.asarray(x, np.int64).astype(np.int32).astype(np.int64)


def saturating_rounding_doubling_high_mul(a: npt.ArrayLike, b: npt.ArrayLike) -> Int64Array:
    """`a * b / 2**31`, rounded to nearest with ties towards plus infinity; int32 operands.

    The one product that does not fit, -2**31 times -2**31, saturates to 2**31 - 1.
    """
    product: Int64Array = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    rounded: Int64Array = (product + (1 << 30)) >> 31
    return np.minimum(rounded, INT32_MAX)


def rounding_divide_by_pot(x: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """`x / 2**exponent`, rounded to nearest with ties away from zero; exponent 0 to 31, scalar or array."""
    x = np.asarray(x, np.int64)
    exponent = np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    # Adding a half and shifting takes ties up; one less takes those of negative numbers down, and moves nothing else.
    rounded: Int64Array = (x + half - ((x < 0) & (exponent > 0))) >> exponent
    return rounded


def saturating_left_shift(x: npt.ArrayLike, exponent: int) -> Int64Array:
    """`x * 2**exponent`, saturated to int32; exponent 0 to 31."""
    shifted: Int64Array = np.asarray(x, np.int64) << exponent
    return np.clip(shifted, INT32_MIN, INT32_MAX)


def quantize_multiplier(factor: float) -> tuple[int, int]:
    """Write a real factor >= 0 as (multiplier, shift) with `factor ~ multiplier * 2**(shift - 31)`.

    The multiplier lies in [2**30, 2**31) and rounds half up. A factor whose shift would lie below -31 gives (0, 0):
    every result would be zero. Raises `ValueError` for a negative, infinite or undefined factor.
    """
    if not (factor >= 0 and math.isfinite(factor)):
        raise ValueError(f"factor {factor!r} cannot be quantized: it must be finite and not negative")
    if factor == 0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def multiply_by_quantized_multiplier(x: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> Int64Array:
    """Scale int32 `x` by `multiplier * 2**(shift - 31)`, rounding twice: in the product, then in the right shift.

    Operands broadcast; `multiplier` 0 to 2**31 - 1, `shift` -31 to 31. A left shift is applied first and wraps at 32
    bits, which is what the kernel compiles to (in C++ it is undefined, so a program should prove that it does not
    happen). This is the rounding of CONV_2D, DEPTHWISE_CONV_2D and ADD.
    """
    shift = np.asarray(shift, np.int64)
    shifted = wrap_int32(np.asarray(x, np.int64) << np.maximum(shift, 0))
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), np.maximum(-shift, 0))


def multiply_by_quantized_multiplier_single(
    x: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike
) -> Int64Array:
    """Scale int32 `x` by `multiplier * 2**(shift - 31)`, rounding once, ties towards plus infinity.

    Operands broadcast; `multiplier` 0 to 2**31 - 1, `shift` -31 to 30. The integer form closest to the float
    requantization of FULLY_CONNECTED (`requantize_float`), from which it can differ at ties of negative numbers and
    within 2**-31 of a tie.
    """
    total = 31 - np.asarray(shift, np.int64)
    product = np.asarray(x, np.int64) * np.asarray(multiplier, np.int64)
    rounded: Int64Array = (product + (np.int64(1) << (total - 1))) >> total
    return rounded


def round_half_away(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats to the nearest whole number, ties away from zero, as C's `round` does; in their own precision."""
    magnitude = np.floor(np.abs(x))
    magnitude += np.abs(x) - magnitude >= 0.5
    return np.copysign(magnitude, x)


def requantize(
    accumulators: IntArray,
    multipliers: npt.ArrayLike,
    shifts: npt.ArrayLike,
    zero_point: int,
    clamp: tuple[int, int] = INT8,
    dtype: npt.DTypeLike = np.int8,
    *,
    single_rounding: bool = False,
) -> IntArray:
    """int32 accumulators [..., channels] to 8 bits; one multiplier and shift per channel, or for all.

    Rounds twice, as TensorFlow Lite does, or once. `clamp` is the inclusive range of the result, within `dtype`.
    """
    multiply = multiply_by_quantized_multiplier_single if single_rounding else multiply_by_quantized_multiplier
    scaled = multiply(accumulators, multipliers, shifts) + zero_point
    return np.clip(scaled, *clamp).astype(dtype)


def requantize_float(
    accumulators: IntArray,
    scales: npt.ArrayLike,
    zero_point: int,
    clamp: tuple[int, int] = INT8,
    dtype: npt.DTypeLike = np.int8,
) -> IntArray:
    """int32 accumulators [..., channels] to 8 bits through float64: `round(accumulator * scale) + zero_point`, clamped.

    Rounds half away from zero, as C's `round` does. `scales` holds one float64 per channel, or one for all. LiteRT's
    reference FULLY_CONNECTED has worked this way since April 2025 (`reference/integer_ops/fully_connected.h`).
    """
    real = np.asarray(accumulators, np.float64) * np.asarray(scales, np.float64)
    return np.clip(round_half_away(real) + zero_point, *clamp).astype(dtype)
