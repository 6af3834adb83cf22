"""What a name of an ONNX graph stands for while the graph is read.

A tensor of the graph under construction keeps the layout that suits it; `order` and `shape` say what ONNX sees. So a
Transpose or a Reshape of ONNX costs nothing until somebody needs its bytes in that order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .ir import Quantization

__all__ = ["Constant", "Float32Array", "Held", "Missing", "Pending", "Real", "Stored", "Target", "Value", "dequantized_bytes"]

Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that are known. With `quantization`, `data` are the stored integers of what are real numbers."""

    data: Array
    quantization: Quantization | None = None

    @property
    def real(self) -> npt.NDArray[np.float64]:
        """The numbers themselves, in float64."""
        wide = self.data.astype(np.float64)
        if self.quantization is None:
            return wide
        axis = self.quantization.axis
        shape = [1] * wide.ndim
        if axis is not None:
            shape[axis] = -1
        scale, point = np.array(self.quantization.scale), np.array(self.quantization.zero_point, np.float64)
        return (wide - point.reshape(shape)) * scale.reshape(shape)


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor of the graph: its dimension i is ONNX's dimension `order[i]`, and ONNX sees it reshaped to `shape`.

    `plain_shape` is the shape in ONNX's order before that.
    """

    tensor: str
    order: tuple[int, ...]
    plain_shape: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Stored(Held):
    """The elements as they are: integers between QuantizeLinear and DequantizeLinear, indices, or a float input.

    `unsigned` is set if ONNX has uint8 where the graph has int8, 128 less.
    """

    unsigned: bool = False


@dataclass(frozen=True, eq=False)
class Real(Held):
    """Real numbers, each a function of a stored byte: `values` has the 256 results, by the byte as an unsigned number.

    Right behind a DequantizeLinear these are the numbers that the bytes stand for.
    `index` and `kind` are of the node that computed them.
    """

    values: Float32Array
    index: int
    kind: str


@dataclass(frozen=True)
class Target:
    """How an operator's result is to be stored: as int8, its real numbers limited to `low` .. `high` before."""

    name: str
    quantization: Quantization
    low: float = -math.inf
    high: float = math.inf

    @property
    def clamp(self) -> tuple[int, int]:
        """The limits as stored numbers."""
        least, most = (self.steps(bound) for bound in (self.low, self.high))
        return min(least, most), most

    def steps(self, real: float) -> int:
        """A real number as it is stored."""
        return int(self.store(np.array(real, np.float32)))

    def store(self, real: Float32Array) -> npt.NDArray[np.int8]:
        """Real numbers as QuantizeLinear stores them: divided in float32, rounded half to even."""
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            steps = np.rint(real / np.float32(self.quantization.scale[0]))
        steps = np.nan_to_num(steps, posinf=1e9, neginf=-1e9).astype(np.float64) + self.quantization.zero_point[0]
        return np.clip(steps, -128, 127).astype(np.int8)


@dataclass(frozen=True, eq=False)
class Pending:
    """Real numbers of an operator that waits for the quantization of its result; `emit` adds it to the graph.

    `add_bias` takes a bias for each output channel, where the operator has none yet.
    """

    index: int
    kind: str
    emit: Callable[[Target], Held]
    low: float = -math.inf
    high: float = math.inf
    add_bias: "Callable[[Constant], Pending] | None" = field(default=None)


@dataclass(frozen=True)
class Missing:
    """What an operator that is not supported would have computed."""


Value = Constant | Stored | Real | Pending | Missing


def dequantized_bytes(scale: float, zero_point: int) -> Float32Array:
    """The real numbers of the bytes 0 to 255, read as int8, in float32."""
    stored = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float32)
    return (stored - np.float32(zero_point)) * np.float32(scale)
