"""SOFTMAX of the reference int8 kernel: exponential and reciprocal in 32-bit fixed point.

A number in format Qm.n (m + n = 31) stands for `raw / 2**n`. The kernel works in Q5.26 for the scaled differences,
Q0.31 for exponentials, Q12.19 for their sum and Q2.29 for the Newton iteration of the reciprocal.

Source: LiteRT `kernels/internal/reference/softmax.h` and gemmlowp's `fixedpoint.h`; bit-exact with ai-edge-litert
2.3.0.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import (
    INT32_MAX,
    rounding_divide_by_pot,
    saturating_left_shift,
)
from .arithmetic import saturating_rounding_doubling_high_mul as high_mul

__all__ = ["DIFFERENCE_INTEGER_BITS", "softmax"]

DIFFERENCE_INTEGER_BITS = 5
"""Integer bits of a scaled difference: Q5.26 reaches -32, and exp(-32) is nothing in eight bits."""

_SUM_INTEGER_BITS = 12

Int64Array = npt.NDArray[np.int64]


def _fixed(value: float, fraction_bits: int) -> int:
    return math.floor(value * (1 << fraction_bits) + 0.5)


def _exp_above_minus_quarter(x: Int64Array) -> Int64Array:
    """exp of Q0.31 values in [-1/4, 0): Taylor's series of degree 4 around -1/8, in Q0.31."""
    centre = _fixed(math.exp(-1 / 8), 31)
    third = _fixed(1 / 3, 31)
    x = x + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4 = high_mul(x2, x2)
    upper = rounding_divide_by_pot(high_mul(rounding_divide_by_pot(x4, 2) + x3, third) + x2, 1)
    return centre + high_mul(centre, x + upper)


def _exp(x: Int64Array) -> Int64Array:
    """exp of Q5.26 values <= 0, in Q0.31: the fraction of a quarter by series, the rest as a product of exp(-2**k)."""
    fraction_bits = 31 - DIFFERENCE_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    fraction = (x & (quarter - 1)) - quarter
    result = _exp_above_minus_quarter(saturating_left_shift(fraction, DIFFERENCE_INTEGER_BITS))
    rest = fraction - x
    for power in range(-2, DIFFERENCE_INTEGER_BITS):
        factor = _fixed(math.exp(-(2.0**power)), 31)
        result = np.where(rest & (1 << (fraction_bits + power)), high_mul(result, factor), result)
    return np.where(x == 0, INT32_MAX, result)


def _reciprocal_of_one_plus(x: Int64Array) -> Int64Array:
    """1 / (1 + x) of Q0.31 values in [0, 1), in Q0.31: three Newton steps in Q2.29 from a linear first guess."""
    half_denominator = (x + INT32_MAX + 1) >> 1
    guess = _fixed(48 / 17, 29) + high_mul(half_denominator, -_fixed(32 / 17, 29))
    for _ in range(3):
        error = (1 << 29) - high_mul(half_denominator, guess)
        guess = guess + saturating_left_shift(high_mul(guess, error), 2)
    return saturating_left_shift(guess, 1)


def softmax(image: npt.NDArray[np.integer[Any]], *, multiplier: int, shift: int, diff_min: int) -> npt.NDArray[np.int8]:
    """Softmax over the last axis of an int8 tensor of any rank; the output has scale 1/256 and zero point -128.

    `multiplier` and `shift` (0 to 31) scale a difference of two inputs to Q5.26, beta included; differences below
    `diff_min` count as zero. The last axis has at most 4095 elements, or the sum would leave Q12.19: more raises
    `ValueError`. (The reference kernel aborts where the sum reaches 512; here the arithmetic just goes on.)
    """
    if image.shape[-1] >= 1 << _SUM_INTEGER_BITS:
        raise ValueError(f"softmax over {image.shape[-1]} elements: at most {(1 << _SUM_INTEGER_BITS) - 1} fit its sum")
    difference = image.astype(np.int64) - image.max(axis=-1, keepdims=True)
    live = difference >= diff_min
    exponential = np.where(live, _exp(high_mul(np.where(live, difference, 0) << shift, multiplier)), 0)
    total = rounding_divide_by_pot(exponential, _SUM_INTEGER_BITS).sum(axis=-1, keepdims=True)
    # The sum is at least 1.0 (the maximum itself), so it has a leading one; normalized it is 1 + x.
    _, length = np.frexp(total.astype(np.float64))
    normalized = (total << (32 - length)) - (1 << 31)
    bits_over_unit = _SUM_INTEGER_BITS - (32 - length)
    scaled = rounding_divide_by_pot(high_mul(_reciprocal_of_one_plus(normalized), exponential), bits_over_unit + 31 - 8)
    return np.where(live, np.clip(scaled - 128, -128, 127), -128).astype(np.int8)
