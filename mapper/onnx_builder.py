"""The graph while an ONNX model is read: its tensors and operators, and the layouts they are wanted in."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .element_types import check_types
from .ir import Operator, Quantization, Reshape, Tensor, Transpose, Unsupported
from .onnx_values import Held
from .shapes import output_shapes
from .sizes import Sizes

__all__ = ["Builder", "Origin"]

Array = npt.NDArray[Any]
HeldType = TypeVar("HeldType", bound=Held)


@dataclass(frozen=True)
class Origin:
    """Which tensor of the ONNX model a tensor of the graph holds: transposed by `order` if that has `shape`."""

    name: str
    order: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass
class Builder:
    """Tensors and operators so far, and what they ask for. `origins` leads back to the model's tensors."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sizes: Sizes = field(default_factory=Sizes)
    _names: set[str] = field(default_factory=set)
    _taken: set[str] = field(default_factory=set)
    _views: dict[tuple[str, tuple[int, ...], tuple[int, ...]], str] = field(default_factory=dict)

    def define(self, name: str, shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> str:
        """A tensor; the name that it has got."""
        name = self._fresh(name)
        self.tensors[name] = Tensor(name, shape, dtype, quantization)
        return name

    def constant(self, name: str, data: Array, quantization: Quantization | None = None) -> str:
        """A constant; the name that it has got."""
        name = self._fresh(name)
        data = np.ascontiguousarray(data).reshape(data.shape)
        data.flags.writeable = False
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), quantization, data)
        return name

    def add(
        self,
        operator: type[Operator],
        index: int,
        kind: str,
        output: str,
        dtype: str,
        quantization: Quantization | None,
        **fields: Any,
    ) -> str:
        """An operator of the node `index`, with one output; the name that its output has got.

        Raises `ValueError` for operands that do not fit, and `UnsupportedError` if the network becomes too large.
        """
        output = self._fresh(output)
        made = operator(index=index, name=self._operator_name(f"{index}:{kind}"), output=output, **fields)
        (shape,) = output_shapes(made, self.tensors)
        self.tensors[output] = Tensor(output, shape, dtype, quantization)
        check_types(made, self.tensors)
        self.sizes.check(made, self.tensors)
        self.operators.append(made)
        return output

    def like(self, operator: type[Operator], index: int, kind: str, output: str, source: str, **fields: Any) -> str:
        """As `add`, for an operator whose result is stored as the tensor `source` is."""
        tensor = self.tensors[source]
        return self.add(operator, index, kind, output, tensor.dtype, tensor.quantization, **fields)

    def stand_in(self, index: int, kind: str, outputs: list[str], **fields: Any) -> None:
        """An operator that cannot run, with tensors that are there already as its outputs."""
        name = self._operator_name(f"{index}:{kind}")
        self.operators.append(Unsupported(index=index, name=name, output=outputs[0], others=tuple(outputs[1:]), **fields))

    def keep(self, tensor: str, name: str, order: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """Note that a tensor holds the model's tensor `name`."""
        self.origins.setdefault(tensor, Origin(name, order, shape))

    def requantized(self, tensor: str, quantization: Quantization) -> None:
        """Say how a tensor's numbers are to be understood that nothing has said it of yet."""
        self.tensors[tensor] = replace(self.tensors[tensor], quantization=quantization)

    def settled(self, held: HeldType, index: int) -> HeldType:
        """The same elements as a tensor of the shape that ONNX sees, whatever its order."""
        if held.shape == held.plain_shape:
            return held
        tensor = self.ordered_plain(held, tuple(range(len(held.order))), index)
        key = (tensor, (), held.shape)
        if key not in self._views:
            self._views[key] = self.like(
                Reshape, index, "Reshape", f"{held.tensor}/reshaped", tensor, input=tensor, shape=held.shape
            )
            if tensor in self.origins:
                self.keep(self._views[key], self.origins[tensor].name, tuple(range(len(held.shape))), held.shape)
        return replace(held, tensor=self._views[key], order=tuple(range(len(held.shape))), plain_shape=held.shape)

    def ordered(self, held: Held, order: tuple[int, ...], index: int) -> str:
        """The tensor of the same elements, its dimension i being ONNX's dimension `order[i]`."""
        return self.ordered_plain(self.settled(held, index), order, index)

    def ordered_plain(self, held: Held, order: tuple[int, ...], index: int) -> str:
        """As `ordered`, before the reshape."""
        if held.order == order:
            return held.tensor
        key = (held.tensor, held.order, order)
        if key not in self._views:
            permutation = tuple(held.order.index(axis) for axis in order)
            source = self.tensors[held.tensor]
            name = f"{held.tensor}/{'x'.join(map(str, permutation))}"
            moving = [axis for axis in permutation if source.shape[axis] != 1]
            if moving == sorted(moving):  # The same bytes.
                shape = tuple(source.shape[axis] for axis in permutation)
                view = self.like(Reshape, index, "Reshape", name, held.tensor, input=held.tensor, shape=shape)
            else:
                view = self.like(
                    Transpose, index, "Transpose", name, held.tensor, input=held.tensor, permutation=permutation
                )
            self._views[key] = view
            if held.tensor in self.origins:
                origin = self.origins[held.tensor]
                self.keep(view, origin.name, tuple(origin.order[axis] for axis in permutation), origin.shape)
        return self._views[key]

    def _fresh(self, name: str) -> str:
        found, number = name, 1
        while found in self._taken:
            found, number = f"{name}#{number}", number + 1
        self._taken.add(found)
        return found

    def _operator_name(self, name: str) -> str:
        found, number = name, 1
        while found in self._names:
            found, number = f"{name}#{number}", number + 1
        self._names.add(found)
        return found
