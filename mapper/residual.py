"""Tables with which the post-processor adds two int8 tensors exactly as TensorFlow Lite's ADD does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ResidualTables", "find_residual"]

_ENTRY_MIN, _ENTRY_MAX = -(1 << 27), (1 << 27) - 1
_SHIFT_MAX = 27  # half a unit must fit the offset
_SHIFTS_TRIED = 4
_ROUNDS = 64
_TIES = (1, 32, 0)
_UNBOUNDED = 1 << 40

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ResidualTables:
    """What a COMPUTE instruction with ``residual`` needs.

    ``first`` and ``second`` are int32 [256], indexed by the operand's bits as an unsigned byte, with values of 28 bits;
    ``first`` belongs to the operand that comes from the array. The other fields are those of the instruction.
    """

    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    offset: int
    tie: int
    shift: int
    zero_point: int
    minimum: int
    maximum: int

    def outputs(self) -> npt.NDArray[np.int8]:
        """The result for every pair of operands: int8 [256, 256], operand -128 first."""
        first, second = (np.roll(table.astype(np.int64), 128) for table in (self.first, self.second))
        pair = first[:, None] + second[None, :]
        total = pair + self.offset - self.tie * (pair < 0)
        return np.clip(self.zero_point + (total >> self.shift), self.minimum, self.maximum).astype(np.int8)


def find_residual(
    truth: npt.NDArray[np.integer[Any]],
    *,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    clamp: tuple[int, int] = (-128, 127),
) -> ResidualTables | None:
    """Find tables that give ``truth``, an int8 [256, 256], for every pair of operands; operand -128 comes first.

    ``scales`` and ``zero_points`` are (first, second, output), ``clamp`` the inclusive range of ``truth``. They say
    where to look; what counts is ``truth``, of which all 65,536 pairs are checked. None if no tables were found.

    With shift F, the sum of a pair's entries must lie between two of the thresholds
    ``(output - zero point) * 2**F - offset`` (more by the tie for negative ones): bounds on a sum of two
    unknowns. Such a system is solved by shortest paths (Bellman and Ford), here from the rounded exact entries, which
    need few corrections. Where it has no solution, the corrections go on without end.
    """
    if truth.shape != (256, 256) or truth.min() < clamp[0] or truth.max() > clamp[1]:
        raise ValueError(f"truth: {truth.shape} within {truth.min()}..{truth.max()} is not (256, 256) within {clamp}")
    levels = truth.astype(np.int64) - zero_points[2]
    for shift, tie, offset, *start in _starts(scales, zero_points):
        lower = np.where(truth == clamp[0], -_UNBOUNDED, _threshold(levels, shift, tie, offset))
        upper = np.where(truth == clamp[1], _UNBOUNDED, _threshold(levels + 1, shift, tie, offset) - 1)
        solution = _solve(lower, upper, *start)
        if solution is None:
            continue
        first, second = (np.roll(table, -128).astype(np.int32) for table in solution)
        tables = ResidualTables(first, second, offset, tie, shift, zero_points[2], *clamp)
        if np.array_equal(tables.outputs(), truth):
            return tables
    return None


def _starts(
    scales: tuple[float, float, float], zero_points: tuple[int, int, int]
) -> Iterator[tuple[int, int, int, Int64Array, Int64Array]]:
    """Shift, tie, offset and both tables, operand -128 first: where to look, the finest resolution first."""
    steps = [scale / scales[2] for scale in scales[:2]]
    ramps = [step * (np.arange(-128, 128) + 0.5) for step in steps]
    constant = -sum(step * (zero_point + 0.5) for step, zero_point in zip(steps, zero_points, strict=False))
    # With the tie the sign of a sum counts, and the constant must be in the tables; else it can be in the offset.
    reach = [128 * step for step in steps]
    share = min(max((reach[1] - reach[0] + abs(constant)) / 2, 0), abs(constant)) * (1 if constant > 0 else -1)
    for coarser in range(_SHIFTS_TRIED):
        for tie in _TIES:
            constants = [share, constant - share] if tie else [0.0, 0.0]
            largest = max(part + abs(fixed) for part, fixed in zip(reach, constants, strict=True))
            largest = max(largest, 0.5 if tie else abs(constant) + 0.5)
            shift = min(int(np.floor(np.log2(_ENTRY_MAX / largest))), _SHIFT_MAX) - coarser
            if shift < 0:
                continue
            tables = [np.rint((ramp + fixed) * 2.0**shift) for ramp, fixed in zip(ramps, constants, strict=True)]
            first, second = (np.clip(table, _ENTRY_MIN, _ENTRY_MAX).astype(np.int64) for table in tables)
            yield shift, tie, (1 << shift >> 1) + (0 if tie else round(constant * 2.0**shift)), first, second


def _threshold(levels: Int64Array, shift: int, tie: int, offset: int) -> Int64Array:
    """The smallest sum of two entries that reaches each level."""
    smallest = (levels << shift) - offset
    return np.where(smallest < 0, np.minimum(smallest + tie, 0), smallest)


def _solve(
    lower: Int64Array, upper: Int64Array, first: Int64Array, second: Int64Array
) -> tuple[Int64Array, Int64Array] | None:
    """Entries with ``lower <= first[:, None] + second[None, :] <= upper``: ``first`` lowered and ``second`` raised."""
    for _ in range(_ROUNDS):
        lowered = np.minimum(first, (upper - second).min(axis=1))
        raised = np.maximum(second, (lower - lowered[:, None]).max(axis=0))
        if np.array_equal(lowered, first) and np.array_equal(raised, second):
            break
        first, second = lowered, raised
    else:
        return None
    # Both tables can move against each other.
    least = max(_ENTRY_MIN - first.min(), second.max() - _ENTRY_MAX)
    most = min(_ENTRY_MAX - first.max(), second.min() - _ENTRY_MIN)
    if least > most:
        return None
    move = min(max(0, least), most)
    return first + move, second - move
