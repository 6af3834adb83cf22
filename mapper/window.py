"""How a kernel walks over an image, brought into the form that suits the array best."""

from collections.abc import Iterator
from dataclasses import dataclass

from .layer import Pair

__all__ = ["Window", "find_window", "inside_counts"]


@dataclass(frozen=True)
class Window:
    """A kernel's walk over each of `batch` images. Pairs are (y, x), `origin` is the first output pixel's first tap.

    `swapped` says that the axes are exchanged against the graph's, and so must be those of the weights.
    """

    batch: int
    size: Pair
    out_size: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    origin: Pair
    swapped: bool


def find_window(
    shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    padding: tuple[int, int, int, int],
) -> Window:
    """The walk between two NHWC shapes.

    An image of width 1 lies down: its memory order stays the same, and kernel rows become columns, of which a pass
    takes many. Images of a batch that no kernel crosses become one.
    """
    batch, size, out_size = shape[0], (shape[1], shape[2]), (out_shape[1], out_shape[2])
    origin = (-padding[0], -padding[1])
    swapped = size[1] == out_size[1] == 1 and size[0] > 1
    if swapped:
        size, out_size, kernel, stride, dilation, origin = (
            (pair[1], pair[0]) for pair in (size, out_size, kernel, stride, dilation, origin)
        )
    # The distance between taps or windows of which there is one does not matter.
    stride = (stride[0] if out_size[0] > 1 else 1, stride[1] if out_size[1] > 1 else 1)
    dilation = (dilation[0] if kernel[0] > 1 else 1, dilation[1] if kernel[1] > 1 else 1)
    if kernel[0] == stride[0] == 1 and origin[0] == 0 and size[0] == out_size[0]:
        batch, size, out_size = 1, (batch * size[0], size[1]), (batch * out_size[0], out_size[1])
    return Window(batch, size, out_size, kernel, stride, dilation, origin, swapped)


def inside_counts(window: Window) -> Iterator[tuple[int, int, int, int, int]]:
    """Output rectangles with equally many taps inside the image: (row, column, rows, columns, taps)."""
    for row, rows, taps_y in _runs(window, 0):
        for column, columns, taps_x in _runs(window, 1):
            yield row, column, rows, columns, taps_y * taps_x


def _runs(window: Window, axis: int) -> list[tuple[int, int, int]]:
    """(first, length, taps inside) of runs of output positions along an axis."""
    runs: list[tuple[int, int, int]] = []
    for position in range(window.out_size[axis]):
        first = window.origin[axis] + position * window.stride[axis]
        taps = sum(0 <= first + tap * window.dilation[axis] < window.size[axis] for tap in range(window.kernel[axis]))
        if runs and runs[-1][2] == taps:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1, taps)
        else:
            runs.append((position, 1, taps))
    return runs
