"""The rounding primitives against their definitions, restated on exact fractions of Python integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilewright.sim import arithmetic

INT32 = (-(2**31), 2**31 - 1)
int32 = st.sampled_from([INT32[0], INT32[0] + 1, -(2**30), -1, 0, 1, 2**30, INT32[1]]) | st.integers(*INT32)
multipliers = st.sampled_from([0, 2**30, 2**30 + 1, 2**31 - 1]) | st.integers(2**30, 2**31 - 1)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


def wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


@given(int32, int32)
def test_high_mul_is_the_rounded_product_of_fractions(a, b):
    expected = min(half_up(Fraction(a * b, 2**31)), INT32[1])
    assert arithmetic.saturating_rounding_doubling_high_mul(a, b) == expected


@given(int32, st.integers(0, 31))
def test_divide_by_power_of_two_rounds_half_away(x, exponent):
    assert arithmetic.rounding_divide_by_pot(x, exponent) == half_away(Fraction(x, 2**exponent))


@given(int32, st.integers(0, 31))
def test_left_shift_saturates(x, exponent):
    assert arithmetic.saturating_left_shift(x, exponent) == max(INT32[0], min(x * 2**exponent, INT32[1]))


@given(st.integers(-(2**62), 2**62))
def test_wrap_int32(x):
    assert arithmetic.wrap_int32(x) == wrap(x)


@given(int32, multipliers, st.integers(-31, 31))
def test_double_rounding(x, multiplier, shift):
    product = half_up(Fraction(wrap(x * 2 ** max(shift, 0)) * multiplier, 2**31))
    expected = half_away(Fraction(product, 2 ** max(-shift, 0)))
    assert arithmetic.multiply_by_quantized_multiplier(x, multiplier, shift) == expected


@given(int32, multipliers, st.integers(-31, 30))
def test_single_rounding(x, multiplier, shift):
    expected = half_up(Fraction(x * multiplier, 1) * Fraction(2) ** (shift - 31))
    assert arithmetic.multiply_by_quantized_multiplier_single(x, multiplier, shift) == expected


@given(st.lists(st.tuples(int32, multipliers, st.integers(-31, 30)), min_size=1, max_size=20))
def test_arrays_are_scaled_element_by_element(rows):
    x, multiplier, shift = (np.array(column) for column in zip(*rows, strict=True))
    for scale in (arithmetic.multiply_by_quantized_multiplier, arithmetic.multiply_by_quantized_multiplier_single):
        assert scale(x, multiplier, shift).tolist() == [int(scale(*row)) for row in rows]


@given(st.floats(2.0**-60, 2.0**40))
def test_quantized_multiplier_is_the_nearest(factor):
    multiplier, shift = arithmetic.quantize_multiplier(factor)
    if multiplier == 0:
        assert shift == 0
        assert factor < 2.0**-32
    else:
        assert 2**30 <= multiplier < 2**31
        step = Fraction(2) ** (shift - 31)
        assert abs(Fraction(factor) - multiplier * step) <= step / 2


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (1.0, (2**30, 1)),
        (math.nextafter(1.0, 0.0), (2**30, 1)),
        (2.0**-32, (2**30, -31)),
        (math.nextafter(2.0**-32, 0.0), (2**30, -31)),
        (2.0**-32 * (1 - 2.0**-31), (0, 0)),
    ],
)
def test_quantized_multiplier_at_the_edges(factor, expected):
    # Just below 2**-32 the mantissa rounds up into the range that is still kept, a little lower it does not.
    assert arithmetic.quantize_multiplier(factor) == expected


@pytest.mark.parametrize("factor", [-1.0, math.inf, math.nan])
def test_quantized_multiplier_refuses(factor):
    with pytest.raises(ValueError, match="finite and not negative"):
        arithmetic.quantize_multiplier(factor)


@given(int32, st.floats(2.0**-40, 2.0**4), st.integers(-128, 127))
def test_float_requantization_rounds_the_float64_product_half_away(x, scale, zero_point):
    expected = max(-128, min(half_away(Fraction(x * scale)) + zero_point, 127))
    assert arithmetic.requantize_float(np.array([x]), scale, zero_point, (-128, 127)) == [expected]


@pytest.mark.parametrize(("x", "expected"), [(1, 1), (3, 2), (-1, -1), (-3, -2), (-2, -1)])
def test_float_requantization_of_ties(x, expected):
    assert arithmetic.requantize_float(np.array([x]), 0.5, 0, (-128, 127)) == [expected]


@given(int32, multipliers, st.integers(-31, 8), st.integers(-128, 127), st.integers(-128, 0), st.integers(0, 127))
def test_requantize_adds_the_zero_point_and_clamps(x, multiplier, shift, zero_point, low, high):
    scaled = int(arithmetic.multiply_by_quantized_multiplier(x, multiplier, shift))
    result = arithmetic.requantize(np.array([x]), multiplier, shift, zero_point, (low, high))
    assert result.dtype == np.int8
    assert result.tolist() == [max(low, min(scaled + zero_point, high))]
