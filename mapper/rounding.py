"""Integer factors that give FULLY_CONNECTED's float64 requantization exactly.

The reference kernel rounds `sum * scale` in float64, halves away from zero; the accelerator computes `(sum *
multiplier + 2**(shift - 1)) >> shift`. Both rise with the sum, so they agree on all sums if they step at the same
sums. After the clamp there are at most 255 steps, and the sums of a channel are bounded by its weights: that is
checked in full.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["single_factors"]

Array = npt.NDArray[Any]

_NUDGES = (0, 1, -1, 2, -2, 4, -4, 8, -8)
"""A little more takes negative ties down, as the kernel does; the others are for scales next to a tie."""

_SUM_LIMIT = 1 << 31


def single_factors(
    scales: Array, multipliers: Array, shifts: Array, low: Array, high: Array, outputs: tuple[int, int]
) -> tuple[Array, Array] | None:
    """Multipliers and total right shifts (0 to 62), per channel, that step where the kernel steps.

    `scales` are float64, `multipliers` and `shifts` the mapper's integer form of them (`multiplier * 2**(shift - 31)`).
    Sums lie in `low` .. `high`, inclusive, per channel. `outputs` is the range that the clamp leaves of the result,
    before the zero point is added. None if no factors were found.
    """
    low = np.maximum(low, -_SUM_LIMIT)
    high = np.minimum(high, _SUM_LIMIT - 1)
    levels = np.arange(outputs[0] + 1, outputs[1] + 1)[:, None]
    wanted = _first_sums(levels, low, high, lambda sums: _round_float(sums * scales))
    total = 31 - np.asarray(shifts, np.int64)
    result = np.asarray(multipliers, np.int64).copy()
    pending = np.ones(len(scales), bool)
    for nudge in _NUDGES:
        trial = np.clip(multipliers + np.int64(nudge), 0, (1 << 31) - 1)
        first = _first_sums(levels, low, high, lambda sums, m=trial: _round_integer(sums, m, total))
        found = pending & (first == wanted).all(axis=0)
        result[found] = trial[found]
        pending &= ~found
        if not pending.any():
            return result, total
    return None


def _first_sums(levels: Array, low: Array, high: Array, rounded: Any) -> Array:
    """The least sum in low .. high + 1 whose result reaches each level, [levels, channels], by bisection."""
    first = np.broadcast_to(low, (len(levels), len(low))).astype(np.int64)
    last = np.broadcast_to(high + 1, first.shape).astype(np.int64)
    while (first < last).any():
        middle = (first + last) >> 1
        reached = (rounded(middle) >= levels) | (middle > high)
        last = np.where(reached, middle, last)
        first = np.where(reached, first, np.minimum(middle + 1, last))
    return first


def _round_float(real: Array) -> Array:
    return np.copysign(np.floor(np.abs(real)) + (np.abs(real) % 1 >= 0.5), real)


def _round_integer(sums: Array, multiplier: Array, total: Array) -> Array:
    half = np.where(total > 0, np.int64(1) << np.maximum(total - 1, 0), 0)
    return (sums * multiplier + half) >> total
