"""Operators of ONNX on single elements and on pairs of them.

A function of one stored byte, or several in a row, becomes a table when its result is quantized. What clamps waits with
the operator before it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .ir import Add, Mul, Operator, Quantization, Sub
from .onnx_functions import FUNCTIONS
from .onnx_site import NodeSite
from .onnx_values import Constant, Float32Array, Held, Pending, Real, Target, Value
from .requantize import add_factors, float32_factor

__all__ = ["ELEMENTWISE_READERS"]

Array = npt.NDArray[Any]

_SUMS: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Max": np.maximum,
    "Min": np.minimum,
}
_OPERATORS: dict[str, type[Operator]] = {"Add": Add, "Sub": Sub, "Mul": Mul}
_HINT = "quantize both operands and the result"


def _map(site: NodeSite, real: Real, function: Callable[[Float32Array], Array]) -> Real:
    with np.errstate(all="ignore"):
        values = function(real.values).astype(np.float32)
    return replace(real, values=values, index=site.index, kind=site.kind)


def _read_function(site: NodeSite) -> Value:
    value = site.value(0)
    if isinstance(value, Constant):
        with np.errstate(all="ignore"):
            return Constant(FUNCTIONS[site.node.op_type](site)(value.real.astype(np.float32)).astype(np.float32))
    return _map(site, site.real(0), FUNCTIONS[site.node.op_type](site))


def _read_clamp(site: NodeSite) -> Value:
    low, high = (0.0, math.inf) if site.node.op_type == "Relu" else _limits(site)
    value = site.value(0)
    if isinstance(value, Pending):
        bounds = [min(max(bound, low), high) for bound in (value.low, value.high)]
        return replace(value, low=bounds[0], high=bounds[1], add_bias=None)
    if isinstance(value, Constant):
        return Constant(np.minimum(np.maximum(value.real, low), high).astype(np.float32))
    return _map(site, site.real(0), lambda x: np.minimum(np.maximum(x, np.float32(low)), np.float32(high)))


def _limits(site: NodeSite) -> tuple[float, float]:
    """The bounds of a Clip."""
    bounds = []
    for position, default in ((1, -math.inf), (2, math.inf)):
        bound = default
        if site.has_input(position):
            real = site.constant(position, "bound").real
            if real.size != 1 or np.isnan(real).any():
                site.broken(f"its bound is {real}, and must be one number")
            bound = float(real.reshape(()))
        bounds.append(bound)
    return bounds[0], bounds[1]


def _read_pair(site: NodeSite) -> Value:
    if len(site.node.input) != 2:
        site.unsupported(f"it has {len(site.node.input)} operands", "give it two")
    function = _SUMS[site.node.op_type]
    first, second = site.value(0), site.value(1)
    for position, value, other in ((0, first, second), (1, second, first)):
        if not isinstance(value, Constant):
            continue
        if isinstance(other, Real) and value.data.size == 1 and value.data.ndim <= len(other.shape):
            return _map(site, other, _with_number(function, np.float32(value.real.reshape(())), position))
        if isinstance(other, Pending) and other.add_bias and site.node.op_type == "Add" and _is_bias(value, other):
            return other.add_bias(value)
    if isinstance(first, Real) and isinstance(second, Real) and _same(first, second):
        return _map(site, first, lambda x: function(x, second.values))
    operator = _OPERATORS.get(site.node.op_type)
    if operator is None:
        site.unsupported("its operands are two tensors", "it can be read with a constant number as one of them")
    return _arithmetic(site, operator)


def _with_number(function: Callable[[Array, Array], Array], number: Any, position: int) -> Callable[[Float32Array], Array]:
    """The function with one operand, the one at `position`, known."""
    if position == 0:
        return lambda x: function(number, x)
    return lambda x: function(x, number)


def _is_bias(value: Constant, product: Pending) -> bool:
    """Whether a constant has one number for each output of a product that waits, or one for all."""
    channels = -1 if product.kind in ("MatMul", "Gemm") else -3
    return value.data.size == 1 or (value.data.ndim >= -channels and value.data.shape[channels] == value.data.size)


def _same(first: Held, second: Held) -> bool:
    return (first.tensor, first.order, first.shape) == (second.tensor, second.order, second.shape)


def _arithmetic(site: NodeSite, operator: type[Operator]) -> Value:
    """A sum, difference or product of two tensors, one of which may be a constant."""
    operands = [_operand(site, position) for position in range(2)]
    tensors = [operand for operand in operands if isinstance(operand, Real)]
    if not tensors:
        site.unsupported("both operands are constants", "fold constants before export")
    rank = max(len(operand.shape) if isinstance(operand, Real) else operand.data.ndim for operand in operands)

    def emit(target: Target) -> Held:
        settled = [site.settled(real) for real in tensors]
        # The order of the largest: the others are smaller, and moved at less cost.
        main = max((real for real in settled if len(real.shape) == rank), key=lambda real: real.size, default=None)
        order = tuple(range(rank)) if main is None else main.order
        names = []
        for operand in operands:
            if isinstance(operand, Constant):
                names.append(_constant(site, operand, order, target.name))
            else:
                names.append(site.ordered(_widened(site, operand, rank), order))
        quantized = [site.builder.tensors[name] for name in names]
        scales = (quantized[0].scale, quantized[1].scale, target.quantization.scale[0])
        fields: dict[str, Any] = {"first": names[0], "second": names[1], "clamp": target.clamp}
        if operator is Mul:
            fields["multiplier"], fields["shift"] = float32_factor(*scales[:2], divisor=scales[2])
        else:
            fields["multipliers"], fields["shifts"] = add_factors(*scales)
        return site.result(site.add(operator, target, **fields), order)

    return site.pending(emit)


def _operand(site: NodeSite, position: int) -> Real | Constant:
    value = site.value(position)
    if not isinstance(value, Constant):
        return site.activation(position)
    name = site.node.input[position]
    if value.quantization is None or str(value.data.dtype) not in ("int8", "uint8"):
        site.unsupported(f"its operand {name!r} is a constant of {value.data.dtype}, not dequantized 8 bits", _HINT)
    if value.quantization.axis is not None:
        site.unsupported(f"its operand {name!r} is quantized along an axis", "quantize it as a whole tensor")
    return value


def _constant(site: NodeSite, operand: Constant, order: tuple[int, ...], name: str) -> str:
    assert operand.quantization is not None
    data, (point,) = operand.data, operand.quantization.zero_point
    if data.dtype == np.uint8:
        data, point = data.astype(np.int16) - 128, point - 128
    wide = data.astype(np.int8).reshape((1,) * (len(order) - data.ndim) + data.shape)
    quantization = Quantization(operand.quantization.scale, (point,))
    return site.builder.constant(f"{name}/operand", wide.transpose(order), quantization)


def _widened(site: NodeSite, real: Real, rank: int) -> Real:
    """The same with dimensions of 1 in front."""
    if len(real.shape) == rank:
        return real
    return replace(real, shape=(1,) * (rank - len(real.shape)) + real.shape)


def _read_identity(site: NodeSite) -> Value:
    return site.value(0)


ELEMENTWISE_READERS: dict[str, Callable[[NodeSite], Value]] = {
    **dict.fromkeys(FUNCTIONS, _read_function),
    **dict.fromkeys(_SUMS, _read_pair),
    "Relu": _read_clamp,
    "Clip": _read_clamp,
    "Identity": _read_identity,
    "Dropout": _read_identity,
}
