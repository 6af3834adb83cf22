"""Exponential, reciprocal, logistic and hyperbolic tangent in fixed point of 16 or 32 bits.

A number in format Qm.n (m + n + 1 = width) stands for `raw / 2**n`; arrays hold the raw numbers as int64. Sums and
negations wrap at the width where the kernels' do.

Source: the contract of gemmlowp's `fixedpoint.h`, as LiteRT's SOFTMAX, LSTM and RSQRT use it; bit-exact with
ai-edge-litert 2.3.0.
"""

import math

import numpy as np
import numpy.typing as npt

from .arithmetic import rounding_divide_by_pot

__all__ = [
    "exp_of_negative",
    "fixed",
    "high_mul",
    "logistic",
    "reciprocal_of_one_plus",
    "saturate",
    "tanh",
]

Int64Array = npt.NDArray[np.int64]


def saturate(x: npt.ArrayLike, width: int) -> Int64Array:
    """Clip to a signed number of `width` bits."""
    clipped: Int64Array = np.clip(np.asarray(x, np.int64), -(1 << (width - 1)), (1 << (width - 1)) - 1)
    return clipped


def _wrap(x: Int64Array, width: int) -> Int64Array:
    half = 1 << (width - 1)
    return ((x + half) & (2 * half - 1)) - half


def high_mul(a: npt.ArrayLike, b: npt.ArrayLike, width: int) -> Int64Array:
    """`a * b / 2**(width - 1)`, to nearest with ties towards plus infinity; the one overflow saturates."""
    product: Int64Array = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    rounded: Int64Array = (product + (1 << (width - 2))) >> (width - 1)
    return np.minimum(rounded, (1 << (width - 1)) - 1)


def fixed(value: float, integer_bits: int, width: int) -> int:
    """A constant in Q`integer_bits`. The kernels round to 32 bits first, and from there to 16."""
    raw = math.floor(value * 2.0 ** (31 - integer_bits) + 0.5)
    return raw if width == 32 else int(rounding_divide_by_pot(raw, 32 - width))


def _exp_above_minus_quarter(x: Int64Array, width: int) -> Int64Array:
    """exp of Q0 values in [-1/4, 0): Taylor's series of degree 4 around -1/8, in Q0."""
    centre = fixed(math.exp(-1 / 8), 0, width)
    third = fixed(1 / 3, 0, width)
    x = x + (1 << (width - 4))
    x2 = high_mul(x, x, width)
    x3 = high_mul(x2, x, width)
    x4 = high_mul(x2, x2, width)
    upper = rounding_divide_by_pot(high_mul(rounding_divide_by_pot(x4, 2) + x3, third, width) + x2, 1)
    return saturate(centre + high_mul(centre, x + upper, width), width)


def exp_of_negative(x: Int64Array, integer_bits: int, width: int) -> Int64Array:
    """exp of values <= 0 in Q`integer_bits` (at most 5), in Q0.

    The fraction of a quarter goes by series, the rest as a product of exp(-2**k).
    """
    fraction_bits = width - 1 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    fraction = (x & (quarter - 1)) - quarter
    result = _exp_above_minus_quarter(saturate(fraction << integer_bits, width), width)
    rest = fraction - x
    for power in range(-2, integer_bits):
        factor = fixed(math.exp(-(2.0**power)), 0, width)
        result = np.where(rest & (1 << (fraction_bits + power)), high_mul(result, factor, width), result)
    return np.where(x == 0, (1 << (width - 1)) - 1, result)


def _newton_reciprocal(x: Int64Array, width: int) -> Int64Array:
    """2 / (1 + x) of Q0 values in [0, 1), in Q2: three Newton steps from a linear first guess."""
    one = (1 << (width - 1)) - 1
    half_denominator = (x + one + 1) >> 1
    guess = fixed(48 / 17, 2, width) + high_mul(half_denominator, -fixed(32 / 17, 2, width), width)
    for _ in range(3):
        error = (1 << (width - 3)) - high_mul(half_denominator, guess, width)
        guess = guess + saturate(high_mul(guess, error, width) << 2, width)
    return guess


def reciprocal_of_one_plus(x: Int64Array, width: int) -> Int64Array:
    """1 / (1 + x) of Q0 values in [0, 1), in Q0."""
    return saturate(_newton_reciprocal(x, width) << 1, width)


def logistic(x: Int64Array, integer_bits: int, width: int) -> Int64Array:
    """1 / (1 + exp(-x)) of values in Q`integer_bits` (at most 5), in Q0."""
    magnitude = _wrap(np.where(x > 0, x, -x), width)
    positive = reciprocal_of_one_plus(exp_of_negative(_wrap(-magnitude, width), integer_bits, width), width)
    signed = np.where(x > 0, positive, (1 << (width - 1)) - 1 - positive)
    return np.where(x == 0, 1 << (width - 2), signed)


def tanh(x: Int64Array, integer_bits: int, width: int) -> Int64Array:
    """tanh of values in Q`integer_bits` (at most 4), in Q0."""
    negative = _wrap(np.where(x < 0, x, -x), width)
    exponential = exp_of_negative(negative, integer_bits + 1, width)
    magnitude = saturate((_newton_reciprocal(exponential, width) - (1 << (width - 3))) << 2, width)
    signed = np.where(x < 0, _wrap(-magnitude, width), magnitude)
    return np.where(x == 0, 0, signed)
