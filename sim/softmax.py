"""SOFTMAX of the reference kernel for 8 bits: exponential and reciprocal in 32-bit fixed point.

The kernel works in Q5.26 for the scaled differences, Q0.31 for exponentials and Q12.19 for their sum (see
`fixed_point`).

Source: LiteRT `kernels/internal/reference/softmax.h`; bit-exact with ai-edge-litert 2.3.0.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import rounding_divide_by_pot
from .fixed_point import exp_of_negative, high_mul, reciprocal_of_one_plus

__all__ = ["DIFFERENCE_INTEGER_BITS", "softmax"]

DIFFERENCE_INTEGER_BITS = 5
"""Integer bits of a scaled difference: Q5.26 reaches -32, and exp(-32) is nothing in eight bits."""

_SUM_INTEGER_BITS = 12

ByteArray = npt.NDArray[np.integer[Any]]


def softmax(image: ByteArray, *, multiplier: int, shift: int, diff_min: int) -> ByteArray:
    """Softmax over the last axis of an int8 or uint8 tensor; the output has scale 1/256, and its least value for zero.

    `multiplier` and `shift` (0 to 31) scale a difference of two inputs to Q5.26, beta included; differences below
    `diff_min` count as zero. The last axis has at most 4095 elements, or the sum would leave Q12.19: more raises
    `ValueError`. (The reference kernel aborts where the sum reaches 512; here the arithmetic just goes on.)
    """
    if image.shape[-1] >= 1 << _SUM_INTEGER_BITS:
        raise ValueError(f"softmax over {image.shape[-1]} elements: at most {(1 << _SUM_INTEGER_BITS) - 1} fit its sum")
    limits = np.iinfo(image.dtype)
    wide = image.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    live = difference >= diff_min
    scaled = high_mul(np.where(live, difference, 0) << shift, multiplier, 32)
    exponential = np.where(live, exp_of_negative(scaled, DIFFERENCE_INTEGER_BITS, 32), 0)
    total = rounding_divide_by_pot(exponential, _SUM_INTEGER_BITS).sum(axis=-1, keepdims=True)
    # The sum is at least 1.0 (the maximum itself), so it has a leading one; normalized it is 1 + x.
    _, length = np.frexp(total.astype(np.float64))
    normalized = (total << (32 - length)) - (1 << 31)
    bits_over_unit = _SUM_INTEGER_BITS - (32 - length)
    product = high_mul(reciprocal_of_one_plus(normalized, 32), exponential, 32)
    result = rounding_divide_by_pot(product, bits_over_unit + 31 - 8) + limits.min
    return np.where(live, np.clip(result, limits.min, limits.max), limits.min).astype(image.dtype)
