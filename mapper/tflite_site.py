"""A raw TensorFlow Lite operator where it stands in its model, and the checks on its operands and options."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from .element_types import BYTES
from .errors import ModelError, UnsupportedError
from .ir import Quantization, Tensor
from .requantize import ACTIVATIONS, activation_range
from .shapes import same_padding

__all__ = ["Site"]

_MOST_NUMBERS = 4096
"""Of a list that says how an operator works, such as a shape."""

_ACTIVATION_NAMES = {
    code: name for name, code in vars(schema.ActivationFunctionType).items() if not name.startswith("_")
}
_TO_INT8 = "quantize the model to int8: full-integer post-training quantization with int8 input and output"


@dataclass(frozen=True)
class Site:
    """One raw operator and its surroundings.

    `options` is the schema's options object or None, absent optional inputs are None in `inputs`, `intermediates` are
    tensors that only carry quantization, `where` is what messages call the place. What the methods refuse, they refuse
    as `read_tflite` does: `ModelError` for what is broken, `UnsupportedError` for what is not in 8 bits or not
    supported.
    """

    index: int
    kind: str
    options: Any
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    intermediates: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    where: str

    @property
    def common(self) -> dict[str, Any]:
        """The fields that every operator of the graph has."""
        return {"index": self.index, "name": f"{self.index}:{self.kind}", "output": self.outputs[0]}

    def broken(self, reason: str) -> NoReturn:
        """Raise `ModelError`."""
        raise ModelError(f"{self.where}: {reason}; export the model again")

    def unsupported(self, reason: str, hint: str) -> NoReturn:
        """Raise `UnsupportedError`."""
        output = f" (tensor {self.outputs[0]!r})" if self.outputs else ""
        raise UnsupportedError(self.kind, f"operator {self.index}{output}", reason, hint)

    def option(self, name: str) -> Any:
        """A field of the options."""
        if not hasattr(self.options, name):
            self.broken(f"its options lack {name}")
        return getattr(self.options, name)

    def has_input(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def tensor(self, position: int, role: str) -> Tensor:
        """The input tensor at a position; `role` is what messages call it."""
        name = self.inputs[position] if position < len(self.inputs) else None
        if name is None:
            self.broken(f"it has no {role}")
        return self.tensors[name]

    def value(self, tensor: Tensor, role: str) -> Tensor:
        """An operand of any type that is no state."""
        if tensor.is_variable:
            self.unsupported(f"{role} {tensor.name!r} is a variable", "export the model without state")
        return tensor

    def quantization(self, tensor: Tensor, role: str, dtypes: tuple[str, ...] = BYTES) -> Quantization:
        """The scales and zero points of an 8-bit operand, which must be sound."""
        if tensor.dtype not in dtypes:
            wanted = " or ".join(dtypes)
            self.unsupported(f"{role} {tensor.name!r} is {tensor.dtype}, and must be {wanted}", _TO_INT8)
        quantization = self.value(tensor, role).quantization
        if quantization is None:
            self.unsupported(f"{role} {tensor.name!r} is {tensor.dtype} without a scale", _TO_INT8)
        if not all(math.isfinite(scale) and scale >= 0 for scale in quantization.scale):
            self.broken(f"{role} {tensor.name!r} has a scale that is negative or not a number")
        limits = np.iinfo(tensor.dtype)
        if not all(limits.min <= zero_point <= limits.max for zero_point in quantization.zero_point):
            self.broken(f"{role} {tensor.name!r} has a zero point outside {tensor.dtype}")
        return quantization

    def activation(self, tensor: Tensor, role: str, dtypes: tuple[str, ...] = BYTES) -> Tensor:
        """An 8-bit operand quantized as a whole, with a scale above 0."""
        if self.quantization(tensor, role, dtypes).axis is not None:
            self.unsupported(f"{role} {tensor.name!r} is quantized per axis", "quantize activations per tensor")
        if tensor.scale == 0:
            self.broken(f"{role} {tensor.name!r} has the scale 0")
        return tensor

    def input(self) -> Tensor:
        """The first input, an activation."""
        return self.activation(self.tensor(0, "input"), "input")

    def single_output(self) -> None:
        """Refuse an operator with another number of outputs."""
        if len(self.outputs) != 1:
            self.broken(f"it has {len(self.outputs)} outputs instead of 1")

    def output(self) -> Tensor:
        """The output, an activation."""
        return self.activation(self.tensors[self.outputs[0]], "output")

    def operands(self, *roles: str, dtypes: tuple[str, ...] = BYTES) -> list[Tensor]:
        """The first inputs, activations, called by these roles."""
        return [self.activation(self.tensor(position, role), role, dtypes) for position, role in enumerate(roles)]

    def constant_integers(self, position: int, role: str) -> npt.NDArray[Any]:
        """The values of an operand that must be integer constants."""
        tensor = self.tensor(position, role)
        if tensor.data is None:
            self.unsupported(f"its {role} is computed at run time", "export the model with fixed shapes")
        if tensor.data.dtype.kind not in "iu":
            self.broken(f"its {role} is {tensor.dtype}, and must be integers")
        return tensor.data

    def integers(self, position: int, role: str) -> tuple[int, ...]:
        """The numbers of an operand that must be a short list of integer constants."""
        return self.numbers(self.constant_integers(position, role), role)

    def numbers(self, vector: Any, role: str) -> tuple[int, ...]:
        """A short list of integers: an operand's, or an option's."""
        array = np.atleast_1d(np.asarray(vector))
        if array.size > _MOST_NUMBERS:
            self.unsupported(f"its {role} has {array.size} numbers, more than {_MOST_NUMBERS}", "cut the model there")
        return tuple(int(number) for number in array.ravel())

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from 0."""
        if not -rank <= axis < rank:
            self.broken(f"axis {axis} is no axis of {rank} dimensions")
        return axis % rank

    def bias(self, position: int = 2) -> str | None:
        """The optional operand at a position: int32 constants with zero point 0."""
        if not self.has_input(position):
            return None
        tensor = self.tensor(position, "bias")
        if tensor.dtype != "int32" or tensor.data is None:
            kind = tensor.dtype if tensor.data is not None else "computed at run time"
            self.unsupported(f"bias {tensor.name!r} is {kind}, and must be int32 constants", _TO_INT8)
        if tensor.quantization is not None and any(tensor.quantization.zero_point):
            self.unsupported(f"bias {tensor.name!r} has a zero point", "quantize biases symmetrically")
        return tensor.name

    def clamp(self) -> tuple[int, int]:
        """The range of the fused activation."""
        code = self.option("fusedActivationFunction")
        activation = _ACTIVATION_NAMES.get(code, str(code))
        if activation not in ACTIVATIONS:
            self.unsupported(f"fused activation {activation}", f"use one of {', '.join(ACTIVATIONS)}")
        output = self.output()
        return activation_range(activation, output.scale, output.zero_point, output.dtype)

    def stride(self) -> tuple[int, int]:
        """The stride as (y, x)."""
        return self.pair("strideH", "strideW")

    def pair(self, y: str, x: str) -> tuple[int, int]:
        """Two positive options as (y, x)."""
        pair = (int(self.option(y)), int(self.option(x)))
        if min(pair) < 1:
            self.broken(f"{y}, {x} are {pair}, and must be positive")
        return pair

    def padding(
        self, image: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> tuple[int, int, int, int]:
        """SAME or VALID as (top, left, bottom, right)."""
        code = self.option("padding")
        if code == schema.Padding.VALID:
            return (0, 0, 0, 0)
        if code != schema.Padding.SAME:
            self.broken(f"padding {code} is neither SAME nor VALID")
        return same_padding((image.shape[1], image.shape[2]), kernel, stride, dilation)

    def rank4(self, tensor: Tensor, role: str) -> Tensor:
        """A tensor that must have four dimensions."""
        if len(tensor.shape) != 4 or 0 in tensor.shape:
            self.broken(f"{role} {tensor.name!r} has shape {tensor.shape}, and must have 4 dimensions, none empty")
        return tensor
