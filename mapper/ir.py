"""The graph: a quantized network as tensors and operators, after import and between the mapper's passes.

Everything is immutable. Tensors are known by name; operators stand in an order in which each can run. All real
numbers of the arithmetic are already resolved to the integers that the reference kernels compute with.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy.typing as npt

__all__ = [
    "Add",
    "AveragePool2D",
    "Conv2D",
    "DepthwiseConv2D",
    "FullyConnected",
    "Graph",
    "MaxPool2D",
    "Operator",
    "Quantization",
    "Reshape",
    "Softmax",
    "Tensor",
]

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


@dataclass(frozen=True)
class Quantization:
    """`real = scale * (stored - zero_point)`, for the whole tensor or for each index along `axis`.

    `scale` holds float32 values; with `axis` None both tuples have one entry, otherwise one per index.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the network. `dtype` is numpy's name for the element type, or the file's where numpy has none.

    `data` is set for constants only, and read-only. Compared by identity: `data` is an array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: npt.NDArray[Any] | None = field(default=None, repr=False)
    is_variable: bool = False

    @property
    def scale(self) -> float:
        """The scale of a tensor quantized as a whole; `ValueError` otherwise."""
        return self._whole().scale[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a tensor quantized as a whole; `ValueError` otherwise."""
        return self._whole().zero_point[0]

    @property
    def per_axis(self) -> bool:
        """Whether scales and zero points differ along an axis."""
        return self.quantization is not None and self.quantization.axis is not None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def _whole(self) -> Quantization:
        if self.quantization is None or self.quantization.axis is not None:
            raise ValueError(f"tensor {self.name!r} has no single scale and zero point: {self.quantization}")
        return self.quantization


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What all operators have: position and name in the model, and the tensor they define.

    `index` counts the model's operators from 0; `name` is `INDEX:KIND`.
    """

    KIND: ClassVar[str]
    READS: ClassVar[tuple[str, ...]]

    index: int
    name: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read, constants included, absent ones left out."""
        names = (getattr(self, role) for role in self.READS)
        return tuple(name for name in names if name is not None)


@dataclass(frozen=True, kw_only=True)
class Conv2D(Operator):
    """A convolution, grouped if the weights have fewer channels than the input.

    `input` [batch, height, width, channels], `weights` [filters, kernel y, kernel x, channels / groups] with zero
    point 0, `bias` int32 [filters]. Pairs are (y, x), `padding` is (top, left, bottom, right), `clamp` the inclusive
    int8 range of the fused activation. `multipliers` and `shifts` have one entry per filter (see
    `tilewright.sim.arithmetic`); double rounding.
    """

    KIND = "CONV_2D"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    stride: Pair
    dilation: Pair
    padding: Padding
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class DepthwiseConv2D(Operator):
    """A depthwise convolution: as `Conv2D`, with `weights` [1, kernel y, kernel x, channels * channel multiplier].

    Output channel `c * m + j` is made from input channel c alone.
    """

    KIND = "DEPTHWISE_CONV_2D"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    stride: Pair
    dilation: Pair
    padding: Padding
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Operator):
    """A matrix product: `input` read as [batch, depth], `weights` [outputs, depth], `bias` int32 [outputs].

    The reference kernel requantizes in float64 with `scales`, one per output: that is the exact result. `multipliers`
    and `shifts` are the same factors as integers, for single rounding; the two can differ next to ties. `keep_dims`
    says that the output keeps the input's leading dimensions. The weights may be an activation.
    """

    KIND = "FULLY_CONNECTED"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    scales: tuple[float, ...]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair
    keep_dims: bool = False


@dataclass(frozen=True, kw_only=True)
class Add(Operator):
    """The sum of two tensors, which broadcast; multipliers and shifts are (first, second, output); double rounding."""

    KIND = "ADD"
    READS = ("first", "second")

    first: str
    second: str
    multipliers: tuple[int, int, int]
    shifts: tuple[int, int, int]
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class AveragePool2D(Operator):
    """The mean of each window's elements inside the image. Input and output count as equally quantized."""

    KIND = "AVERAGE_POOL_2D"
    READS = ("input",)

    input: str
    kernel: Pair
    stride: Pair
    padding: Padding
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class MaxPool2D(Operator):
    """The largest of each window's elements inside the image. Input and output count as equally quantized."""

    KIND = "MAX_POOL_2D"
    READS = ("input",)

    input: str
    kernel: Pair
    stride: Pair
    padding: Padding
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class Reshape(Operator):
    """The same elements in another shape; `shape` has no open dimension."""

    KIND = "RESHAPE"
    READS = ("input",)

    input: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """Softmax over the last axis in fixed point, with the arguments of `tilewright.sim.operators.softmax`."""

    KIND = "SOFTMAX"
    READS = ("input",)

    input: str
    multiplier: int
    shift: int
    diff_min: int


@dataclass(frozen=True, eq=False)
class Graph:
    """A network. `tensors` keeps the model's order, `operators` an order of execution.

    `notes` says, one line each, what the importer read although the file had it wrong.
    """

    name: str
    tensors: Mapping[str, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def producer(self, tensor: str) -> Operator | None:
        """The operator that defines a tensor; None for inputs and constants."""
        return next((operator for operator in self.operators if operator.output == tensor), None)

    def consumers(self, tensor: str) -> tuple[Operator, ...]:
        """The operators that read a tensor, in order."""
        return tuple(operator for operator in self.operators if tensor in operator.inputs)
