"""The file of an ONNX model: parsed, with its external data, its version and its inputs checked."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError, Message

from .errors import ModelError, UnsupportedError
from .sizes import MOST_ELEMENTS, MOST_FILE_BYTES

__all__ = ["check_opset", "initializers", "input_shape", "load", "tensor_array"]

Array = npt.NDArray[Any]

_OLDEST = 13
_LONGEST_NAME = 1000
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError)

_ELEMENTS: dict[Any, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
}


def load(source: str | os.PathLike[str] | bytes) -> tuple[onnx.ModelProto, str]:
    """The model, and the name that messages call it by. Raises `ModelError`."""
    if isinstance(source, bytes):
        return _parse(source, "model"), "model"
    path = Path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}; give the path of a .onnx file") from error
    model = _parse(content, path.name)
    try:
        _load_external(model, path.parent)
    except (OSError, onnx.checker.ValidationError, *_DAMAGE) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path.name}: its external data cannot be read ({reason}); put the data's files beside the model"
        ) from error
    return model, path.name


def _load_external(model: onnx.ModelProto, folder: Path) -> None:
    """Read the constants that lie in files beside the model; ``ValueError`` for more than `MOST_FILE_BYTES`."""
    left = MOST_FILE_BYTES
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        # Without a length, and with a negative one, it is the rest of the file.
        size, length = (folder / entries.get("location", "")).stat().st_size, int(entries.get("length", -1))
        left -= min(size, length) if length >= 0 else size
        if left < 0:
            raise ValueError(f"more than {MOST_FILE_BYTES:,} bytes")
        onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))


def _parse(content: bytes, origin: str) -> onnx.ModelProto:
    if not content:
        raise ModelError(f"{origin}: the file is empty; download or export the model again")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, *_DAMAGE) as error:
        raise ModelError(f"{origin}: not an ONNX model, or truncated; download or export the model again") from error
    if not model.graph.node or not model.opset_import:
        raise ModelError(f"{origin}: not an ONNX model: it has no nodes or no opset; download or export the model again")
    _check_text(model, origin)
    return model


def _check_text(model: onnx.ModelProto, origin: str) -> None:
    """Refuse names that are no text, or cannot be printed: protobuf finds that out late, when a field is read."""
    try:
        for name in _names(model):
            # What is no UTF-8 is given as bytes, or raises.
            if isinstance(name, bytes) or len(name) > _LONGEST_NAME or not name.isprintable():
                raise ModelError(f"{origin}: a name is {name[:40]!r}; download or export the model again")
    except (UnicodeDecodeError, DecodeError) as error:
        raise ModelError(f"{origin}: a name is no text; download or export the model again") from error


def _names(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """The texts that the reader looks at."""
    for entry in model.opset_import:
        yield entry.domain
    for node in model.graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    yield from (tensor.name for tensor in model.graph.initializer)
    for value in (*model.graph.input, *model.graph.output):
        yield value.name
        yield from (dimension.dim_param for dimension in value.type.tensor_type.shape.dim)


def check_opset(model: onnx.ModelProto, origin: str) -> None:
    """Raise `UnsupportedError` if the version of ONNX's own operators is too old."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError(f"{origin}: it imports no operators of ONNX; export the model again")
    if max(versions) < _OLDEST:
        raise UnsupportedError(
            "ONNX", origin, f"its opset is {max(versions)}", f"convert it to opset {_OLDEST} or later (onnx.version_converter)"
        )


def initializers(model: onnx.ModelProto, origin: str) -> dict[str, Array]:
    """The constants of the graph, by name."""
    if model.graph.sparse_initializer:
        raise UnsupportedError("ONNX", origin, "it has sparse constants", "export the model with dense ones")
    return {tensor.name: tensor_array(tensor, f"{origin}: constant {tensor.name!r}") for tensor in model.graph.initializer}


def tensor_array(tensor: Message, where: str) -> Array:
    """A tensor's elements. Raises `ModelError`."""
    assert isinstance(tensor, onnx.TensorProto)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelError(f"{where}: its data lies in another file; give the model's path, with that file beside it")
    shape = tuple(tensor.dims)
    # The smallest elements have 2 bits; more of them than the file has must not be made.
    if any(length < 0 for length in shape) or math.prod(max(1, length) for length in shape) > 8 * tensor.ByteSize():
        raise ModelError(f"{where}: its data does not fit {shape}; download or export the model again")
    try:
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:100]
        raise ModelError(f"{where}: its data does not fit {shape} ({reason}); download or export the model again") from error
    if array.shape != shape:
        raise ModelError(f"{where}: its data does not fit {shape}; download or export the model again")
    return array


def input_shape(value: onnx.ValueInfoProto, origin: str) -> tuple[tuple[int, ...], str, bool]:
    """Shape and element type of an input, and whether an open batch was taken as 1.

    Raises `UnsupportedError` for any other open dimension.
    """
    where = f"{origin}: input {value.name!r}"
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise UnsupportedError("ONNX", where, "it is no tensor of a known shape", "export the model with a fixed input shape")
    tensor = value.type.tensor_type
    if tensor.elem_type not in _ELEMENTS:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in range(1, 24) else str(tensor.elem_type)
        raise UnsupportedError("ONNX", where, f"its elements are {kind}", "inputs are float, int8 or uint8")
    shape = []
    opened = False
    for axis, dimension in enumerate(tensor.shape.dim):
        length = dimension.dim_value if dimension.WhichOneof("value") == "dim_value" else 0
        if axis == 0 and length <= 0:
            length, opened = 1, True
        if length <= 0:
            name = dimension.dim_param or "unknown"
            raise UnsupportedError(
                "ONNX", where, f"its dimension {axis} is open ({name})",
                "export the model with a fixed input shape, or fix it with onnxruntime.tools.make_dynamic_shape_fixed",
            )  # fmt: skip
        shape.append(length)
    if math.prod(shape) > MOST_ELEMENTS:
        raise UnsupportedError("ONNX", where, f"its shape {tuple(shape)} is too large", "use a smaller input")
    return tuple(shape), _ELEMENTS[tensor.elem_type], opened
