"""Which banks of the activation memory the array reads, cycle by cycle: STORE reads a bank when the array leaves it alone."""

from collections.abc import Iterator

import numpy as np

from ..hw.encoding import Fields
from ..hw.isa import Mode
from ..hw.params import BANKS, Parameters
from .passes import conflicts

__all__ = ["BankReads"]


class BankReads:
    """The reads of one block of a COMPUTE, worked out when they are first asked for."""

    def __init__(self, fields: Fields, params: Parameters) -> None:
        self._fields, self._params = fields, params
        self._passes: list[bytes] | None = None

    def taken(self, number: int, cycle: int, bank: int) -> bool:
        """Whether the block's pass of that number reads the bank in the cycle after its start."""
        if self._passes is None:
            self._passes = list(_passes(self._fields, self._params))
        masks = self._passes[number]
        return 0 <= cycle < len(masks) and bool(masks[cycle] >> bank & 1)


def _passes(fields: Fields, params: Parameters) -> Iterator[bytes]:
    """For each pass, in order, a byte per cycle: a bit for each bank that is read."""
    f = fields
    mode, down = f["mode"], np.arange(f["out_rows"]) * f["stride_y"]
    for tap_y, tap_x in np.ndindex(f["taps_y"], f["taps_x"]):
        last_y = tap_y == f["taps_y"] - 1
        x, above, lines, columns = f["x"] + tap_x * f["tap_x_cols"], tap_y * f["tap_y_rows"], 1, np.arange(f["out_cols"])
        if mode is Mode.PACKED:
            above, skip = divmod(tap_y * f["rows"], f["group"])
            lines = -(-(skip + f["last_rows" if last_y else "rows"]) // f["group"])
            inside = np.ones(f["out_cols"] + (x > 0 and x % params.vector != 0), bool)
        else:
            if mode is Mode.DEPTHWISE:
                lines, columns = f["rows"] // f["group"], np.arange(f["period"]) + max(0, -x)
            else:
                columns = columns * f["stride_x"]
            inside = (x + columns >= 0) & (x + columns < f["width"])
        rows = above + down[:, None] + np.arange(lines)
        read = (f["y"] + rows >= 0) & (f["y"] + rows < f["height"])
        masks = np.outer((read << (f["bank"] + rows) % BANKS).sum(axis=1), inside).astype(np.uint8)
        plain = masks.tobytes()
        yield from (plain for _ in range(f["channels"] - 1))
        last = last_y and tap_x == f["taps_x"] - 1
        yield _with_residual(f, masks, tap_y, x) if last and f["residual"] else plain


def _with_residual(fields: Fields, masks: np.ndarray, tap_y: int, x: int) -> bytes:
    """A pass whose results read their residual operand, too: a cycle ahead where both lie in one bank."""
    f = fields
    step = f["stride_x"] if f["mode"] is Mode.DEPTHWISE else 1
    met = conflicts(f, tap_y, x)
    operand = 1 << (f["res_bank"] + np.arange(f["out_rows"])) % BANKS
    cycles = bytearray()
    for row, column in np.ndindex(masks.shape):
        mask, (result, rest) = int(masks[row, column]), divmod(column, step)
        if rest == 0 and result < f["out_cols"]:
            if met[row, result]:
                cycles.append(int(operand[row]))
            else:
                mask |= int(operand[row])
        cycles.append(mask)
    return bytes(cycles)
