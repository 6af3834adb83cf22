"""Requantization constants that divide a sum by a count the way TensorFlow Lite's AVERAGE_POOL_2D and MEAN do."""

from ..hw.isa import Rounding

__all__ = ["average", "find_average"]

_MULTIPLIER_BITS = 31
_SHIFT_LIMIT = 62


def average(total: int, count: int) -> int:
    """The mean of ``count`` int8 values that add up to ``total``, rounded half away from zero, as C divides."""
    magnitude = (abs(total) + count // 2) // count
    return magnitude if total > 0 else -magnitude


def find_average(count: int) -> tuple[int, int, Rounding] | None:
    """Multiplier, shift and rounding whose requantization is `average` for every sum of ``count`` int8 values.

    ``count`` is 1 or more. The result is proven for all sums from -128 to 127 times ``count``; None if there is none.

    A multiplier just above 2**shift / count moves every sum away from zero, so that a negative tie, too, rounds away
    from zero in single rounding, and by too little to move anything else while 128 * count**2 is below 2**shift.
    """
    if count < 1:
        raise ValueError(f"count: {count} is not 1 or more")
    shift = min(_MULTIPLIER_BITS - 2 + count.bit_length(), _SHIFT_LIMIT)
    multiplier = (1 << shift) // count + 1
    return (multiplier, shift, Rounding.SINGLE) if _is_average(count, multiplier, shift) else None


def _is_average(count: int, multiplier: int, shift: int) -> bool:
    """Both sides grow with the sum, so it is enough to look at the sums where the average changes."""
    if not 0 < multiplier < 1 << _MULTIPLIER_BITS:
        return False

    def scaled(total: int) -> int:
        return (total * multiplier + (1 << shift >> 1)) >> shift

    for mean in range(-127, 128):
        # The smallest sum whose average is `mean`: a tie belongs to the larger magnitude.
        first = mean * count - count // 2 if mean > 0 else mean * count - (count - 1) // 2
        if scaled(first) < mean or scaled(first - 1) >= mean:
            return False
    return True
