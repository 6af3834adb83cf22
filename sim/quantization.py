"""Between float32 and 8 bits. Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import round_half_away

__all__ = ["dequantize", "quantize"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.integer[Any]]


def quantize(
    real: FloatArray, scale: float, zero_point: int, dtype: npt.DTypeLike, *, half_even: bool = False
) -> IntArray:
    """QUANTIZE of float32: divided by the scale in float32, rounded half away from zero or to even, clipped to `dtype`.

    Numbers beyond 2**31 steps, which C++ leaves undefined, are clipped too; what is not a number becomes zero.
    """
    limits = np.iinfo(dtype)
    with np.errstate(over="ignore"):
        rounded = (np.rint if half_even else round_half_away)(real / np.float32(scale))
        steps = np.nan_to_num(rounded, posinf=2.0**31, neginf=-(2.0**31))
    return np.clip(np.clip(steps, -(2.0**31), 2.0**31).astype(np.int64) + zero_point, limits.min, limits.max).astype(dtype)


def dequantize(stored: IntArray, scale: float, zero_point: int) -> FloatArray:
    """DEQUANTIZE: `scale * (stored - zero_point)` in float64, rounded to float32."""
    return (scale * (stored.astype(np.float64) - zero_point)).astype(np.float32)
