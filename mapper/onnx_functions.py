"""Functions of one real number, as ONNX defines them: float32 in, float64 or float32 out."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .onnx_site import NodeSite
from .onnx_values import Float32Array

__all__ = ["FUNCTIONS"]

Array = npt.NDArray[Any]
Function = Callable[[Float32Array], Array]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _wide(function: Callable[[Array], Array]) -> Callable[[NodeSite], Function]:
    """A function without attributes, computed in float64."""
    return lambda site: lambda x: function(x.astype(np.float64))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _hard_sigmoid(site: NodeSite) -> Function:
    alpha, beta = np.float32(site.number("alpha", 0.2)), np.float32(site.number("beta", 0.5))
    return lambda x: np.clip(alpha * x + beta, 0, 1)


def _leaky_relu(site: NodeSite) -> Function:
    alpha = np.float32(site.number("alpha", 0.01))
    return lambda x: np.where(x < 0, alpha * x, x)


def _elu(site: NodeSite) -> Function:
    alpha = site.number("alpha", 1.0)
    return lambda x: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0).astype(np.float64)), x)


def _prelu(site: NodeSite) -> Function:
    slope = site.constant(1, "slope").real
    if slope.size != 1:
        site.unsupported(f"its slope has the shape {slope.shape}", "use one slope for the whole tensor")
    factor = np.float32(slope.reshape(()))
    return lambda x: np.where(x < 0, factor * x, x)


def _gelu(site: NodeSite) -> Function:
    if site.text("approximate", "none") == "tanh":
        return lambda x: _gelu_tanh(x.astype(np.float64))
    return lambda x: 0.5 * x.astype(np.float64) * (1 + _erf(x / math.sqrt(2)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


FUNCTIONS: dict[str, Callable[[NodeSite], Function]] = {
    "Abs": _wide(np.abs),
    "Ceil": _wide(np.ceil),
    "Elu": _elu,
    "Erf": _wide(_erf),
    "Exp": _wide(np.exp),
    "Floor": _wide(np.floor),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _wide(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "LeakyRelu": _leaky_relu,
    "Log": _wide(np.log),
    "Mish": _wide(lambda x: x * np.tanh(np.logaddexp(0, x))),
    "Neg": _wide(np.negative),
    "PRelu": _prelu,
    "Reciprocal": _wide(np.reciprocal),
    "Round": _wide(np.rint),
    "Sigmoid": _wide(_sigmoid),
    "Softplus": _wide(lambda x: np.logaddexp(0, x)),
    "Softsign": _wide(lambda x: x / (1 + np.abs(x))),
    "Sqrt": _wide(np.sqrt),
    "Tanh": _wide(np.tanh),
}
"""For each kind of node the function that its attributes make."""
