"""Layers that run forward and backward in plain numpy, with results that are the same to the last bit everywhere.

A matrix product rounds in an order that depends on the BLAS, its threads and the processor. Operands are therefore
rounded first, by `snap`, to so few bits that each sum is exact in float64 and its order does not matter. Everything
else is addition, multiplication and division, element by element, which IEEE 754 defines to the last bit. It does not
define exp, for which softmax takes (1 + x / n) ** n.

Images are [N, H, W, C]. A layer's output for a batch comes with the function that takes gradients back through it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "Array",
    "AveragePool",
    "Backward",
    "Convolution",
    "Dense",
    "Depthwise",
    "Layer",
    "MaxPool",
    "Parameters",
    "Reshape",
    "Softmax",
    "Weighted",
]

Array = NDArray[np.float64]

Parameters = dict[str, Array]
"""Weights and biases in TensorFlow Lite's layouts, or their gradients, by name: `conv1.weight`, `conv1.bias`, ..."""

Backward = Callable[[Array], tuple[tuple[Array, ...], Parameters]]
"""From the gradient of a layer's output to those of its operands and those of its parameters."""

ProductBackward = Callable[[Array], tuple[Array, Array]]
"""From the gradient of weight times operand to those of operand and weight."""


def snap(values: Array) -> Array:
    """Round to a grid 20 bits below the next power of two above the largest magnitude.

    Sums of up to 8192 products of two snapped values are then exact in float64.
    """
    _, exponent = np.frexp(np.abs(values).max())
    step = math.ldexp(1.0, int(exponent) - 20)
    return np.rint(values / step) * step


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis of an image, as TensorFlow's SAME places them: the odd one goes after."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def taps(padded: Array, kernel: tuple[int, int], stride: int) -> Iterator[tuple[int, int, Array]]:
    """Row, column and what meets that weight of the kernel: a view [N, OH, OW, C] of padded images."""
    _, height, width, _ = padded.shape
    rows, cols = (height - kernel[0]) // stride + 1, (width - kernel[1]) // stride + 1
    for row in range(kernel[0]):
        for col in range(kernel[1]):
            yield row, col, padded[:, row : row + stride * rows : stride, col : col + stride * cols : stride]


@dataclass(frozen=True)
class Layer:
    """An operator: its name, which is also that of the tensor it makes, and the names of the tensors it reads."""

    name: str
    inputs: tuple[str, ...]

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        """The output for a batch of operands, and the way back from its gradient."""
        raise NotImplementedError  # every operator below has its own


@dataclass(frozen=True)
class Weighted(Layer):
    """An operator with a weight of the given shape, a bias per output channel and, unless told otherwise, ReLU."""

    shape: tuple[int, ...]
    relu: bool = True

    channel_axis = 0
    """The weight's axis of output channels."""

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return self.shape[self.channel_axis]

    @property
    def fan_in(self) -> int:
        """Number of products in one output element, those with padding included."""
        return math.prod(self.shape) // self.channels

    def product(self, weight: Array, operand: Array) -> tuple[Array, ProductBackward]:
        """Weight times operand, and the way back; both operands, and the gradient that comes back, are snapped."""
        raise NotImplementedError  # every weighted operator below has its own

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        weight, bias = parameters[f"{self.name}.weight"], parameters[f"{self.name}.bias"]
        product, product_backward = self.product(snap(weight), snap(operands[0]))
        output = np.maximum(product + bias, 0.0) if self.relu else product + bias

        def backward(gradient: Array) -> tuple[tuple[Array, ...], Parameters]:
            gradient = snap(gradient * (output > 0) if self.relu else gradient)
            operand_gradient, weight_gradient = product_backward(gradient)
            bias_gradient = gradient.sum(axis=tuple(range(gradient.ndim - 1)))
            return (operand_gradient,), {f"{self.name}.weight": weight_gradient, f"{self.name}.bias": bias_gradient}

        return output, backward


@dataclass(frozen=True)
class Convolution(Weighted):
    """Convolution with SAME padding; the weight is [outputs, rows, cols, inputs]."""

    stride: int = 1

    def tap_product(self, tap: Array, weight: Array) -> Array:
        """What one tap [N, OH, OW, inputs] adds to the output, for its weight [outputs, inputs]."""
        return np.tensordot(tap, weight, axes=(3, 1))

    def tap_gradients(self, tap: Array, weight: Array, gradient: Array) -> tuple[Array, Array]:
        """Gradients of a tap and of its weight, from that of the output."""
        positions = 0, 1, 2
        return np.tensordot(gradient, weight, axes=(3, 0)), np.tensordot(gradient, tap, axes=(positions, positions))

    def product(self, weight: Array, operand: Array) -> tuple[Array, ProductBackward]:
        _, height, width, _ = operand.shape
        kernel = self.shape[1], self.shape[2]
        top, bottom = same_padding(height, kernel[0], self.stride)
        left, right = same_padding(width, kernel[1], self.stride)
        padded = np.pad(operand, ((0, 0), (top, bottom), (left, right), (0, 0)))

        def backward(gradient: Array) -> tuple[Array, Array]:
            padded_gradient, weight_gradient = np.zeros_like(padded), np.empty_like(weight)
            pairs = zip(taps(padded, kernel, self.stride), taps(padded_gradient, kernel, self.stride), strict=True)
            for (row, col, tap), (_, _, tap_gradient) in pairs:
                share, weight_gradient[:, row, col] = self.tap_gradients(tap, weight[:, row, col], gradient)
                tap_gradient += share
            return padded_gradient[:, top : top + height, left : left + width], weight_gradient

        shares = (self.tap_product(tap, weight[:, row, col]) for row, col, tap in taps(padded, kernel, self.stride))
        return sum(shares, np.zeros(1)), backward


@dataclass(frozen=True)
class Depthwise(Convolution):
    """Depthwise convolution with SAME padding; the weight is [1, rows, cols, channels]."""

    channel_axis = 3

    def tap_product(self, tap: Array, weight: Array) -> Array:
        return tap * weight

    def tap_gradients(self, tap: Array, weight: Array, gradient: Array) -> tuple[Array, Array]:
        return gradient * weight, (gradient * tap).sum(axis=(0, 1, 2))


@dataclass(frozen=True)
class Dense(Weighted):
    """Fully connected layer, [N, inputs] to [N, outputs]; the weight is [outputs, inputs]."""

    def product(self, weight: Array, operand: Array) -> tuple[Array, ProductBackward]:
        return operand @ weight.T, lambda gradient: (gradient @ weight, gradient.T @ operand)


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two tensors of one shape."""

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        first, second = operands
        return first + second, lambda gradient: ((gradient, gradient), {})


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over 2x2 windows; equal maxima, the rule on blank paper, share the gradient."""

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        (images,) = operands
        count, height, width, channels = images.shape
        windows = images.reshape(count, height // 2, 2, width // 2, 2, channels)
        maxima = windows.max(axis=(2, 4), keepdims=True)

        def backward(gradient: Array) -> tuple[tuple[Array, ...], Parameters]:
            winners = windows == maxima
            shares = gradient.reshape(maxima.shape) / winners.sum(axis=(2, 4), keepdims=True)
            return ((winners * shares).reshape(images.shape),), {}

        return maxima.reshape(count, height // 2, width // 2, channels), backward


@dataclass(frozen=True)
class AveragePool(Layer):
    """Mean over the whole image, [N, H, W, C] to [N, 1, 1, C]."""

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        (images,) = operands
        area = images.shape[1] * images.shape[2]
        means = snap(images).sum(axis=(1, 2), keepdims=True) / area
        return means, lambda gradient: ((np.broadcast_to(gradient / area, images.shape),), {})


@dataclass(frozen=True)
class Reshape(Layer):
    """All axes but the first in one, [N, 1, 1, C] to [N, C]."""

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        (images,) = operands
        return images.reshape(len(images), -1), lambda gradient: ((gradient.reshape(images.shape),), {})


@dataclass(frozen=True)
class Softmax(Layer):
    """Probabilities of classes, [N, classes].

    The way back takes the true probabilities instead of a gradient, and returns the gradient of the cross-entropy.
    """

    def run(self, parameters: Parameters, *operands: Array) -> tuple[Array, Backward]:
        (logits,) = operands
        powers = 1.0 + (logits - logits.max(axis=1, keepdims=True)) / 2**20
        for _ in range(20):
            powers = powers * powers
        powers = snap(powers)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        return probabilities, lambda truth: ((probabilities - truth,), {})
