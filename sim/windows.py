"""Windows that walk over an image: where they lie, and what each of their positions sees.

A kernel, a stride and a dilation are (y, x); padding is (top, left, bottom, right).
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["NO_PADDING", "Padding", "Pair", "taps", "window_positions"]

Scalar = TypeVar("Scalar", bound=np.generic)
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]

NO_PADDING: Padding = (0, 0, 0, 0)


def window_positions(size: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding) -> Pair:
    """How many places (y, x) a window has on an image of `size`; `ValueError` if it has none."""
    counts = []
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        padded = size[axis] + padding[axis] + padding[axis + 2]
        if padded < extent:
            raise ValueError(f"a window of {extent} does not fit an image of {padded} along {'yx'[axis]}")
        counts.append((padded - extent) // stride[axis] + 1)
    return counts[0], counts[1]


def taps(
    image: npt.NDArray[Scalar], kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, fill: int
) -> Iterator[tuple[int, int, npt.NDArray[Scalar]]]:
    """Yield (ky, kx, view): for each kernel position what it sees, [batch, rows, columns, channels]."""
    rows, columns = window_positions((image.shape[1], image.shape[2]), kernel, stride, dilation, padding)
    top, left, bottom, right = padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    for ky in range(kernel[0]):
        y = ky * dilation[0]
        for kx in range(kernel[1]):
            x = kx * dilation[1]
            last_y, last_x = y + (rows - 1) * stride[0] + 1, x + (columns - 1) * stride[1] + 1
            yield ky, kx, padded[:, y : last_y : stride[0], x : last_x : stride[1], :]
