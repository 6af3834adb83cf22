"""Small models of the families that people run on boards, written as `.tflite` files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .models import NONE, RELU6, SAME, VALID, ModelBuilder


class FamilyBuilder(ModelBuilder):
    """Operators with plausible scales and random weights; tensors are known by index, shapes and scales are looked up."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(self.subgraph.tensors[tensor].shape)

    def quantized(self, tensor: int) -> tuple[float, int]:
        found = self.subgraph.tensors[tensor].quantization
        return float(found.scale[0]), int(found.zeroPoint[0])

    def activation(self, shape: Sequence[int], like: int | None = None) -> int:
        scale, point = (float(self.random.uniform(0.03, 0.06)), int(self.random.integers(-20, 20)))
        return self.tensor(shape, *(self.quantized(like) if like is not None else (scale, point)))

    def conv(self, source: int, filters: int, kernel: int | tuple[int, int] = 1, stride: int = 1, padding: int = SAME,
             activation: int = RELU6, like: int | None = None) -> int:  # fmt: skip
        _, height, width, channels = self.shape(source)
        kernel_y, kernel_x = (kernel, kernel) if isinstance(kernel, int) else kernel
        weights = self._weights((filters, kernel_y, kernel_x, channels), 0, kernel_y * kernel_x * channels, source)
        options = schema.Conv2DOptionsT(
            padding=padding, strideH=stride, strideW=stride, dilationHFactor=1, dilationWFactor=1,
            fusedActivationFunction=activation,
        )  # fmt: skip
        size = self._size((height, width), (kernel_y, kernel_x), stride, padding)
        return self.operator("CONV_2D", [source, *weights], self.activation((1, *size, filters), like), options)

    def depthwise(self, source: int, kernel: int = 3, stride: int = 1, padding: int = SAME) -> int:
        _, height, width, channels = self.shape(source)
        weights = self._weights((1, kernel, kernel, channels), 3, kernel * kernel, source)
        options = schema.DepthwiseConv2DOptionsT(
            padding=padding, strideH=stride, strideW=stride, depthMultiplier=1, dilationHFactor=1, dilationWFactor=1,
            fusedActivationFunction=RELU6,
        )  # fmt: skip
        size = self._size((height, width), (kernel, kernel), stride, padding)
        return self.operator("DEPTHWISE_CONV_2D", [source, *weights], self.activation((1, *size, channels)), options)

    def transpose_conv(self, source: int, filters: int) -> int:
        """2 x 2 with stride 2."""
        _, height, width, channels = self.shape(source)
        shape = self.constant(np.array([1, 2 * height, 2 * width, filters], np.int32))
        weights, bias = self._weights((filters, 2, 2, channels), 0, channels, source)
        options = schema.TransposeConvOptionsT(padding=SAME, strideH=2, strideW=2)
        output = self.activation((1, 2 * height, 2 * width, filters))
        return self.operator("TRANSPOSE_CONV", [shape, weights, source, bias], output, options)

    def dense(self, source: int, outputs: int) -> int:
        depth = int(np.prod(self.shape(source)))
        data = self.random.integers(-127, 128, (outputs, depth)).astype(np.int8)
        weights = self.constant(data, 0.02 / np.sqrt(depth))
        bias = self.constant(self.random.integers(-500, 500, outputs).astype(np.int32), 1e-4)
        output = self.activation((1, outputs))
        return self.operator("FULLY_CONNECTED", [source, weights, bias], output, schema.FullyConnectedOptionsT())

    def pool(self, kind: str, source: int, kernel: int, stride: int, padding: int = VALID) -> int:
        _, height, width, channels = self.shape(source)
        options = schema.Pool2DOptionsT(padding=padding, strideH=stride, strideW=stride, filterHeight=kernel, filterWidth=kernel)
        size = self._size((height, width), (kernel, kernel), stride, padding)
        return self.operator(kind, [source], self.activation((1, *size, channels), source), options)

    def pad(self, source: int, *padding: tuple[int, int]) -> int:
        shape = [length + sum(pair) for length, pair in zip(self.shape(source), padding, strict=True)]
        sizes = self.constant(np.array(padding, np.int32))
        return self.operator("PAD", [source, sizes], self.activation(shape, source), schema.PadOptionsT())

    def add(self, first: int, second: int) -> int:
        return self.operator("ADD", [first, second], self.activation(self.shape(first)), schema.AddOptionsT())

    def mul(self, first: int, second: int) -> int:
        return self.operator("MUL", [first, second], self.activation(self.shape(first)), schema.MulOptionsT())

    def concatenate(self, *parts: int, axis: int = 3) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        options = schema.ConcatenationOptionsT(axis=axis, fusedActivationFunction=NONE)
        return self.operator("CONCATENATION", list(parts), self.activation(shape, parts[0]), options)

    def table(self, kind: str, source: int, options: Any = None) -> int:
        output = self.tensor(self.shape(source), 1 / 256, -128) if kind == "LOGISTIC" else self.activation(self.shape(source))
        return self.operator(kind, [source], output, options)

    def mean(self, source: int) -> int:
        """Over rows and columns, which stay."""
        axes = self.constant(np.array([1, 2], np.int32))
        shape = (1, 1, 1, self.shape(source)[3])
        return self.operator("MEAN", [source, axes], self.activation(shape), schema.ReducerOptionsT(keepDims=True))

    def nearest(self, source: int) -> int:
        """Twice as large."""
        _, height, width, channels = self.shape(source)
        size = self.constant(np.array([2 * height, 2 * width], np.int32))
        output = self.activation((1, 2 * height, 2 * width, channels), source)
        return self.operator("RESIZE_NEAREST_NEIGHBOR", [source, size], output, schema.ResizeNearestNeighborOptionsT())

    def reshape(self, source: int, *shape: int) -> int:
        wanted = self.constant(np.array(shape, np.int32))
        options = schema.ReshapeOptionsT(newShape=list(shape))
        return self.operator("RESHAPE", [source, wanted], self.activation(shape, source), options)

    def softmax(self, source: int) -> int:
        output = self.tensor(self.shape(source), 1 / 256, -128)
        return self.operator("SOFTMAX", [source], output, schema.SoftmaxOptionsT(beta=1.0))

    def _weights(self, shape: tuple[int, ...], axis: int, terms: int, source: int) -> list[int]:
        """Weights per channel and a bias that leave results of a few units."""
        data = self.random.integers(-127, 128, shape).astype(np.int8)
        scales = self.random.uniform(0.5, 1.5, shape[axis]) * 0.03 / np.sqrt(terms)
        bias = self.random.integers(-1000, 1000, shape[axis]).astype(np.int32)
        return [
            self.constant(data, scales, axis=axis),
            self.constant(bias, scales * self.quantized(source)[0]),
        ]

    @staticmethod
    def _size(size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> tuple[int, int]:
        if padding == SAME:
            return -(-size[0] // stride), -(-size[1] // stride)
        return (size[0] - kernel[0]) // stride + 1, (size[1] - kernel[1]) // stride + 1


def speech() -> bytes:
    """As micro_speech: one wide convolution of a spectrogram."""
    builder = FamilyBuilder(1)
    image = builder.reshape(builder.input((1, 490), 0.1, -128), 1, 49, 10, 1)
    return builder.build(builder.softmax(builder.dense(builder.conv(image, 8, (10, 8), stride=2), 4)))


def person() -> bytes:
    """As person detection: a MobileNet of a grey image."""
    builder = FamilyBuilder(2)
    image = builder.conv(builder.input((1, 24, 24, 1), 0.04, -1), 8, 3, stride=2)
    for filters, stride in ((16, 1), (24, 2), (32, 2)):
        image = builder.conv(builder.depthwise(image, stride=stride), filters)
    image = builder.conv(builder.pool("AVERAGE_POOL_2D", image, 3, 3), 2, activation=NONE)
    return builder.build(builder.softmax(builder.reshape(image, 1, 2)))


def detector() -> bytes:
    """As the heads of an SSD: boxes and scores of two scales, joined."""
    builder = FamilyBuilder(3)
    large = builder.conv(builder.input((1, 16, 16, 3), 0.04, 0), 16, 3, stride=2)
    small = builder.conv(builder.depthwise(large, stride=2), 24)
    boxes, scores = [], []
    for image in (large, small):
        size = 3 * int(np.prod(builder.shape(image)[1:3]))
        box = builder.conv(image, 12, 1, activation=NONE, like=boxes[0] if boxes else None)
        boxes.append(builder.reshape(box, 1, size, 4))
        score = builder.conv(image, 6, 3, activation=NONE, like=scores[0] if scores else None)
        scores.append(builder.reshape(score, 1, size, 2))
    found = builder.concatenate(*boxes, axis=1), builder.table("LOGISTIC", builder.concatenate(*scores, axis=1))
    return builder.build(*found)


def resnet() -> bytes:
    """As ResNet-18: explicit borders, strides, and a projection beside them."""
    builder = FamilyBuilder(4)
    border = ((0, 0), (1, 1), (1, 1), (0, 0))
    image = builder.input((1, 21, 21, 3), 0.04, 5)
    image = builder.conv(builder.pad(image, (0, 0), (3, 3), (3, 3), (0, 0)), 16, 7, stride=2, padding=VALID)
    image = builder.pool("MAX_POOL_2D", builder.pad(image, *border), 3, 2)
    for filters, stride in ((16, 1), (24, 2)):
        inner = builder.conv(builder.pad(image, *border), filters, 3, stride=stride, padding=VALID)
        inner = builder.conv(builder.pad(inner, *border), filters, 3, padding=VALID, activation=NONE)
        beside = image if stride == 1 else builder.conv(image, filters, 1, stride=2, activation=NONE)
        image = builder.table("RELU", builder.add(inner, beside))
    return builder.build(builder.dense(builder.mean(image), 10))


def unet(transposed: bool) -> bytes:
    """As U-Net: down, up by a transposed convolution or by resizing, and joined with what was on the way."""
    builder = FamilyBuilder(5)
    top = builder.conv(builder.input((1, 12, 12, 3), 0.04, 5), 16, 3)
    below = builder.conv(builder.pool("MAX_POOL_2D", top, 2, 2), 16, 3)
    risen = builder.transpose_conv(below, 16) if transposed else builder.nearest(below)
    again = builder.conv(risen, 16, 1, like=top)
    return builder.build(builder.conv(builder.conv(builder.concatenate(top, again), 8, 3), 2, 1, activation=NONE))


def yolo() -> bytes:
    """As tiny YOLO: leaky convolutions, a pool of stride 1, and two heads."""
    builder = FamilyBuilder(6)

    def leaky(source: int, filters: int, kernel: int) -> int:
        result = builder.conv(source, filters, kernel, activation=NONE)
        return builder.table("LEAKY_RELU", result, schema.LeakyReluOptionsT(alpha=0.1))

    early = leaky(builder.pool("MAX_POOL_2D", leaky(builder.input((1, 16, 16, 3), 0.04, 5), 8, 3), 2, 2), 16, 3)
    late = builder.pool("MAX_POOL_2D", leaky(builder.pool("MAX_POOL_2D", early, 2, 2), 16, 3), 2, 1, SAME)
    head = builder.conv(late, 21, 1, activation=NONE)
    risen = builder.nearest(builder.conv(late, 16, 1, like=early))
    return builder.build(head, builder.conv(builder.concatenate(risen, early), 21, 1, activation=NONE))


def efficient() -> bytes:
    """As EfficientNet: an inverted block with hard swish, squeezed and excited."""
    builder = FamilyBuilder(7)
    image = builder.conv(builder.input((1, 12, 12, 3), 0.04, 5), 16, 3, stride=2, activation=NONE)
    wide = builder.table("HARD_SWISH", builder.conv(image, 48, 1, activation=NONE))
    wide = builder.depthwise(wide, 5)
    gate = builder.conv(builder.conv(builder.mean(wide), 8, 1), 48, 1, activation=NONE)
    excited = builder.mul(wide, builder.table("LOGISTIC", gate))
    image = builder.add(builder.conv(excited, 16, 1, activation=NONE), image)
    return builder.build(builder.dense(builder.mean(image), 5))


def sequence() -> bytes:
    """One-dimensional convolutions, as Keras writes them."""
    builder = FamilyBuilder(8)
    source = builder.input((1, 40, 6), 0.04, 5)
    for filters in (12, 16):
        axis = builder.constant(np.array(1, np.int32))
        shape = (1, 1, *builder.shape(source)[1:])
        image = builder.operator("EXPAND_DIMS", [source, axis], builder.activation(shape, source), schema.ExpandDimsOptionsT())
        image = builder.conv(image, filters, (1, 5), stride=1)
        shape = builder.shape(image)
        source = builder.operator(
            "SQUEEZE", [image], builder.activation((1, *shape[2:]), image), schema.SqueezeOptionsT(squeezeDims=[1])
        )
    return builder.build(builder.dense(source, 5))


FAMILIES = {
    "speech": speech(),
    "person": person(),
    "detector": detector(),
    "resnet": resnet(),
    "unet_transposed": unet(True),
    "unet_resized": unet(False),
    "yolo": yolo(),
    "efficient": efficient(),
    "sequence": sequence(),
}
