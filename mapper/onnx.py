"""Read ONNX models in QDQ format: operators on float32, each between DequantizeLinear and QuantizeLinear.

The pairs are folded into quantized tensors. A name of the ONNX graph stands for a value (`onnx_values`): a constant, a
tensor of the graph, real numbers that are functions of a tensor's bytes, or an operator that waits for its result's
quantization. Readers by kind make them.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from .errors import ModelError, UnsupportedError
from .fold import folded_operators, reading_nodes
from .ir import Dequantize, Folded, Graph, Quantization, Quantize, Unsupported
from .onnx_builder import Builder, Origin
from .onnx_constants import CONSTANT_KINDS, fold, read_constant, read_shape
from .onnx_convolutions import CONVOLUTION_READERS
from .onnx_elementwise import ELEMENTWISE_READERS
from .onnx_file import check_opset, initializers, input_shape, load, tensor_array
from .onnx_movement import MOVEMENT_READERS
from .onnx_pools import POOL_READERS
from .onnx_quantize import QUANTIZE_READERS
from .onnx_reduce import REDUCE_READERS
from .onnx_resize import RESIZE_READERS
from .onnx_site import NodeSite, kind_of
from .onnx_values import Constant, Missing, Pending, Real, Stored, Value
from .verify import verify_graph

__all__ = ["READERS", "Import", "import_onnx", "read_onnx"]

READERS: dict[str, Callable[[NodeSite], Value | tuple[Value, ...]]] = {
    **QUANTIZE_READERS,
    **CONVOLUTION_READERS,
    **POOL_READERS,
    **ELEMENTWISE_READERS,
    **MOVEMENT_READERS,
    **REDUCE_READERS,
    **RESIZE_READERS,
    "Shape": read_shape,
    "Size": read_shape,
}
"""By kind, what reads a node."""

_MICROSOFT = ("QuantizeLinear", "DequantizeLinear")
"""Kinds that onnxruntime's quantizer writes into its own domain, with the same meaning."""

_QOPERATORS = ("QLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QAttention", "QGemm")


@dataclass(frozen=True, eq=False)
class Import:
    """A graph, and which tensors of the ONNX model its tensors hold."""

    graph: Graph
    origins: Mapping[str, Origin]


def read_onnx(source: str | os.PathLike[str] | bytes, *, partial: bool = False) -> Graph:
    """Read a `.onnx` model in QDQ format, int8 or uint8, opset 13 or later, from a path or from its bytes.

    An open batch is 1. Inputs and outputs keep their names, shapes and types. uint8 tensors inside are int8, 128 less;
    images are NHWC. Raises `ModelError` for a file that is not a sound model, and `UnsupportedError` for the first
    node that is unknown or not in 8 bits. With `partial` an `Unsupported` stands for each such node, and what depends
    on it is left out unless its shape is known: the graph can be looked at, but not run.
    """
    return import_onnx(source, partial=partial).graph


def import_onnx(source: str | os.PathLike[str] | bytes, *, partial: bool = False) -> Import:
    """As `read_onnx`, with the origins of the tensors."""
    model, origin = load(source)
    check_opset(model, origin)
    builder = Builder()
    values: dict[str, Value] = {name: Constant(data) for name, data in initializers(model, origin).items()}
    inputs = _read_inputs(model, values, builder, origin)
    shapes = _known_shapes(model, builder, inputs) if partial else {}
    for index, node in enumerate(model.graph.node):
        site = NodeSite(index, node, values, builder, origin)
        try:
            results = _read(site)
        except UnsupportedError as error:
            if not partial:
                raise
            results = _stand_in(site, error, shapes)
        except ModelError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
            site.broken(" ".join(str(error).split()) or type(error).__name__)
        for name, value in zip(node.output, results, strict=False):
            if name and name in values:
                site.broken(f"its output {name!r} is defined already")
            if name:
                values[name] = value
    outputs = _read_outputs(model, values, builder, origin, partial)
    if not builder.operators:
        raise ModelError(f"{origin}: the network has no operators that depend on its inputs; export the model again")
    name = origin if isinstance(source, bytes) else Path(source).stem
    graph = _without_unused(Graph(name, builder.tensors, tuple(builder.operators), inputs, outputs, tuple(builder.notes)))
    graph = replace(graph, folded=_folded(model, values, graph))
    try:
        verify_graph(graph)
    except ValueError as error:
        raise ModelError(f"{origin}: {error}; export the model again") from error
    return Import(graph, builder.origins)


def _read_inputs(model: onnx.ModelProto, values: dict[str, Value], builder: Builder, origin: str) -> tuple[str, ...]:
    found = []
    for value in model.graph.input:
        if value.name in values:  # A constant with a default, as old exporters wrote them.
            continue
        shape, dtype, opened = input_shape(value, origin)
        if opened:
            builder.notes.append(f"{origin}: input {value.name!r} has an open batch; it is taken as 1")
        tensor, order = builder.define(value.name, shape, dtype), tuple(range(len(shape)))
        values[value.name] = Stored(tensor, order, shape, shape)
        builder.keep(tensor, value.name, order, shape)
        found.append(tensor)
    return tuple(found)


def _read(site: NodeSite) -> tuple[Value, ...]:
    """What a node's outputs stand for."""
    if not site.node.output:
        site.broken("it has no output")
    if site.missing:
        return (Missing(),) * len(site.node.output)
    kind = site.kind if site.node.op_type not in _MICROSOFT else site.node.op_type
    inputs = [site.values.get(name) for name in site.node.input if name]
    result: Value | tuple[Value, ...]
    if kind == "Constant":
        result = read_constant(site, tensor_array)
    elif kind in CONSTANT_KINDS and inputs and all(isinstance(value, Constant) for value in inputs):
        result = fold(site)
    elif (reader := READERS.get(kind)) is not None:
        result = reader(site)
    elif kind.split(".")[-1].startswith(_QOPERATORS):
        site.unsupported("the model is quantized in operator form", "quantize it in QDQ format (QuantFormat.QDQ)")
    else:
        site.unsupported("this operator is not known", "replace it by other operators, or cut the model there")
    results = result if isinstance(result, tuple) else (result,)
    _hold(site, results)
    if len([name for name in site.node.output if name]) > len(results):
        site.unsupported("its further outputs are wanted", "export the model without them")
    return results


def _hold(site: NodeSite, results: tuple[Value, ...]) -> None:
    """Count the memory of constants that a node has made, if they are not just its operands seen otherwise."""
    operands = [value.data for value in map(site.values.get, site.node.input) if isinstance(value, Constant)]
    for result in results:
        if isinstance(result, Constant) and not any(np.may_share_memory(result.data, operand) for operand in operands):
            site.builder.sizes.hold(result.data, site.kind, f"operator {site.index} (tensor {site.output!r})")


def _stand_in(site: NodeSite, error: UnsupportedError, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Value, ...]:
    """An operator that cannot run, and its outputs as float tensors where their shapes are known."""
    names, found = [], list[Value]()
    for name in site.node.output:
        shape = shapes.get(name)
        tensor = site.builder.define(name, shape or (), "float32")
        names.append(tensor)
        found.append(Missing() if shape is None else Stored(tensor, tuple(range(len(shape))), shape, shape))
    if names:
        operands = [site.values.get(name) for name in site.node.input]
        site.builder.stand_in(
            site.index, site.kind, names,
            operands=tuple(value.tensor for value in operands if isinstance(value, Stored | Real)),
            original=error.operator, reason=error.reason, hint=error.hint,
        )  # fmt: skip
    return tuple(found)


def _known_shapes(model: onnx.ModelProto, builder: Builder, inputs: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors as ONNX infers them, for what is not read."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        if value.name in inputs:
            del value.type.tensor_type.shape.dim[:]
            for length in builder.tensors[value.name].shape:
                value.type.tensor_type.shape.dim.add().dim_value = length
    del fixed.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed)
    except (RuntimeError, ValueError, onnx.shape_inference.InferenceError):
        return {}
    found = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        dims = value.type.tensor_type.shape.dim
        shape = tuple(dim.dim_value for dim in dims)
        if value.type.tensor_type.HasField("shape") and all(0 < length < 1 << 24 for length in shape):
            found[value.name] = shape
    return found


def _read_outputs(
    model: onnx.ModelProto, values: Mapping[str, Value], builder: Builder, origin: str, partial: bool
) -> tuple[str, ...]:
    """The tensors that the network gives out, in ONNX's layout and type."""
    found = []
    if not model.graph.output:
        raise ModelError(f"{origin}: the network has no outputs; export the model again")
    for output in model.graph.output:
        value = values.get(output.name)
        if value is None:
            raise ModelError(f"{origin}: output {output.name!r} is not defined by anything; export the model again")
        if isinstance(value, Missing) and partial:
            continue
        node = next((index for index, node in enumerate(model.graph.node) if output.name in node.output), 0)
        site = NodeSite(node, model.graph.node[node], values, builder, origin)
        if not isinstance(value, Stored | Real):
            kind = "a constant" if isinstance(value, Constant) else "float32, not quantized"
            error = UnsupportedError(
                site.kind, f"operator {node} (tensor {output.name!r})", f"its result, an output of the network, is {kind}",
                "quantize it: a QuantizeLinear and a DequantizeLinear behind it",
            )  # fmt: skip
            if not partial:
                raise error
            _stand_in(site, error, {})
            continue
        found.append(_given_out(site, value, output.name))
    return tuple(found)


def _given_out(site: NodeSite, value: Stored | Real, name: str) -> str:
    """An output's tensor."""
    builder = site.builder
    tensor = site.ordered(value, tuple(range(len(value.shape))))
    quantization = builder.tensors[tensor].quantization
    label = (site.index, site.kind, name)
    if isinstance(value, Real):
        plain = site.plain(value)
        tensor = site.ordered(plain, tuple(range(len(value.shape))))
        return builder.add(Dequantize, *label, "float32", None, input=tensor)
    if value.unsigned and quantization is not None:
        shifted = Quantization(quantization.scale, (quantization.zero_point[0] + 128,))
        table = tuple(byte ^ 128 for byte in range(256))
        return builder.add(Quantize, *label, "uint8", shifted, input=tensor, table=table)
    return tensor


def _folded(model: onnx.ModelProto, values: Mapping[str, Value], graph: Graph) -> tuple[Folded, ...]:
    """The nodes that are no operators: what is stored belongs to what stores it, numbers on their way to their reader."""
    nodes = model.graph.node
    first = {operator.index: operator.name for operator in reversed(graph.operators)}
    producers = {name: operator.name for operator in graph.operators for name in operator.outputs}
    own: dict[int, str] = {}
    for index, node in enumerate(nodes):
        value = values.get(node.output[0]) if node.output else None
        name = first.get(index)
        if name is None and isinstance(value, Stored):
            name = producers.get(value.tensor)
        elif name is None and isinstance(value, Pending):
            name = first.get(value.index)
        if name is not None:
            own[index] = name
    reads, writes = [node.input for node in nodes], [node.output for node in nodes]
    return folded_operators([kind_of(node) for node in nodes], own, reading_nodes(reads, writes))


def _without_unused(graph: Graph) -> Graph:
    """Leave out what no output needs: constants that others replaced, results that nobody reads."""
    wanted, kept = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if isinstance(operator, Unsupported) or wanted.intersection(operator.outputs):
            kept.append(operator)
            wanted.update(operator.inputs)
            wanted.update(operator.outputs)
    wanted.update(graph.inputs)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in wanted}
    return Graph(graph.name, tensors, tuple(reversed(kept)), graph.inputs, graph.outputs, graph.notes)


