"""The graph's invariants, checked after import and after every pass."""

from collections.abc import Mapping

from .ir import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    MaxPool2D,
    Operator,
    Tensor,
)
from .shapes import output_shape

__all__ = ["verify_graph"]


def verify_graph(graph: Graph) -> None:
    """Raise `ValueError`, naming the tensor or operator, if the graph breaks an invariant.

    Tensors stand under their own names, with data and quantization that fit their shape. Each is defined once, by the
    inputs, as a constant or by one operator, before it is read; outputs are defined. Activations and weights are
    int8, biases int32. Shapes, requantization factors and clamps fit the operator.
    """
    for name, tensor in graph.tensors.items():
        _verify_tensor(name, tensor)
    defined = {name for name, tensor in graph.tensors.items() if tensor.data is not None}
    for name in graph.inputs:
        _define(defined, name, graph, "the network's inputs")
    for operator in graph.operators:
        for name in operator.inputs:
            if name not in defined:
                raise ValueError(f"operator {operator.name}: tensor {name!r} is read before anything defines it")
        _define(defined, operator.output, graph, f"operator {operator.name}")
    for name in graph.outputs:
        if name not in defined:
            raise ValueError(f"output {name!r} of the network is never defined")
    for operator in graph.operators:
        try:
            _verify_operator(operator, graph.tensors)
        except ValueError as error:
            raise ValueError(f"operator {operator.name}: {error}") from error


def _define(defined: set[str], name: str, graph: Graph, by: str) -> None:
    if name not in graph.tensors:
        raise ValueError(f"{by}: tensor {name!r} does not exist")
    if name in defined:
        raise ValueError(f"{by}: tensor {name!r} is already defined")
    defined.add(name)


def _verify_tensor(name: str, tensor: Tensor) -> None:
    if name != tensor.name:
        raise ValueError(f"tensor {tensor.name!r} stands under the name {name!r}")
    if any(length < 0 for length in tensor.shape):
        raise ValueError(f"tensor {name!r}: negative dimension in {tensor.shape}")
    if tensor.data is not None and (tensor.data.shape != tensor.shape or tensor.data.dtype != tensor.dtype):
        raise ValueError(
            f"tensor {name!r}: data {tensor.data.dtype}{tensor.data.shape} for {tensor.dtype}{tensor.shape}"
        )
    quantization = tensor.quantization
    if quantization is None:
        return
    if quantization.axis is not None and not 0 <= quantization.axis < len(tensor.shape):
        raise ValueError(f"tensor {name!r}: quantized along axis {quantization.axis} of {tensor.shape}")
    entries = 1 if quantization.axis is None else tensor.shape[quantization.axis]
    if len(quantization.scale) != entries or len(quantization.zero_point) != entries:
        raise ValueError(f"tensor {name!r}: {entries} scales and zero points needed, has {quantization}")


def _verify_operator(operator: Operator, tensors: Mapping[str, Tensor]) -> None:
    for role in operator.READS:
        name = getattr(operator, role)
        if name is None:
            continue
        wanted = "int32" if role == "bias" else "int8"
        if tensors[name].dtype != wanted:
            raise ValueError(f"{role} {name!r} is {tensors[name].dtype}, and must be {wanted}")
    output = tensors[operator.output]
    if output.dtype != "int8":
        raise ValueError(f"output {output.name!r} is {output.dtype}, and must be int8")
    shape = output_shape(operator, tensors)
    if output.shape != shape:
        raise ValueError(f"output {output.name!r} has shape {output.shape}, and must have {shape}")
    match operator:
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            _verify_factors(operator.multipliers, operator.shifts, shape[-1])
        case Add():
            _verify_factors(operator.multipliers, operator.shifts, 3)
    match operator:
        case Conv2D() | DepthwiseConv2D() | FullyConnected() | Add() | AveragePool2D() | MaxPool2D():
            low, high = operator.clamp
            if not -128 <= low <= high <= 127:
                raise ValueError(f"clamp {operator.clamp} is not a range within -128 to 127")


def _verify_factors(multipliers: tuple[int, ...], shifts: tuple[int, ...], channels: int) -> None:
    if len(multipliers) != channels or len(shifts) != channels:
        raise ValueError(f"{channels} factors needed, has {len(multipliers)} multipliers and {len(shifts)} shifts")
    if any(not 0 <= multiplier < 1 << 31 for multiplier in multipliers):
        raise ValueError("a multiplier is outside 0 to 2**31 - 1")
    if any(not -31 <= shift <= 31 for shift in shifts):
        raise ValueError("a shift is outside -31 to 31")
