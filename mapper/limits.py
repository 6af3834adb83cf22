"""What the instruction's fields can hold: a layer beyond that is refused before anything is built for it."""

import numpy as np

from ..hw.isa import Combine, Mode
from ..hw.legality_compact import BANK_SHIFTS, MOST_POSITION, SHIFTS, SUM_LIMIT
from ..hw.params import Parameters
from .errors import UnsupportedError
from .layer import Layer

__all__ = ["MOST_LEAD", "MOST_SIZE", "MOST_TAPS", "check_layer"]

MOST_SIZE = 4095
"""Rows, columns or blocks in a 12-bit field."""

MOST_TAPS = 255
"""Kernel rows or columns, or passes that take their place."""

MOST_LEAD = 15
"""Columns of left padding in depthwise mode."""


def _compact(layer: Layer, params: Parameters) -> list[tuple[str, int, int]]:
    """What the compact accelerator has less of."""
    last = (layer.origin[axis] + (layer.out_size[axis] - 1) * layer.stride[axis] + (layer.kernel[axis] - 1) * layer.dilation[axis]
            for axis in range(2))  # fmt: skip
    return [
        ("stride from row to row", layer.stride[0], BANK_SHIFTS),
        ("stride from column to column", layer.stride[1], 2 if layer.mode is Mode.DEPTHWISE else 7),
        ("dilation from row to row", layer.dilation[0], BANK_SHIFTS),
        ("image size", max(layer.size), 255),
        ("padding", max(-layer.origin[0], -layer.origin[1]), 256),
        ("position of the last tap", max(last), MOST_POSITION),
        ("number of input channel blocks", -(-layer.weights.shape[2] // params.rows), 255),
        ("number of output channel blocks", -(-layer.outputs // params.cols), 255),
    ]


def _compact_reason(layer: Layer) -> str:
    """What the compact accelerator has not that a layer needs, if there is any such thing."""
    if layer.combine is not Combine.ADD:
        return "no maximum"
    weights = np.abs(layer.weights.astype(np.int64)).sum(axis=tuple(range(layer.weights.ndim - 1)))
    for region in layer.regions:
        constants = region.constants
        most = int((np.abs(constants.bias.astype(np.int64)) + 128 * weights).max())
        if most >= SUM_LIMIT:
            return f"sums of up to {SUM_LIMIT - 1}, and here they may be {most}"
        shifts = constants.shift[constants.multiplier != 0]
        if shifts.size and not SHIFTS.start <= shifts.min() <= shifts.max() < SHIFTS.stop:
            return f"shifts of {SHIFTS.start} to {SHIFTS.stop - 1}, and here they are {shifts.min()} to {shifts.max()}"
    return ""


def check_layer(layer: Layer, params: Parameters) -> None:
    """Raise `UnsupportedError`, naming the number and its limit, if no instruction can describe the layer."""
    inputs = layer.weights.shape[2]
    last = max(layer.origin[axis] + (layer.out_size[axis] - 1) * layer.stride[axis] for axis in range(2))
    checks = [
        ("kernel size", max(layer.kernel), MOST_TAPS),
        ("stride", layer.stride[0] if layer.mode is Mode.PACKED else max(layer.stride), 15),
        ("dilation", max(layer.dilation), 31),
        ("image size", max(layer.size), MOST_SIZE),
        ("padding", max(-layer.origin[0], -layer.origin[1]), 2048),
        ("position of the last window", last, 2047),
        ("number of input channel blocks", -(-inputs // params.rows), MOST_SIZE),
        ("number of output channel blocks", -(-layer.outputs // params.cols), MOST_SIZE),
        ("number of channels", max(inputs, layer.outputs), 65535),
    ]
    if layer.mode is Mode.DEPTHWISE:
        checks.append(("left padding", -layer.origin[1], MOST_LEAD))
    if layer.mode is Mode.PACKED:
        checks.append(("horizontal stride in bytes", layer.stride[1], params.vector))
    if params.compact:
        checks += _compact(layer, params)
        if reason := _compact_reason(layer):
            raise UnsupportedError(layer.kind, layer.name, f"the compact accelerator has {reason}", "it runs on the host")
    for what, value, limit in checks:
        if value > limit:
            reason = f"its {what} of {value} is more than the instruction set's {limit}"
            raise UnsupportedError(layer.kind, layer.name, reason, "it needs a smaller layer, or runs on the host")
