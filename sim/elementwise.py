"""Operators on pairs of elements, int8 or uint8; the operands broadcast.

Triples are (first, second, output). Multipliers and shifts are those of `arithmetic`; every scaling rounds twice.
Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import INT8, multiply_by_quantized_multiplier, requantize, wrap_int32

__all__ = [
    "ADD_LEFT_SHIFT",
    "SQUARED_DIFFERENCE_LEFT_SHIFT",
    "add",
    "lookup",
    "mul",
    "prelu",
    "squared_difference",
    "sub",
]

ByteArray = npt.NDArray[np.integer[Any]]
Int64Array = npt.NDArray[np.int64]
Triple = tuple[int, int, int]

ADD_LEFT_SHIFT = 20
"""Bits by which ADD and SUB scale their operands up before they rescale them to a common scale."""

SQUARED_DIFFERENCE_LEFT_SHIFT = 7
"""The same for SQUARED_DIFFERENCE, whose square must fit 32 bits."""


def _scaled(
    first: ByteArray, second: ByteArray, zero_points: Triple, multipliers: Triple, shifts: Triple, bits: int
) -> list[Int64Array]:
    """Both operands on a common scale: centred, shifted left by `bits`, multiplied."""
    return [
        multiply_by_quantized_multiplier((operand.astype(np.int64) - zero_point) << bits, multiplier, shift)
        for operand, zero_point, multiplier, shift in zip(
            (first, second), zero_points[:2], multipliers[:2], shifts[:2], strict=True
        )
    ]


def add(
    first: ByteArray,
    second: ByteArray,
    *,
    zero_points: Triple,
    multipliers: Triple,
    shifts: Triple,
    clamp: tuple[int, int] = INT8,
) -> ByteArray:
    """ADD: operands are shifted left by 20 bits and scaled to twice the larger scale, the sum to the output's.

    Shifts lie in -31 to 0.
    """
    left, right = _scaled(first, second, zero_points, multipliers, shifts, ADD_LEFT_SHIFT)
    return requantize(left + right, multipliers[2], shifts[2], zero_points[2], clamp, first.dtype)


def sub(
    first: ByteArray,
    second: ByteArray,
    *,
    zero_points: Triple,
    multipliers: Triple,
    shifts: Triple,
    clamp: tuple[int, int] = INT8,
) -> ByteArray:
    """SUB: as `add`, with the second scaled operand taken from the first."""
    left, right = _scaled(first, second, zero_points, multipliers, shifts, ADD_LEFT_SHIFT)
    return requantize(left - right, multipliers[2], shifts[2], zero_points[2], clamp, first.dtype)


def mul(
    first: ByteArray,
    second: ByteArray,
    *,
    zero_points: Triple,
    multiplier: int,
    shift: int,
    clamp: tuple[int, int] = INT8,
) -> ByteArray:
    """MUL: the product of the centred operands, requantized."""
    product = (first.astype(np.int64) - zero_points[0]) * (second.astype(np.int64) - zero_points[1])
    return requantize(product, multiplier, shift, zero_points[2], clamp, first.dtype)


def squared_difference(
    first: ByteArray, second: ByteArray, *, zero_points: Triple, multipliers: Triple, shifts: Triple
) -> ByteArray:
    """SQUARED_DIFFERENCE of int8: operands on twice the larger scale, shifted left by 7 bits; shifts -31 to 0."""
    left, right = _scaled(first, second, zero_points, multipliers, shifts, SQUARED_DIFFERENCE_LEFT_SHIFT)
    square = wrap_int32((left - right) ** 2)
    return requantize(square, multipliers[2], shifts[2], zero_points[2])


def prelu(
    image: ByteArray,
    alpha: ByteArray,
    *,
    zero_points: Triple,
    multipliers: tuple[int, int],
    shifts: tuple[int, int],
) -> ByteArray:
    """PRELU: elements at or above zero are rescaled, the others times `alpha`, which broadcasts.

    Multipliers and shifts are (at or above zero, below).
    """
    centred = image.astype(np.int64) - zero_points[0]
    product = centred * (alpha.astype(np.int64) - zero_points[1])
    positive = multiply_by_quantized_multiplier(centred, multipliers[0], shifts[0])
    negative = multiply_by_quantized_multiplier(product, multipliers[1], shifts[1])
    limits = np.iinfo(image.dtype)
    result = np.where(centred >= 0, positive, negative) + zero_points[2]
    return np.clip(result, limits.min, limits.max).astype(image.dtype)


def lookup(image: ByteArray, table: Sequence[int], dtype: npt.DTypeLike) -> ByteArray:
    """Each element through a table of 256 results of type `dtype`, indexed by the element's byte as an unsigned number."""
    entries: ByteArray = np.asarray(table, dtype)
    return entries[image.view(np.uint8)]
