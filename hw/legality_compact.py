"""Which programs the compact accelerator can run, beyond what `hw.legality` asks of all."""

from collections.abc import Callable

import numpy as np

from .encoding import Fields
from .isa import CONSTANT_VECTORS, Combine, Mode, Opcode
from .program import Program, ProgramError

__all__ = [
    "BANK_SHIFTS", "COMPACT_WIDTHS", "MOST_POSITION", "SHIFTS", "SUM_LIMIT", "check_compact", "verify_compact",
]  # fmt: skip

COMPACT_WIDTHS = {
    "mode": 2, "rounding": 1, "blocks": 8, "taps_y": 8, "taps_x": 8, "channels": 8, "out_rows": 8, "out_cols": 8, "rows": 4,
    "address": 12, "bank": 2, "row_step": 12, "x_step": 12, "tap_x_step": 12, "tap_y_rows": 3, "tap_x_cols": 5,
    "stride_y": 3, "stride_x": 3, "y": 9, "x": 9, "height": 8, "width": 8, "pad": 8,
    "out_address": 12, "out_bank": 2, "out_row_step": 12, "out_x_step": 12, "zero_point": 8, "minimum": 8, "maximum": 8,
}  # fmt: skip
"""Bits that the compact accelerator keeps of the fields of COMPUTE; all it has of addresses and their steps."""

BANK_SHIFTS = 4
"""Most image rows that a single step goes down."""

MOST_POSITION = 511
"""Of an image row or column."""

SHIFTS = range(26, 63)
"""Of a requantization."""

SUM_LIMIT = 1 << 23
"""Sums with their biases are within -SUM_LIMIT .. SUM_LIMIT - 1."""

_SIGNED = ("y", "x", "pad", "zero_point", "minimum", "maximum")
_WRAPPED = ("address", "row_step", "x_step", "tap_x_step", "out_address", "out_row_step", "out_x_step")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(f"{message} (the accelerator is the compact one)")


def check_compact(fields: Fields, depth: int) -> None:
    """Raise ``ValueError`` naming the field of a COMPUTE that the compact accelerator does not have, or not so large."""
    _require(fields["mode"] in (Mode.DENSE, Mode.DEPTHWISE), "mode: neither dense nor depthwise")
    _require(fields["combine"] is Combine.ADD, "combine: sums only")
    for name, width in COMPACT_WIDTHS.items():
        if name in _WRAPPED or not isinstance(value := fields[name], int):
            continue
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if name in _SIGNED else (0, (1 << width) - 1)
        _require(low <= value <= high, f"{name}: {value} is not {low} to {high}")
    size = fields["out_rows"] * fields["out_cols"]
    _require(size <= depth, f"out_rows: {size} pixels exceed the accumulator's depth of {depth}")
    _require(fields["last_rows"] == fields["rows"], f"last_rows: {fields['last_rows']} is not rows, {fields['rows']}")
    for name in ("stride_y", "tap_y_rows"):
        _require(fields[name] <= BANK_SHIFTS, f"{name}: {fields[name]} is more than {BANK_SHIFTS}")
    if fields["mode"] is Mode.DEPTHWISE:
        _require(fields["rows"] == 1, f"rows: {fields['rows']} taps in a depthwise pass")
        _require(fields["stride_x"] <= 2, f"stride_x: {fields['stride_x']} is more than 2 in depthwise mode")
    for start, taps, tap, count, stride in (
        ("y", "taps_y", "tap_y_rows", "out_rows", "stride_y"), ("x", "taps_x", "tap_x_cols", "out_cols", "stride_x")
    ):  # fmt: skip
        last = fields[start] + (fields[taps] - 1) * fields[tap] + (fields[count] - 1) * fields[stride]
        _require(last <= MOST_POSITION, f"{start}: the last position is {last}, more than {MOST_POSITION}")


def verify_compact(program: Program) -> None:
    """Raise `ProgramError` if a program, otherwise legal, is not one for the compact accelerator.

    Its weights and instructions fit into a memory; its LOADs come before all else and its STOREs behind it; a
    weight stream begins when the one before it is used up; no sum can leave its bits.
    """
    size = len(program.weights) + len(program.instructions)
    if (needed := -(-size // 1024)) > (there := program.params.program_kib):
        raise ProgramError(f"weights and instructions need {needed} KiB, and the compact accelerator has {there}")
    for run, part in zip(program.runs, program.parts, strict=True):
        check = _Run(part)
        for index, (opcode, fields) in enumerate(part.decoded()):
            try:
                check.actions[opcode](fields)
            except ValueError as error:
                raise ProgramError(f"instruction {run.first + index} ({opcode.name}): {error}") from None


class _Run:
    """A run's state: what has come before, and the blocks of the weight stream that are left."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._computed = self._stored = False
        self._blocks = 0
        self.actions: dict[Opcode, Callable[[Fields], None]] = {
            Opcode.LOAD: self._load, Opcode.STORE: self._store, Opcode.WEIGHTS: self._weights, Opcode.COMPUTE: self._compute,
            Opcode.END: lambda fields: None,
        }  # fmt: skip

    def _load(self, fields: Fields) -> None:
        _require(not (self._computed or self._stored), "it comes behind a COMPUTE or STORE")

    def _store(self, fields: Fields) -> None:
        self._stored = True

    def _compute(self, fields: Fields) -> None:
        _require(not self._stored, "it comes behind a STORE")
        self._computed = True
        self._blocks -= fields["blocks"]

    def _weights(self, fields: Fields) -> None:
        _require(self._blocks == 0, f"{self._blocks} blocks of the weight stream before it are left")
        self._blocks = fields["blocks"]
        start = fields["offset"]
        vectors = np.frombuffer(self._program.weights[start : start + fields["bytes"]], np.uint8)
        blocks = vectors.reshape(fields["blocks"], -1, self._program.params.cols)
        bias = np.ascontiguousarray(blocks[:, :4].swapaxes(1, 2)).view("<i4")[..., 0].astype(np.int64)
        weights = np.abs(blocks[:, CONSTANT_VECTORS:].view(np.int8).astype(np.int64)).sum(axis=1)
        most = int((np.abs(bias) + 128 * weights).max())
        _require(most < SUM_LIMIT, f"a sum may be {most}, more than {SUM_LIMIT - 1}")
        shifts = blocks[:, CONSTANT_VECTORS - 1]
        low, high = int(shifts.min()), int(shifts.max())
        _require(
            low in SHIFTS and high in SHIFTS,
            f"shifts are {low} to {high}, not within {SHIFTS.start} to {SHIFTS.stop - 1}",
        )
