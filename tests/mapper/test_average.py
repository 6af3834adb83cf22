"""Average constants against C's integer division, written with plain Python integers."""

import numpy as np
import pytest
from tilewright.hw.isa import Rounding
from tilewright.mapper.average import average, find_average


def c_average(total: int, count: int) -> int:
    """AVERAGE_POOL_2D's rounding: the division truncates towards zero."""
    rounded = total + count // 2 if total > 0 else total - count // 2
    return abs(rounded) // count * (1 if rounded >= 0 else -1)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 9, 16, 25, 49, 64, 81, 125, 225, 1000, 1024, 4095, 4096])
def test_every_sum(count):
    multiplier, shift, rounding = find_average(count)
    assert 0 < multiplier < 2**31
    assert 0 <= shift <= 62
    assert rounding == Rounding.SINGLE
    totals = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    halves = np.where(totals > 0, totals + count // 2, totals - count // 2)
    expected = np.sign(halves) * (np.abs(halves) // count)
    assert np.array_equal((totals * multiplier + (1 << (shift - 1))) >> shift, expected)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 49])
def test_average_divides_like_c(count):
    assert all(average(x, count) == c_average(x, count) for x in range(-128 * count, 127 * count + 1))


def test_every_count_that_a_pool_may_have():
    assert all(find_average(count) for count in range(1, 4097))


def test_too_large_a_count_is_refused():
    assert find_average(1 << 30) is None
    with pytest.raises(ValueError, match="count: 0"):
        find_average(0)
