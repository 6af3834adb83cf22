"""Read TensorFlow Lite models.

The file is a FlatBuffer with the identifier TFL3 (LiteRT `tflite/schema/schema.fbs`). Here it becomes tensors and a
list of raw operators; `tflite_operators` turns each of those into an operator of the graph. The first subgraph is the
network.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from .errors import ModelError, UnsupportedError
from .evaluate import evaluate_operator
from .fold import folded_operators, reading_nodes
from .ir import Folded, Graph, Operator, Quantization, Tensor, Unsupported
from .sizes import MOST_DIMENSIONS, Sizes
from .tflite_file import RawGraph, RawModel, RawTensor, decode_model
from .tflite_operators import read_operator
from .tflite_site import Site
from .tflite_variables import VARIABLE_KINDS, Variables
from .verify import verify_graph

__all__ = ["read_tflite"]

_KINDS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_DTYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_NUMPY_DTYPES = frozenset(
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
)


def read_tflite(source: str | os.PathLike[str] | bytes, *, partial: bool = False) -> Graph:
    """Read an int8 or uint8 `.tflite` model from a path or from its bytes.

    Every tensor is kept, operators keep the model's order and index; those that only have constants to work on are
    folded. Shapes of activations are computed from the operators, as LiteRT does; where the file disagrees, and what
    was folded, the graph's `notes` say. Raises `ModelError` for a file that is not a sound model, and
    `UnsupportedError` for the first operator that is unknown, or is not in 8 bits. With `partial` an `Unsupported`
    stands for each such operator: the graph can be looked at, but not run.
    """
    content, origin = _load(source)
    model = decode_model(content, origin)
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []

    def read_tensors(graph: RawGraph, into: dict[str, Tensor]) -> list[Tensor]:
        for index, raw in enumerate(graph.tensors):
            tensor = _read_tensor(raw, index, into, model, content, origin, notes)
            into[tensor.name] = tensor
        return list(into.values())

    def kind_of(code: int) -> str:
        return _kind(model.codes, code, f"{origin}: an initialization")

    names = [tensor.name for tensor in read_tensors(model.graph, tensors)]
    inputs = _names(model.graph.inputs, names, f"{origin}: inputs of the network")
    outputs = _names(model.graph.outputs, names, f"{origin}: outputs of the network")
    operators: list[Operator] = []
    sizes = Sizes()
    variables = Variables(model.subgraph, lambda graph: read_tensors(graph, {}), kind_of)
    for index, each in enumerate(model.graph.operators):
        kind = _kind(model.codes, each.code, f"{origin}: operator {index}")
        where = f"{origin}: operator {index} ({kind})"
        read = _optional_names(each.inputs, names, f"{where}: inputs")
        written = _names(each.outputs, names, f"{where}: outputs")
        hidden = _names(each.intermediates, names, f"{where}: intermediates")
        site = Site(index, kind, each.options, read, written, hidden, tensors, where)
        try:
            _read_into(site, tensors, operators, notes, sizes, variables)
        except UnsupportedError as error:
            if not partial or not written:
                raise
            operators.append(_unsupported(site, error))
    if not operators:
        raise ModelError(f"{origin}: the network has no operators that depend on its inputs; export the model again")
    name = origin if isinstance(source, bytes) else Path(source).stem
    folded = _folded(model, names, operators, origin)
    graph = Graph(name, tensors, tuple(operators), inputs, outputs, tuple(notes), folded)
    try:
        verify_graph(graph)
    except ValueError as error:
        raise ModelError(f"{origin}: {error}; export the model again") from error
    return graph


def _folded(model: RawModel, names: Sequence[str], operators: Sequence[Operator], origin: str) -> tuple[Folded, ...]:
    """The model's operators that are not in the graph."""
    raw = model.graph.operators
    kinds = [_kind(model.codes, each.code, origin) for each in raw]
    reads = [[names[number] for number in each.inputs if number >= 0] for each in raw]
    writes = [_names(each.outputs, names, origin) for each in raw]
    own = {operator.index: operator.name for operator in operators}
    return folded_operators(kinds, own, reading_nodes(reads, writes))


def _read_into(
    site: Site,
    tensors: dict[str, Tensor],
    operators: list[Operator],
    notes: list[str],
    sizes: Sizes,
    variables: Variables,
) -> None:
    """Add an operator, or what it makes of constants."""
    if site.kind in VARIABLE_KINDS:
        result = variables.read(site, tensors)
        if isinstance(result, Operator):
            tensors[result.output] = replace(tensors[result.output], shape=tensors[result.inputs[0]].shape)
            operators.append(result)
        elif result is not None:
            _define(site, {site.outputs[0]: result}, tensors)
            notes.append(f"{site.where}: each case begins with the variable's initial value")
        return
    if site.kind == "SHAPE":
        site.single_output()
        output = site.tensors[site.outputs[0]]
        shape = np.array(site.tensor(0, "input").shape, "int64" if output.dtype == "int64" else "int32")
        _fold(site, {output.name: shape}, tensors, notes)
        return
    operator, outputs = read_operator(site)
    for output in outputs:
        declared = tensors[output.name].shape
        if output.shape != declared:
            notes.append(f"{site.where}: the file gives its output the shape {declared}; it is {output.shape}")
        tensors[output.name] = output
    sizes.check(operator, tensors)
    data = {name: array for name in operator.inputs if (array := tensors[name].data) is not None}
    if len(data) == len(set(operator.inputs)):
        _fold(site, evaluate_operator(operator, tensors, data), tensors, notes)
    else:
        operators.append(operator)


def _fold(site: Site, results: Mapping[str, npt.NDArray[Any]], tensors: dict[str, Tensor], notes: list[str]) -> None:
    """Make constants of an operator's outputs."""
    _define(site, results, tensors)
    notes.append(f"{site.where}: its inputs are constants, so its outputs are; it takes no time")


def _define(site: Site, results: Mapping[str, npt.NDArray[Any]], tensors: dict[str, Tensor]) -> None:
    for name, array in results.items():
        if tensors[name].data is not None:
            site.broken(f"tensor {name!r} is already defined")
        array.flags.writeable = False
        tensors[name] = replace(tensors[name], shape=array.shape, dtype=str(array.dtype), data=array)


def _unsupported(site: Site, error: UnsupportedError) -> Operator:
    operands = tuple(name for name in site.inputs if name is not None)
    return Unsupported(
        **site.common,
        operands=operands,
        others=site.outputs[1:],
        original=site.kind,
        reason=error.reason,
        hint=error.hint,
    )


def _load(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    """The file's bytes, and the name that messages call it by."""
    if isinstance(source, bytes):
        return source, "model"
    path = Path(source)
    try:
        return path.read_bytes(), path.name
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}; give the path of a .tflite file") from error


def _kind(codes: Sequence[tuple[int, str]], index: int, where: str) -> str:
    """The operator's kind: its builtin name, or `CUSTOM name`."""
    if not 0 <= index < len(codes):
        raise ModelError(f"{where}: operator code {index} of {len(codes)} does not exist; export the model again")
    code, custom = codes[index]
    kind = _KINDS.get(code, f"BUILTIN {code}")
    return f"CUSTOM {custom}" if kind == "CUSTOM" else kind


def _names(indices: Sequence[int], names: Sequence[str], where: str) -> tuple[str, ...]:
    """Tensor indices as names."""
    for index in indices:
        if not 0 <= index < len(names):
            raise ModelError(f"{where}: tensor {index} of {len(names)} does not exist; export the model again")
    return tuple(names[index] for index in indices)


def _optional_names(indices: Sequence[int], names: Sequence[str], where: str) -> tuple[str | None, ...]:
    """Tensor indices as names; -1 stands for an absent optional tensor."""
    return tuple(None if index == -1 else _names([index], names, where)[0] for index in indices)


def _read_tensor(
    raw: RawTensor,
    index: int,
    taken: Mapping[str, Tensor],
    model: RawModel,
    content: bytes,
    origin: str,
    notes: list[str],
) -> Tensor:
    name = raw.name or f"tensor_{index}"
    while name in taken:
        name = f"{name}#{index}"
    where = f"{origin}: tensor {index} ({name!r})"
    shape = raw.shape
    if any(length < 0 for length in shape):
        raise ModelError(f"{where}: negative dimension in {shape[:MOST_DIMENSIONS]}; export the model with a fixed input shape")
    if len(shape) > MOST_DIMENSIONS:
        raise ModelError(f"{where}: {len(shape)} dimensions, more than {MOST_DIMENSIONS}; export the model again")
    if raw.is_external:
        raise ModelError(f"{where}: its data lies in another file; export the model as a single file")
    dtype = _DTYPES.get(raw.type, f"type {raw.type}")
    if raw.is_sparse:
        dtype = f"sparse {dtype}"
    data = None
    stored = _stored(raw.buffer, model, content, where)
    # Other types' bytes are not their elements; only an operator that reads such a tensor has to refuse it.
    if stored is not None and dtype in _NUMPY_DTYPES:
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        if len(stored) != needed:
            raise ModelError(
                f"{where}: its buffer holds {len(stored)} bytes, {dtype}{list(shape)} needs {needed}; "
                "the file is damaged, download or export the model again"
            )
        data = np.frombuffer(stored, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
        data.flags.writeable = False
    return Tensor(name, shape, dtype, _read_quantization(raw, where, notes), data, raw.is_variable)


def _stored(index: int, model: RawModel, content: bytes, where: str) -> npt.NDArray[np.uint8] | memoryview | None:
    """A tensor's bytes: inside the FlatBuffer, behind it in the file, or None if it has none."""
    if index == 0 and not model.buffers:
        return None
    if not 0 <= index < model.buffers:
        raise ModelError(f"{where}: buffer {index} of {model.buffers} does not exist; export the model again")
    offset, size, inside = model.buffer(index)
    # An offset of 0 or 1 marks a buffer that is stored inside; others count from the start of the file.
    if offset > 1:
        if offset + size > len(content):
            raise ModelError(
                f"{where}: its data lies at bytes {offset} to {offset + size} of a file of {len(content)}; "
                "the file is truncated, download or export the model again"
            )
        return memoryview(content)[offset : offset + size]
    return inside if len(inside) else None


def _read_quantization(raw: RawTensor, where: str, notes: list[str]) -> Quantization | None:
    scale, shape = raw.scale, raw.shape
    if not scale:
        return None
    zero_point = raw.zero_point or (0,)
    if len(zero_point) == 1:
        zero_point *= len(scale)
    if len(zero_point) != len(scale):
        raise ModelError(f"{where}: {len(scale)} scales but {len(zero_point)} zero points; quantize the model again")
    if len(scale) == 1:
        return Quantization(scale, zero_point)
    axis = raw.quantized_dimension
    if not 0 <= axis < len(shape) and len(shape) == 1:
        notes.append(f"{where}: quantized along axis {axis} of {len(shape)}; read as axis 0, the only one")
        axis = 0
    if not 0 <= axis < len(shape) or shape[axis] != len(scale):
        raise ModelError(
            f"{where}: {len(scale)} scales along axis {axis} do not fit the shape {shape}; quantize the model again"
        )
    return Quantization(scale, zero_point, axis)
