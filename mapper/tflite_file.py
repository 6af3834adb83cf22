"""The FlatBuffer of a TensorFlow Lite model as plain records, in memory and time bounded by the file's size.

FlatBuffers' own accessors check no offset before they follow it, and nothing keeps a file from naming one table or
vector a million times over. So only the first subgraph is unpacked, piece by piece, and what has been unpacked is
counted against the file's size.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from .errors import ModelError

__all__ = ["RawGraph", "RawModel", "RawOperator", "RawTensor", "decode_model"]

Ints = tuple[int, ...]
Bytes = npt.NDArray[np.uint8]

_IDENTIFIER = b"TFL3"

_DAMAGE = (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError)
"""What the accessors run into on a damaged file."""

_OVERLAP = 16
"""How many times the file's bytes are unpacked at most; writers share equal vectors, but few of them."""

_MOST_TABLES = 1 << 16
"""Tensors, operators, operator codes or buffers."""

_MOST_TEXT = 1000
"""Characters of a name; the rest is cut off."""

_Found = TypeVar("_Found")


class _Overlap(Exception):
    """The file describes far more than it holds."""


@dataclass(frozen=True, eq=False)
class RawTensor:
    """A tensor as the file has it; `scale`, `zero_point` are empty without quantization."""

    name: str
    shape: Ints
    type: int
    buffer: int
    scale: tuple[float, ...]
    zero_point: Ints
    quantized_dimension: int
    is_variable: bool
    is_sparse: bool
    is_external: bool
    """Whether the data lies in another file."""


@dataclass(frozen=True, eq=False)
class RawOperator:
    """An operator as the file has it; `options` is the schema's object or None, operands are tensor indices."""

    code: int
    inputs: Ints
    outputs: Ints
    intermediates: Ints
    options: Any


@dataclass(frozen=True, eq=False)
class RawGraph:
    """A subgraph."""

    tensors: Sequence[RawTensor]
    operators: Sequence[RawOperator]
    inputs: Ints
    outputs: Ints


@dataclass(frozen=True, eq=False)
class RawModel:
    """The first subgraph, with the operator codes as (builtin code, custom name).

    `subgraph(index)` gives any subgraph, `buffer(index)` a buffer as (offset in the file, size, bytes inside the
    FlatBuffer); they raise `ModelError` for what does not exist or cannot be decoded.
    """

    graph: RawGraph
    codes: Sequence[tuple[int, str]]
    subgraph: Callable[[int], RawGraph]
    buffers: int
    buffer: Callable[[int], tuple[int, int, Bytes]]


def decode_model(content: bytes, origin: str) -> RawModel:
    """Unpack a file; `origin` is what messages call it. Raises `ModelError` for one that is not a whole model."""
    if not content:
        raise ModelError(f"{origin}: the file is empty; download or export the model again")
    if content[4:8] != _IDENTIFIER:
        raise ModelError(f"{origin}: not a TensorFlow Lite model (no TFL3 identifier); give a .tflite file")
    return _guarded(origin, lambda: _decode(content, origin))


def _guarded(origin: str, decode: Callable[[], _Found]) -> _Found:
    """What `decode` gives; `ModelError` where the file is damaged."""
    try:
        return decode()
    except ModelError:
        raise
    except _Overlap:
        raise ModelError(
            f"{origin}: the file is damaged (its parts overlap: it describes more than it holds); "
            "download or export the model again"
        ) from None
    except _DAMAGE as error:
        raise ModelError(
            f"{origin}: the file is truncated or damaged ({type(error).__name__} while decoding); "
            "download or export the model again"
        ) from error


def _decode(content: bytes, origin: str) -> RawModel:
    model = schema.Model.GetRootAs(content, 0)
    if model.SubgraphsLength() == 0:
        raise ModelError(f"{origin}: the model has no subgraph; export the model again")
    unpack = _Unpacker(len(content))

    def subgraph(index: int) -> RawGraph:
        if not 0 <= index < model.SubgraphsLength():
            raise ModelError(f"{origin}: subgraph {index} of {model.SubgraphsLength()} does not exist; export the model again")
        return unpack.graph(model.Subgraphs(index))

    return RawModel(
        subgraph(0),
        unpack.tables(model.OperatorCodesLength(), model.OperatorCodes, unpack.code),
        lambda index: _guarded(origin, lambda: subgraph(index)),
        model.BuffersLength(),
        lambda index: _guarded(origin, lambda: _buffer(model.Buffers(index))),
    )


def _buffer(raw: Any) -> tuple[int, int, Bytes]:
    return int(raw.Offset()), int(raw.Size()), np.asarray([] if raw.DataIsNone() else raw.DataAsNumpy(), np.uint8)


class _Unpacker:
    """Makes records of tables, and keeps count of their size."""

    def __init__(self, size: int) -> None:
        self._left = _OVERLAP * size

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _Overlap

    def tables(self, count: int, get: Callable[[int], Any], unpack: Callable[[Any], _Found]) -> list[_Found]:
        """All tables of a vector."""
        if count > _MOST_TABLES:
            raise _Overlap
        return [unpack(get(index)) for index in range(count)]

    def integers(self, vector: Any) -> Ints:
        """A vector of integers; an absent one, which the accessors give as 0, is empty."""
        return tuple(int(number) for number in self._vector(vector))

    def _vector(self, vector: Any) -> npt.NDArray[Any]:
        array = np.atleast_1d(np.asarray([] if isinstance(vector, int) else vector))
        self._take(array.nbytes)
        return array

    def _text(self, raw: bytes | None) -> str:
        """A name, in characters that can be printed."""
        raw = raw or b""
        self._take(len(raw))
        text = raw[: 4 * _MOST_TEXT].decode("utf-8", "replace")[:_MOST_TEXT]
        return "".join(each if each.isprintable() else "\ufffd" for each in text)

    def tensor(self, raw: Any) -> RawTensor:
        """A tensor."""
        quantization = raw.Quantization()
        scale: tuple[float, ...] = ()
        zero_point: Ints = ()
        if quantization is not None:
            scale = tuple(float(value) for value in self._vector(quantization.ScaleAsNumpy()))
            zero_point = self.integers(quantization.ZeroPointAsNumpy())
        return RawTensor(
            self._text(raw.Name()),
            self.integers(raw.ShapeAsNumpy()),
            raw.Type(),
            raw.Buffer(),
            scale,
            zero_point,
            0 if quantization is None else quantization.QuantizedDimension(),
            bool(raw.IsVariable()),
            raw.Sparsity() is not None,
            raw.ExternalBuffer() != 0,
        )

    def operator(self, raw: Any) -> RawOperator:
        """An operator."""
        return RawOperator(
            raw.OpcodeIndex(),
            self.integers(raw.InputsAsNumpy()),
            self.integers(raw.OutputsAsNumpy()),
            self.integers(raw.IntermediatesAsNumpy()),
            schema.BuiltinOptionsCreator(raw.BuiltinOptionsType(), raw.BuiltinOptions()),
        )

    def graph(self, raw: Any) -> RawGraph:
        """A subgraph."""
        return RawGraph(
            self.tables(raw.TensorsLength(), raw.Tensors, self.tensor),
            self.tables(raw.OperatorsLength(), raw.Operators, self.operator),
            self.integers(raw.InputsAsNumpy()),
            self.integers(raw.OutputsAsNumpy()),
        )

    def code(self, raw: Any) -> tuple[int, str]:
        """An operator code."""
        # The deprecated field is one byte wide; newer operators have 127 there, older files lack the new field (0).
        return max(raw.DeprecatedBuiltinCode(), raw.BuiltinCode()), self._text(raw.CustomCode())
