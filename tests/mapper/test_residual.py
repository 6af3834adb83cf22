"""Residual tables against TensorFlow Lite's ADD, written with plain Python integers."""

import math
import random

import numpy as np
import pytest
from tilewright.mapper.residual import find_residual

Triple = tuple[float, float, float]


def multiplier_of(factor: float) -> tuple[int, int]:
    """QuantizeMultiplier: a 31-bit multiplier and a right shift."""
    fraction, exponent = math.frexp(factor)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    return multiplier, -exponent


def scaled(x: int, multiplier: int, right: int) -> int:
    """SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT."""
    product = x * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
    mask = 2**right - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


def tflite_add(scales: Triple, zero_points: tuple[int, int, int], clamp: tuple[int, int]) -> np.ndarray:
    """Reference ADD of every pair: int8 [256, 256], operand -128 first."""
    larger = 2 * max(scales[:2])
    terms = []
    for scale, zero_point in zip(scales[:2], zero_points, strict=False):
        factor = multiplier_of(scale / larger)
        terms.append([scaled((x - zero_point) * 2**20, *factor) for x in range(-128, 128)])
    factor = multiplier_of(larger / (2**20 * scales[2]))
    return np.array([
        [max(clamp[0], min(clamp[1], zero_points[2] + scaled(a + b, *factor))) for b in terms[1]] for a in terms[0]
    ], np.int8)  # fmt: skip


def hardware(tables, a: int, b: int) -> int:
    """The formula of docs/architecture.md, operands as int8."""
    pair = int(tables.first[a % 256]) + int(tables.second[b % 256])
    shifted = (pair + tables.offset - (tables.tie if pair < 0 else 0)) >> tables.shift
    return max(tables.minimum, min(tables.maximum, tables.zero_point + shifted))


def check(scales: Triple, zero_points: tuple[int, int, int], clamp: tuple[int, int] = (-128, 127)) -> None:
    scales = tuple(float(np.float32(scale)) for scale in scales)
    truth = tflite_add(scales, zero_points, clamp)
    tables = find_residual(truth, scales=scales, zero_points=zero_points, clamp=clamp)
    assert tables is not None, (scales, zero_points, clamp)
    assert np.array_equal(tables.outputs(), truth)
    assert 0 <= tables.shift <= 31
    assert -(2**27) <= tables.offset < 2**27
    for table in (tables.first, tables.second):
        assert table.shape == (256,)
        assert table.dtype == np.int32
        assert table.min() >= -(2**27)
        assert table.max() < 2**27
    rng = random.Random(0)
    for _ in range(2000):
        a, b = rng.randint(-128, 127), rng.randint(-128, 127)
        assert hardware(tables, a, b) == truth[a + 128, b + 128]


@pytest.mark.parametrize("seed", range(24))
def test_random_quantizations(seed):
    rng = random.Random(seed)
    scale = 10 ** rng.uniform(-3, 0)
    zero_points = tuple(rng.randint(-128, 127) for _ in range(3))
    clamp = rng.choice([(-128, 127), (zero_points[2], 127)])
    check((scale * 10 ** rng.uniform(-1, 1), scale * 10 ** rng.uniform(-1, 1), scale), zero_points, clamp)


@pytest.mark.parametrize(
    ("first", "second"), [(1, 1), (0.5, 0.5), (2, 1), (0.25, 1), (1.5, 0.5), (0.75, 0.75), (1 / 3, 1), (0.1, 10), (5 / 6, 1)]
)
def test_ratios_with_many_ties(first, second):
    check((first / 16, second / 16, 1 / 16), (3, -128, -5))


@pytest.mark.parametrize("zero_points", [(-128, -128, -128), (127, 127, 127), (-128, 127, 0), (127, -128, 40)])
def test_zero_points_at_the_ends(zero_points):
    check((0.0471, 0.0233, 0.0519), zero_points)
    check((0.5, 0.5, 0.05), zero_points)


def test_what_no_tables_give():
    truth = tflite_add((0.05, 0.07, 0.06), (0, 0, 0), (-128, 127))
    truth[100, 100], truth[100, 101] = 50, -50
    assert find_residual(truth, scales=(0.05, 0.07, 0.06), zero_points=(0, 0, 0)) is None


def test_truth_must_fit():
    with pytest.raises(ValueError, match="truth: "):
        find_residual(np.zeros((255, 256), np.int8), scales=(1, 1, 1), zero_points=(0, 0, 0))
    with pytest.raises(ValueError, match="truth: "):
        find_residual(np.zeros((256, 256), np.int8), scales=(1, 1, 1), zero_points=(0, 0, 0), clamp=(1, 127))
