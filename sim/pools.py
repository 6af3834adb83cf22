"""Pooling on whole tensors, int8 or uint8, NHWC: windows count only what lies inside the image.

Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import INT8
from .windows import NO_PADDING, Padding, Pair, taps

__all__ = ["average_pool_2d", "max_pool_2d"]

ByteArray = npt.NDArray[np.integer[Any]]


def average_pool_2d(
    image: ByteArray, *, kernel: Pair, stride: Pair, padding: Padding = NO_PADDING, clamp: Pair = INT8
) -> ByteArray:
    """AVERAGE_POOL_2D: the mean of each window's elements inside the image, rounded half away from zero.

    `ValueError` if a window lies wholly in the padding.
    """
    views = taps(image.astype(np.int64), kernel, stride, (1, 1), padding, 0)
    inside = taps(np.ones((1, *image.shape[1:3], 1), np.int64), kernel, stride, (1, 1), padding, 0)
    total = np.add.reduce([view for _, _, view in views])
    count = np.add.reduce([view for _, _, view in inside])
    if not count.all():
        raise ValueError(f"a window of {kernel} lies wholly in the padding {padding}")
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return np.clip(mean, *clamp).astype(image.dtype)


def max_pool_2d(
    image: ByteArray, *, kernel: Pair, stride: Pair, padding: Padding = NO_PADDING, clamp: Pair = INT8
) -> ByteArray:
    """MAX_POOL_2D: the largest of each window's elements inside the image."""
    views = taps(image, kernel, stride, (1, 1), padding, int(np.iinfo(image.dtype).min))
    return np.clip(np.maximum.reduce([view for _, _, view in views]), *clamp).astype(image.dtype)
