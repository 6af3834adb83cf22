"""Operators that move elements and compute nothing; any element type.

Axes count from 0, not from the end. Equal to ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import round_half_away

__all__ = [
    "batch_to_space",
    "concatenation",
    "depth_to_space",
    "pad",
    "quantized_concatenation",
    "reshape",
    "slice_elements",
    "space_to_batch",
    "space_to_depth",
    "split",
]

Array = npt.NDArray[Any]


def reshape(tensor: Array, shape: Sequence[int]) -> Array:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the same elements in row-major order."""
    return tensor.reshape(tuple(shape))


def pad(tensor: Array, padding: Sequence[tuple[int, int]], value: int) -> Array:
    """PAD, PADV2: `padding` is (before, after) per dimension, filled with `value`."""
    return np.pad(tensor, tuple(padding), constant_values=value)


def concatenation(parts: Sequence[Array], axis: int) -> Array:
    """CONCATENATION of equally quantized parts."""
    return np.concatenate(tuple(parts), axis)


def quantized_concatenation(
    parts: Sequence[npt.NDArray[np.uint8]], axis: int, scales: Sequence[float], zero_points: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """CONCATENATION of uint8: in float32 where a part is not quantized as the output; scales end with the output's."""
    inverse = np.float32(1) / np.float32(scales[-1])
    rescaled = []
    for part, scale, zero_point in zip(parts, scales, zero_points, strict=False):
        if zero_point == zero_points[-1] and scale == scales[-1]:
            rescaled.append(part)
            continue
        factor = np.float32(scale) * inverse
        real = part.astype(np.float32) * factor + np.float32(-zero_point) * factor
        rescaled.append(np.clip(round_half_away(real) + zero_points[-1], 0, 255).astype(np.uint8))
    return np.concatenate(rescaled, axis)


def slice_elements(tensor: Array, begin: Sequence[int], strides: Sequence[int], size: Sequence[int]) -> Array:
    """SLICE, STRIDED_SLICE: along each axis `size` elements from `begin`, `stride` apart (which may be negative)."""
    picks = [
        np.arange(count) * stride + start for start, stride, count in zip(begin, strides, size, strict=True)
    ]
    return tensor[np.ix_(*picks)] if picks else tensor


def split(tensor: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    """SPLIT, SPLIT_V: parts of these sizes along the axis."""
    return tuple(np.split(tensor, np.cumsum(sizes)[:-1], axis))


def space_to_depth(image: Array, block: int) -> Array:
    """SPACE_TO_DEPTH: each block of pixels becomes one pixel, its channels one behind the other, row by row."""
    batch, height, width, channels = image.shape
    blocks = image.reshape(batch, height // block, block, width // block, block, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // block, width // block, -1)


def depth_to_space(image: Array, block: int) -> Array:
    """DEPTH_TO_SPACE: the inverse of `space_to_depth`."""
    batch, height, width, channels = image.shape
    blocks = image.reshape(batch, height, width, block, block, channels // block**2)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * block, width * block, -1)


def space_to_batch(tensor: Array, block: Sequence[int], padding: Sequence[tuple[int, int]], value: int) -> Array:
    """SPACE_TO_BATCH_ND: the dimensions behind the first are padded with `value`, and cut into residues modulo `block`.

    Batch item `r * batch + b` has the elements of item b whose position is r, counted row by row, in their block.
    """
    count = len(block)
    edges = [(0, 0), *padding] + [(0, 0)] * (tensor.ndim - 1 - count)
    padded = np.pad(tensor, edges, constant_values=value)
    batch, inner, rest = padded.shape[0], padded.shape[1 : 1 + count], padded.shape[1 + count :]
    lengths = [length // step for length, step in zip(inner, block, strict=True)]
    cut = padded.reshape(batch, *(size for pair in zip(lengths, block, strict=True) for size in pair), *rest)
    steps, places = range(2, 2 + 2 * count, 2), range(1, 1 + 2 * count, 2)
    order = (*steps, 0, *places, *range(1 + 2 * count, cut.ndim))
    return cut.transpose(order).reshape(-1, *lengths, *rest)


def batch_to_space(tensor: Array, block: Sequence[int], crops: Sequence[tuple[int, int]]) -> Array:
    """BATCH_TO_SPACE_ND: the inverse of `space_to_batch`; then `crops` elements are cut off at each end."""
    count = len(block)
    batch, inner, rest = tensor.shape[0] // int(np.prod(block)), tensor.shape[1 : 1 + count], tensor.shape[1 + count :]
    cut = tensor.reshape(*block, batch, *inner, *rest)
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    lengths = [length * step for length, step in zip(inner, block, strict=True)]
    whole = cut.transpose(*order, *range(2 * count + 1, cut.ndim)).reshape(batch, *lengths, *rest)
    kept = [slice(before, length - after) for length, (before, after) in zip(lengths, crops, strict=True)]
    return whole[(slice(None), *kept)]
