"""Requantization constants that divide a sum by a count the way TensorFlow Lite's AVERAGE_POOL_2D and MEAN do."""

import functools

import numpy as np

from ..hw.isa import POOL_PIXELS, POOL_SHIFT, Rounding

__all__ = ["average", "find_average", "find_pool_average"]

_MULTIPLIER_BITS = 31
_SHIFT_LIMIT = 62

_POOL_MULTIPLIER_BITS = 17
_POOL_SHIFTS = 16


def average(total: int, count: int) -> int:
    """The mean of ``count`` int8 values that add up to ``total``, rounded half away from zero, as C divides."""
    magnitude = (abs(total) + count // 2) // count
    return magnitude if total > 0 else -magnitude


def find_average(count: int) -> tuple[int, int, Rounding] | None:
    """Multiplier, shift and rounding whose requantization is `average` for every sum of ``count`` int8
    or uint8 values.

    ``count`` is 1 or more. The result is proven for all sums from -128 to 255 times ``count``; None if there is none.

    A multiplier just above 2**shift / count moves every sum away from zero, so that a negative tie, too, rounds away
    from zero in single rounding, and by too little to move anything else while 255 * count**2 is below 2**shift.
    """
    if count < 1:
        raise ValueError(f"count: {count} is not 1 or more")
    shift = min(_MULTIPLIER_BITS - 2 + count.bit_length(), _SHIFT_LIMIT)
    multiplier = (1 << shift) // count + 1
    return (multiplier, shift, Rounding.SINGLE) if _is_average(count, multiplier, shift) else None


@functools.cache
def find_pool_average(count: int) -> tuple[int, int] | None:
    """`pool_multiplier` and `pool_shift` of a COMPUTE whose AVERAGE is `average` for every sum of ``count`` int8 values.

    Each candidate is tried on all sums from -128 to 127 times ``count``. None if there is none; beyond POOL_PIXELS there
    never is.
    """
    if not 1 <= count <= POOL_PIXELS:
        return None
    totals = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    means = np.sign(totals) * ((np.abs(totals) + count // 2) // count)
    for shift in range(_POOL_SHIFTS):
        places = POOL_SHIFT + shift
        for multiplier in ((1 << places) // count + 1, (1 << places) // count):
            fits = 0 < multiplier < 1 << _POOL_MULTIPLIER_BITS
            if fits and np.array_equal((totals * multiplier + (1 << places - 1)) >> places, means):
                return multiplier, shift
    return None


def _is_average(count: int, multiplier: int, shift: int) -> bool:
    """Both sides grow with the sum, so it is enough to look at the sums where the average changes."""
    if not 0 < multiplier < 1 << _MULTIPLIER_BITS:
        return False

    def scaled(total: int) -> int:
        return (total * multiplier + (1 << shift >> 1)) >> shift

    for mean in range(-127, 256):
        # The smallest sum whose average is `mean`: a tie belongs to the larger magnitude.
        first = mean * count - count // 2 if mean > 0 else mean * count - (count - 1) // 2
        if scaled(first) < mean or scaled(first - 1) >= mean:
            return False
    return True
