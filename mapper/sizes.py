"""How large a network may be: what keeps memory and time bounded, whatever a file asks for.

The bounds are far above what an accelerator with at most 256 KiB on chip is for. They hold for the operators that numpy
computes too: at 64 bytes for each element on the way, a tensor of the largest size takes half a gigabyte.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UnsupportedError
from .ir import (
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    MaxPool2D,
    Operator,
    Tensor,
    TransposeConv,
    UnidirectionalSequenceLstm,
)
from .macs import count_macs

__all__ = ["MOST_DIMENSIONS", "MOST_ELEMENTS", "MOST_FILE_BYTES", "Sizes"]

MOST_DIMENSIONS = 8
MOST_ELEMENTS = 1 << 23
"""Of a tensor, its padding included."""

MOST_FILE_BYTES = 1 << 28
"""Of a file, and of the data that lies beside it."""

_MOST_BYTES = 1 << 27
"""Of all activations together, and of all constants that are computed."""

_MOST_WORK = 1 << 36
"""Multiplications, or elements that pools look at."""

_MOST_FOLDED = 1 << 30
"""Work on constants, which is done when the model is read."""

_LEAST_WORK = 1 << 12
"""A call of numpy takes as long as this much work."""

_HINT = "export the model for smaller images, or cut it into several"


class Sizes:
    """The sum so far of what a network's operators ask for."""

    def __init__(self) -> None:
        self._bytes = 0
        self._work = 0
        self._folded = 0
        self._constants = 0

    def hold(self, constant: npt.NDArray[Any], kind: str, where: str) -> None:
        """Raise `UnsupportedError` if the constants that are computed when a model is read take too much memory."""
        self._constants += constant.nbytes
        if self._constants > _MOST_BYTES:
            reason = f"folded constants up to here take {self._constants:,} bytes, more than {_MOST_BYTES:,}"
            raise UnsupportedError(kind, where, reason, _HINT)

    def check(self, operator: Operator, tensors: Mapping[str, Tensor]) -> None:
        """Raise `UnsupportedError` if an operator asks for too much, by itself or with those before it."""
        touched = [tensors[name] for name in dict.fromkeys((*operator.inputs, *operator.outputs))]
        for tensor in touched:
            # A dimension of 0 must not hide that another is absurd.
            size = math.prod(max(1, length) for length in tensor.shape)
            if tensor.data is None and size > MOST_ELEMENTS:
                raise _refused(operator, f"tensor {tensor.name!r} of shape {list(tensor.shape)} has", size, MOST_ELEMENTS)
            if len(tensor.shape) > MOST_DIMENSIONS:
                raise _refused(operator, f"tensor {tensor.name!r} has", len(tensor.shape), MOST_DIMENSIONS, "dimensions")
        padded = _padded_size(operator, tensors)
        if padded > MOST_ELEMENTS:
            raise _refused(operator, "its input with padding has", padded, MOST_ELEMENTS)
        work = max(count_macs(operator, tensors), _steps(operator, tensors) * _LEAST_WORK)
        self._work += work
        if self._work > _MOST_WORK:
            raise _refused(operator, "the network up to here takes", self._work, _MOST_WORK, "multiplications")
        if all(tensors[name].data is not None for name in operator.inputs):
            self._folded += work + sum(tensor.size for tensor in touched)
            if self._folded > _MOST_FOLDED:
                raise _refused(operator, "folding constants up to here takes", self._folded, _MOST_FOLDED, "steps")
        self._bytes += sum(tensors[name].size * np.dtype(tensors[name].dtype).itemsize for name in operator.outputs)
        if self._bytes > _MOST_BYTES:
            raise _refused(operator, "the activations up to here take", self._bytes, _MOST_BYTES, "bytes")


def _refused(operator: Operator, what: str, size: int, most: int, unit: str = "elements") -> UnsupportedError:
    where = f"operator {operator.index} (tensor {operator.output!r})"
    return UnsupportedError(operator.kind, where, f"{what} {size:,} {unit}, more than {most:,}", _HINT)


def _padded_size(operator: Operator, tensors: Mapping[str, Tensor]) -> int:
    """Elements of the image that a window walks over."""
    match operator:
        case Conv2D() | DepthwiseConv2D() | AveragePool2D() | MaxPool2D():
            batch, height, width, channels = tensors[operator.input].shape
            top, left, bottom, right = operator.padding
            return batch * (top + height + bottom) * (left + width + right) * channels
        case TransposeConv():
            (batch, height, width, _), (_, *kernel, _) = tensors[operator.input].shape, tensors[operator.weights].shape
            rows = max((height - 1) * operator.stride[0] + kernel[0], operator.padding[0] + operator.size[0])
            columns = max((width - 1) * operator.stride[1] + kernel[1], operator.padding[1] + operator.size[1])
            return batch * rows * columns * tensors[operator.output].shape[3]
    return 0


def _steps(operator: Operator, tensors: Mapping[str, Tensor]) -> int:
    """Calls of numpy that an operator takes: the positions of a window, the time steps of an LSTM."""
    output = tensors[operator.output]
    match operator:
        case AveragePool2D() | MaxPool2D():
            return math.prod(operator.kernel) * -(-output.size // _LEAST_WORK)
        case Conv2D() | DepthwiseConv2D() | TransposeConv():
            _, *kernel, depth = tensors[operator.weights].shape
            groups = tensors[operator.input].shape[3] // depth if isinstance(operator, Conv2D) else 1
            return math.prod(kernel) * groups
        case UnidirectionalSequenceLstm():
            return math.prod(output.shape[:2])
    return 1
