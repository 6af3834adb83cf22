"""The graph's invariants, checked after import and after every pass."""

from collections.abc import Mapping

from .element_types import check_types
from .ir import (
    Add,
    AveragePool2D,
    BatchMatMul,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Gather,
    Graph,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Operator,
    Prelu,
    Quantize,
    SquaredDifference,
    Sub,
    Tensor,
    TransposeConv,
    UnidirectionalSequenceLstm,
    Unsupported,
)
from .shapes import output_shapes

__all__ = ["FactorError", "verify_graph", "verify_numbers", "verify_operator"]


class FactorError(ValueError):
    """A factor between scales is so large that the kernels' arithmetic has no result for it."""


def verify_graph(graph: Graph) -> None:
    """Raise `ValueError`, naming the tensor or operator, if the graph breaks an invariant.

    Tensors stand under their own names, with data and quantization that fit their shape. Each is defined once, by the
    inputs, as a constant or by one operator, before it is read; outputs are defined. Element types, shapes,
    requantization factors, tables and clamps fit the operator.
    """
    for name, tensor in graph.tensors.items():
        _verify_tensor(name, tensor)
    defined = {name for name, tensor in graph.tensors.items() if tensor.data is not None}
    for name in graph.inputs:
        _define(defined, name, graph, "the network's inputs")
    for operator in graph.operators:
        for name in operator.inputs:
            if name not in defined and not isinstance(operator, Unsupported):
                raise ValueError(f"operator {operator.name}: tensor {name!r} is read before anything defines it")
        for name in operator.outputs:
            _define(defined, name, graph, f"operator {operator.name}")
    for name in graph.outputs:
        if name not in defined:
            raise ValueError(f"output {name!r} of the network is never defined")
    for operator in graph.operators:
        try:
            verify_operator(operator, graph.tensors)
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


def verify_operator(operator: Operator, tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` if an operator breaks one of the invariants by itself: types, shapes, factors, tables, indices,
    clamps.
    """
    if isinstance(operator, Unsupported):
        return
    check_types(operator, tensors)
    shapes = output_shapes(operator, tensors)
    for name, shape in zip(operator.outputs, shapes, strict=True):
        if tensors[name].shape != shape:
            raise ValueError(f"output {name!r} has shape {tensors[name].shape}, and must have {shape}")
    verify_numbers(operator, shapes[0], tensors[operator.output].dtype)
    if isinstance(operator, Gather):
        _verify_indices(tensors[operator.indices], tensors[operator.input].shape[operator.axis])


def verify_numbers(operator: Operator, shape: tuple[int, ...], dtype: str) -> None:
    """Raise `ValueError` if factors, table or clamp do not fit an output of this shape and type; `FactorError`."""
    limits = _range(dtype)
    match operator:
        case Conv2D() | DepthwiseConv2D() | FullyConnected() | TransposeConv():
            _verify_factors(operator.multipliers, operator.shifts, shape[-1])
            if getattr(operator, "single_rounding", False) and max(operator.shifts, default=0) > 30:
                raise ValueError("a shift of single rounding is above 30")
        case Add() | Sub() | SquaredDifference():
            _verify_factors(operator.multipliers, operator.shifts, 3)
        case Prelu():
            _verify_factors(operator.multipliers, operator.shifts, 2)
        case Mul() | BatchMatMul() | Mean():
            _verify_factors((operator.multiplier,), (operator.shift,), 1)
        case UnidirectionalSequenceLstm():
            factors = (*operator.input_factors, *operator.recurrent_factors, operator.hidden_factor)
            multipliers, shifts = zip(*factors, strict=True)
            _verify_factors(multipliers, shifts, len(factors))
            if not 0 <= operator.cell_integer_bits <= 4:
                raise ValueError(f"a cell state with {operator.cell_integer_bits} integer bits, not 0 to 4")
        case Lookup(table=tuple(table)) | Quantize(table=tuple(table)):
            if len(table) != 256 or not all(limits[0] <= entry <= limits[1] for entry in table):
                raise ValueError(f"its table is not 256 entries from {limits[0]} to {limits[1]}")
    match operator:
        case (
            Conv2D()
            | DepthwiseConv2D()
            | FullyConnected()
            | TransposeConv()
            | Add()
            | Sub()
            | Mul()
            | AveragePool2D()
            | MaxPool2D()
        ):
            low, high = operator.clamp
            if not limits[0] <= low <= high <= limits[1]:
                raise ValueError(f"clamp {operator.clamp} is not a range within {limits[0]} to {limits[1]}")


def _range(dtype: str) -> tuple[int, int]:
    """The numbers that an 8-bit type holds."""
    return (0, 255) if dtype == "uint8" else (-128, 127)


def _verify_factors(multipliers: tuple[int, ...], shifts: tuple[int, ...], channels: int) -> None:
    if len(multipliers) != channels or len(shifts) != channels:
        raise ValueError(f"{channels} factors needed, has {len(multipliers)} multipliers and {len(shifts)} shifts")
    if any(not 0 <= multiplier < 1 << 31 for multiplier in multipliers):
        raise ValueError("a multiplier is outside 0 to 2**31 - 1")
    if max(shifts, default=0) > 31:
        raise FactorError(f"a factor between its scales is 2**{max(shifts) - 1} or more, beyond 32 bits")
    if min(shifts, default=0) < -31:
        raise ValueError(f"a shift of {min(shifts)} is below -31")


def _verify_indices(indices: Tensor, length: int) -> None:
    if indices.data is None:
        raise ValueError(f"its indices {indices.name!r} are no constant")
    if indices.data.size and not 0 <= indices.data.min() <= indices.data.max() < length:
        raise ValueError(f"an index is outside 0 to {length - 1}")
