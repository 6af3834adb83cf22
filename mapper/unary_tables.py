"""The tables of operators on one byte at a time, from scales and zero points.

Steps are taken in the precision that the kernels take them in. Source: LiteRT `kernels/activations.cc`,
`elementwise.cc`, `exp.cc` and `quantize.cc`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim import tables
from ..sim.arithmetic import quantize_multiplier
from ..sim.tables import Table
from .ir import Tensor
from .requantize import activation_range, float32_factor

__all__ = [
    "absolute",
    "hard_swish",
    "leaky_relu",
    "rectifier",
    "requantization",
    "rsqrt",
    "through_float",
]

FloatArray = npt.NDArray[np.floating[Any]]
FloatFunction = Callable[[FloatArray], FloatArray]


def _points(source: Tensor, output: Tensor) -> tuple[int, int]:
    return source.zero_point, output.zero_point


def requantization(source: Tensor, output: Tensor) -> Table:
    """QUANTIZE from 8 bits to 8 bits."""
    factor = quantize_multiplier(source.scale / output.scale)
    return tables.rescale_table(source.dtype, output.dtype, _points(source, output), *factor)


def rectifier(source: Tensor, output: Tensor, activation: str) -> Table:
    """RELU and its relatives, named as in `ACTIVATIONS`."""
    factor = float32_factor(source.scale, divisor=output.scale)
    clamp = activation_range(activation, output.scale, output.zero_point, output.dtype)
    return tables.rescale_table(source.dtype, output.dtype, _points(source, output), *factor, clamp)


def leaky_relu(source: Tensor, output: Tensor, alpha: float) -> Table:
    """LEAKY_RELU."""
    identity = float32_factor(source.scale, divisor=output.scale)
    below = float32_factor(source.scale, abs(alpha), divisor=output.scale)
    return tables.leaky_relu_table(source.dtype, _points(source, output), identity, below, alpha < 0)


def hard_swish(source: Tensor, output: Tensor) -> Table:
    """HARD_SWISH; `ValueError` if the scales lie too far from each other or from 3 for its 16 bits."""
    fine = np.float32(1 / 128) * np.float32(source.scale)
    with np.errstate(over="ignore"):
        quotients = (fine / np.float32(output.scale), fine / (np.float32(3) / np.float32(32768)))
    factors = [quantize_multiplier(float(quotient)) for quotient in quotients]
    if not -15 <= factors[0][1] <= 0 or not -15 <= factors[1][1] <= 15:
        raise ValueError(f"scales {source.scale} and {output.scale} leave the range of its 16-bit arithmetic")
    narrow = [(min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), shift) for multiplier, shift in factors]
    return tables.hard_swish_table(source.dtype, _points(source, output), narrow[0], narrow[1])


def absolute(source: Tensor, output: Tensor) -> Table:
    """ABS."""
    factor = None if source.scale == output.scale else float32_factor(source.scale, divisor=output.scale)
    return tables.absolute_table(_points(source, output), factor)


def rsqrt(source: Tensor, output: Tensor) -> Table:
    """RSQRT; `ValueError` if the output's scale is too large for its arithmetic."""
    root = float(np.sqrt(np.float32(source.scale)))
    multiplier, shift = quantize_multiplier(1 / float(np.float32(root) * np.float32(output.scale)))
    if shift < -11:
        raise ValueError(f"scales {source.scale} and {output.scale} leave the range of its arithmetic")
    return tables.rsqrt_table(_points(source, output), multiplier, shift)


def through_float(kind: str, source: Tensor, output: Tensor) -> Table:
    """LOGISTIC, TANH, EXP, LOG: a function of real numbers."""
    return tables.float_table(_function(kind, output), source.dtype, (source.scale, output.scale), _points(source, output))


def _function(kind: str, output: Tensor) -> FloatFunction:
    """The kernel's function of a float32; each library call is exact to a float32's last bit, or nearly so."""
    if kind == "LOGISTIC":
        return lambda x: np.float32(1) / (np.float32(1) + _single(np.exp, -x))
    if kind == "LOG":
        least = np.float32((-128 - output.zero_point) * np.float32(output.scale))
        return lambda x: np.where(x > 0, _single(np.log, np.where(x > 0, x, 1)), least)
    functions: dict[str, Any] = {"TANH": np.tanh, "EXP": np.exp}
    return lambda x: _single(functions[kind], x)


def _single(function: Any, x: FloatArray) -> FloatArray:
    """A function in float64, rounded to float32."""
    with np.errstate(over="ignore", under="ignore"):
        result: FloatArray = function(x.astype(np.float64)).astype(np.float32)
    return result
