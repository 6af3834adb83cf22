"""Reductions along axes, int8 or uint8. Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import requantize

__all__ = ["mean"]

ByteArray = npt.NDArray[np.integer[Any]]


def mean(
    tensor: ByteArray,
    *,
    axes: tuple[int, ...],
    keep_dims: bool,
    multiplier: int,
    shift: int,
    zero_points: tuple[int, int],
) -> ByteArray:
    """MEAN: the centred sum, requantized by a factor that holds 1 / count (see `mapper.requantize`); two roundings.

    `zero_points` is (input, output). The sum wraps at 32 bits, as the kernel's does.
    """
    limits = np.iinfo(tensor.dtype)
    total = (tensor.astype(np.int64) - zero_points[0]).sum(axis=axes, keepdims=keep_dims)
    sums: npt.NDArray[np.int32] = np.asarray(total).astype(np.int32)
    return requantize(sums, multiplier, shift, zero_points[1], (limits.min, limits.max), tensor.dtype)
