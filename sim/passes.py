"""The passes of a COMPUTE: how many cycles each takes, and how far the delay of the pixels keeps two of them apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hw.encoding import Fields
from ..hw.isa import Mode, Pool
from ..hw.params import BANKS, Parameters
from ..hw.pool import Pooling

__all__ = ["Pass", "conflicts", "gap", "passes", "result_steps", "result_writes"]


@dataclass(frozen=True)
class Pass:
    """`cycles` from first to last step, of which `steps` start a wave, the first of them `late` cycles after the start;
    `lead` and `group` are 0 if not depthwise."""

    cycles: int
    steps: int
    lead: int
    group: int
    late: int
    ends_block: bool


def passes(fields: Fields, params: Parameters) -> list[Pass]:
    """The passes of one block of a COMPUTE, in order."""
    f = fields
    size = f["out_rows"] * f["out_cols"]
    result = []
    for tap_y, tap_x in np.ndindex(f["taps_y"], f["taps_x"]):
        last_tap = tap_y == f["taps_y"] - 1 and tap_x == f["taps_x"] - 1
        x = f["x"] + tap_x * f["tap_x_cols"]
        steps, extra, late, lead, group = size, 0, 0, 0, 0
        if f["mode"] is Mode.DEPTHWISE:
            steps, lead, group = f["out_rows"] * f["period"], max(0, -x), f["group"]
        elif f["mode"] is Mode.PACKED and x > 0 and x % params.vector:
            extra, late = f["out_rows"], 1
        for channel in range(f["channels"]):
            last = last_tap and channel == f["channels"] - 1
            if last and f["residual"]:
                met = conflicts(f, tap_y, x)
                extra, late = int(met.sum()), int(met[0, 0])
            result.append(Pass(steps + extra, steps, lead, group, late, last))
    return result


def result_steps(fields: Fields, params: Parameters) -> npt.NDArray[np.int64]:
    """For each result of a block, [rows, columns], the cycles from the start of the block's last pass to its step."""
    f = fields
    rows, cols = np.mgrid[: f["out_rows"], : f["out_cols"]]
    x = f["x"] + (f["taps_x"] - 1) * f["tap_x_cols"]
    depthwise = f["mode"] is Mode.DEPTHWISE
    steps: npt.NDArray[np.int64] = (
        rows * f["period"] + cols * f["stride_x"] if depthwise else rows * f["out_cols"] + cols
    )
    if f["mode"] is Mode.PACKED and x > 0 and x % params.vector:
        steps += rows + 1
    if f["residual"]:
        steps += conflicts(f, f["taps_y"] - 1, x).cumsum().reshape(steps.shape)
    return steps


def result_writes(fields: Fields, steps: npt.NDArray[np.int64], params: Parameters) -> list[tuple[int, int]]:
    """For each result of a block that is written, in order: its step, out of `steps` (for a mean, when such a step would have
    been), and the bank that it is written to."""
    f = fields
    if f["pool"] is Pool.AVERAGE:
        return [(int(steps[-1, -1]) + Pooling.mean_latency(params.cols), f["out_bank"])]
    high, wide = (f["pool_rows"], f["pool_cols"]) if f["pool"] is Pool.MAX else (1, 1)
    rows, _ = np.mgrid[: f["out_rows"], : f["out_cols"]]
    banks = (f["out_bank"] + rows // high) % BANKS
    written = slice(high - 1, None, high), slice(wide - 1, None, wide)
    return list(zip(steps[written].ravel().tolist(), banks[written].ravel().tolist(), strict=True))


def conflicts(fields: Fields, tap_y: int, x: int) -> npt.NDArray[np.bool_]:
    """Output pixels, [rows, columns], whose activation and residual operand lie in one bank."""
    f = fields
    down = tap_y * f["tap_y_rows"] + np.arange(f["out_rows"]) * f["stride_y"]
    row = f["y"] + down
    same = (f["bank"] + down) % BANKS == (f["res_bank"] + np.arange(f["out_rows"])) % BANKS
    column = x + np.arange(f["out_cols"]) * f["stride_x"]
    inside = (column >= 0) & (column < f["width"])
    met: npt.NDArray[np.bool_] = np.outer(same & (row >= 0) & (row < f["height"]), inside)
    return met


def gap(former: Pass, this: Pass, params: Parameters) -> int:
    """Cycles between two passes that the delay of the pixels needs (architecture: Depthwise mode)."""
    if not former.group or not this.group:
        return 0
    return max(0, former.lead - this.lead) + (params.rows if this.group < former.group else 0)
