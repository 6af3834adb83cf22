"""A node of an ONNX graph where it stands, and the checks on its operands and attributes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt
import onnx

from .errors import ModelError, UnsupportedError
from .ir import Operator, Pointwise, Quantization, Quantize
from .onnx_builder import Builder
from .onnx_values import Constant, Held, Missing, Pending, Real, Stored, Target, Value, dequantized_bytes
from .sizes import MOST_ELEMENTS

__all__ = ["NodeSite", "kind_of"]

Array = npt.NDArray[Any]
HeldType = TypeVar("HeldType", bound=Held)

_QUANTIZE_ALL = "quantize every activation: a QuantizeLinear and a DequantizeLinear behind each operator"
_ATTRIBUTES = onnx.AttributeProto
_FIELDS: dict[Any, str] = {
    _ATTRIBUTES.INT: "i",
    _ATTRIBUTES.INTS: "ints",
    _ATTRIBUTES.FLOAT: "f",
    _ATTRIBUTES.FLOATS: "floats",
    _ATTRIBUTES.STRING: "s",
    _ATTRIBUTES.TENSOR: "t",
}


def kind_of(node: onnx.NodeProto) -> str:
    """A node's kind, with its domain if it is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


@dataclass(frozen=True)
class NodeSite:
    """One node and its surroundings.

    `values` has what each name of the graph stands for. What the methods refuse, they refuse as `read_onnx` does:
    `ModelError` for what is broken, `UnsupportedError` for what is not in 8 bits or not supported.
    """

    index: int
    node: onnx.NodeProto
    values: Mapping[str, Value]
    builder: Builder
    origin: str

    @property
    def kind(self) -> str:
        """The operator's kind, with its domain if it is not ONNX's own."""
        return kind_of(self.node)

    @property
    def where(self) -> str:
        """What messages call the place."""
        return f"{self.origin}: node {self.index} ({self.kind})"

    @property
    def output(self) -> str:
        """The name of the first output."""
        return self.node.output[0]

    def broken(self, reason: str) -> NoReturn:
        """Raise `ModelError`."""
        raise ModelError(f"{self.where}: {reason}; export the model again")

    def unsupported(self, reason: str, hint: str) -> NoReturn:
        """Raise `UnsupportedError`."""
        output = f" (tensor {self.node.output[0]!r})" if self.node.output else ""
        raise UnsupportedError(self.kind, f"operator {self.index}{output}", reason, hint)

    # Attributes.

    def integer(self, name: str, default: int | None = None) -> int:
        """An attribute that is an integer."""
        return int(self._attribute(name, _ATTRIBUTES.INT, default))

    def number(self, name: str, default: float) -> float:
        """An attribute that is a real number."""
        return float(self._attribute(name, _ATTRIBUTES.FLOAT, default))

    def text(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        value = self._attribute(name, _ATTRIBUTES.STRING, default)
        found: str = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if len(found) > 100 or not found.isprintable():
            self.broken(f"its attribute {name} is {found[:40]!r}")
        return found

    def integers(self, name: str, default: tuple[int, ...] | None) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        return tuple(int(value) for value in self._attribute(name, _ATTRIBUTES.INTS, default))

    def attribute(self, name: str) -> onnx.AttributeProto | None:
        """An attribute as the file has it."""
        return next((attribute for attribute in self.node.attribute if attribute.name == name), None)

    def _attribute(self, name: str, kind: int, default: Any) -> Any:
        found = self.attribute(name)
        if found is None:
            if default is None:
                self.broken(f"it has no attribute {name}")
            return default
        if found.type != kind:
            self.broken(f"its attribute {name} has the wrong type")
        return getattr(found, _FIELDS[kind])

    # Operands.

    def has_input(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.node.input) and self.node.input[position] != ""

    def value(self, position: int) -> Value:
        """What an input stands for."""
        if not self.has_input(position):
            self.broken(f"it has no input {position}")
        name = self.node.input[position]
        if name not in self.values:
            self.broken(f"its input {name!r} is not defined by anything before it")
        return self.values[name]

    def constant(self, position: int, role: str) -> Constant:
        """An input that must be known when the model is read."""
        value = self.value(position)
        if not isinstance(value, Constant):
            self.unsupported(f"its {role} {self.node.input[position]!r} is computed", f"make the {role} a constant")
        return value

    def constants(self, position: int, role: str) -> tuple[int, ...]:
        """An input that is a constant list of integers."""
        data = self.constant(position, role).data
        if data.ndim > 1 or not np.issubdtype(data.dtype, np.integer):
            self.broken(f"its {role} is {data.dtype} {data.shape}, and must be a list of integers")
        return tuple(int(number) for number in data.reshape(-1))

    def held(self, position: int) -> Stored | Real:
        """An input that is a tensor of the graph."""
        value = self.value(position)
        if isinstance(value, Stored | Real):
            return value
        self.no_tensor(position, value)

    def no_tensor(self, position: int, value: Value) -> NoReturn:
        """Refuse an input that is no tensor of the graph."""
        name = self.node.input[position]
        match value:
            case Constant():
                self.unsupported(f"its input {name!r} is a constant", "fold constants before export")
            case Pending(kind=kind):
                self.unsupported(f"its input {name!r} comes from {kind} as float32, not quantized", _QUANTIZE_ALL)
            case _:
                self.unsupported(f"its input {name!r} is not known", "see the operators before it")

    def real(self, position: int) -> Real:
        """An input of real numbers that are stored as bytes."""
        held = self.held(position)
        if not isinstance(held, Real):
            dtype = self.builder.tensors[held.tensor].dtype
            self.unsupported(f"its input {self.node.input[position]!r} is {dtype}, not dequantized 8 bits", _QUANTIZE_ALL)
        return held

    def activation(self, position: int) -> Real:
        """An input of real numbers, each simply what its byte stands for."""
        return self.plain(self.real(position))

    def plain(self, real: Real) -> Real:
        """The same numbers as bytes that stand for them, if their quantization has them all."""
        quantization = self.builder.tensors[real.tensor].quantization
        identity = None if quantization is None else dequantized_bytes(quantization.scale[0], quantization.zero_point[0])
        if identity is not None and np.array_equal(real.values, identity):
            return real
        if quantization is not None and identity is not None:
            stored = Target("", quantization).store(real.values)
            if np.array_equal(identity[stored.view(np.uint8)], real.values):
                table = tuple(int(entry) for entry in stored)
                name = f"{real.tensor}/{real.kind}"
                tensor = self.builder.add(
                    Pointwise, real.index, real.kind, name, "int8", quantization, input=real.tensor, table=table
                )
                return replace(real, tensor=tensor, values=identity)
        self.unsupported(f"its input, the output of {real.kind} at node {real.index}, is not quantized", _QUANTIZE_ALL)

    def tabled(self, real: Real, target: Target) -> str:
        """The tensor of these real numbers as the target stores them; the one that is there if that is the same."""
        source = self.builder.tensors[real.tensor].quantization
        assert source is not None
        entries = target.store(real.values)
        if source == target.quantization and np.array_equal(entries.view(np.uint8), np.arange(256)):
            return real.tensor
        table = tuple(int(entry) for entry in entries)
        if np.array_equal(real.values, dequantized_bytes(source.scale[0], source.zero_point[0])):
            return self.add(Quantize, target, input=real.tensor, table=table)
        label = (real.index, real.kind, target.name, "int8", target.quantization)
        return self.builder.add(Pointwise, *label, input=real.tensor, table=table)

    def quantization(self, real: Real) -> Quantization:
        """How the bytes behind plain real numbers are quantized."""
        quantization = self.builder.tensors[real.tensor].quantization
        assert quantization is not None
        return quantization

    # Results.

    def add(self, operator: type[Operator], target: Target, **fields: Any) -> str:
        """An operator whose result is stored as the target says."""
        return self.builder.add(operator, self.index, self.kind, target.name, "int8", target.quantization, **fields)

    def like(self, operator: type[Operator], source: str, **fields: Any) -> str:
        """An operator whose result is stored as the tensor `source` is."""
        return self.builder.like(operator, self.index, self.kind, self.output, source, **fields)

    def ordered(self, held: Held, order: tuple[int, ...]) -> str:
        """See `Builder.ordered`."""
        return self.builder.ordered(held, order, self.index)

    def settled(self, held: HeldType) -> HeldType:
        """See `Builder.settled`."""
        return self.builder.settled(held, self.index)

    def result(self, tensor: str, order: tuple[int, ...]) -> Held:
        """A tensor of the graph as ONNX sees it."""
        return self.moved(Held(tensor, order, (), ()), tensor, order)

    def moved(self, held: HeldType, tensor: str, order: tuple[int, ...]) -> HeldType:
        """Other elements of the same kind: a tensor of the graph, seen in ONNX's order."""
        stored = self.builder.tensors[tensor].shape
        shape = tuple(stored[order.index(axis)] for axis in range(len(order)))
        return replace(held, tensor=tensor, order=order, plain_shape=shape, shape=shape)

    def pending(self, emit: Callable[[Target], Held], **extra: Any) -> Pending:
        """The node's result, which waits for its quantization."""
        return Pending(self.index, self.kind, emit, **extra)

    def move(self, position: int, step: "Callable[[Any], Any]") -> Value:
        """The result of moving elements, of an input that is there or waits: moving and quantizing can be exchanged.

        `step` takes a `Held` and returns one.
        """
        value = self.value(position)
        if isinstance(value, Pending):
            inner = value

            def emit(target: Target) -> Held:
                made: Held = step(inner.emit(target))
                return made

            return replace(inner, emit=emit, add_bias=None)
        held = self.held(position)
        moved: Stored | Real = step(held)
        self.note(moved)
        return moved

    def note(self, held: Stored | Real, name: str | None = None) -> None:
        """Remember which tensor of the model a result is, if it holds just that."""
        plain = isinstance(held, Stored)
        if isinstance(held, Real) and (quantization := self.builder.tensors[held.tensor].quantization) is not None:
            plain = np.array_equal(held.values, dequantized_bytes(quantization.scale[0], quantization.zero_point[0]))
        if plain and held.shape == held.plain_shape:
            self.builder.keep(held.tensor, name or self.output, held.order, held.shape)

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from 0."""
        if not -rank <= axis < rank:
            self.broken(f"axis {axis} is no axis of {rank} dimensions")
        return axis % rank

    def bounded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that is small enough to be made."""
        elements = 1
        for length in shape:
            if length < 0:
                self.broken(f"the shape {shape} has a negative dimension")
            elements *= max(1, length)
        if elements > MOST_ELEMENTS:
            self.unsupported(f"its output of shape {shape} has more than {MOST_ELEMENTS:,} elements", "use a smaller model")
        return shape

    @property
    def missing(self) -> bool:
        """Whether an input is the result of an operator that is not supported."""
        return any(isinstance(self.values.get(name), Missing) for name in self.node.input)
