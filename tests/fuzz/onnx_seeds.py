"""Small sound ONNX models to start from; together they have most operators."""

import numpy as np

from ..onnx_models import QdqBuilder

__all__ = ["onnx_models"]


def onnx_models() -> list[bytes]:
    """Convolutions and pools, products, movements, functions, and shapes that are computed."""
    return [_image(), _products(), _movements(), _functions(), _shapes()]


def _ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.int8)


def _integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def _image() -> bytes:
    """uint8, with a residual and a bias."""
    builder = QdqBuilder()

    def stored(name: str, scale: float = 0.5, point: int = 120) -> str:
        return builder.quantized(name, scale, point, "uint8")

    image = builder.activation(("batch", 3, 6, 5), 0.5, 128, "uint8")
    bias = builder.weights(np.arange(4, dtype=np.int32), [0.005] * 4, axis=0)
    weights = builder.weights(_ones(4, 3, 3, 3), [0.01] * 4, axis=0)
    first = stored(builder.node("Relu", builder.node("Conv", image, weights, bias, pads=[1, 1, 1, 1])))
    weights = builder.weights(_ones(4, 1, 3, 3), 0.01)
    second = stored(builder.node("Conv", first, weights, pads=[1, 1, 1, 1], group=4))
    wide = stored(builder.node("Add", first, second))
    small = builder.node("MaxPool", wide, kernel_shape=[2, 2], strides=[2, 2])
    weights = builder.weights(_ones(4, 3, 2, 2), 0.01)
    large = stored(builder.node("ConvTranspose", small, weights, strides=[2, 2]))
    pooled = stored(builder.node("AveragePool", large, kernel_shape=[2, 2], strides=[1, 2], ceil_mode=1))
    flat = builder.node("Flatten", stored(builder.node("GlobalAveragePool", pooled)))
    return builder.build(flat, stored(builder.node("GlobalMaxPool", wide)))


def _products() -> bytes:
    """Matrices, a softmax, and constants as operands."""
    builder = QdqBuilder()
    rows = builder.activation((3, 8), 0.05, 4)
    matrix = builder.weights(_ones(6, 8), [0.02] * 6, axis=0)
    product = builder.quantized(builder.node("Gemm", rows, matrix, builder.constant(np.ones(6, np.float32)), transB=1), 0.1)
    matrix = builder.quantized(builder.constant(np.ones((6, 5), np.float32)), 0.02)
    summed = builder.node("Add", builder.node("MatMul", product, matrix), builder.constant(np.ones(5, np.float32)))
    clipped = builder.node("Clip", summed, builder.constant(np.float32(-1)), builder.constant(np.float32(6)))
    product = builder.quantized(clipped, 0.05, -3)
    scaled = builder.quantized(builder.node("Mul", product, builder.weights(_ones(3, 1), 0.1)), 0.1)
    square = builder.node("MatMul", scaled, builder.node("Transpose", scaled, perm=[1, 0]))
    soft = builder.quantized(builder.node("Softmax", builder.quantized(square, 0.1)), 1 / 256, -128)
    means = builder.quantized(builder.node("ReduceMean", soft, axes=[1], keepdims=0), 1 / 256, -128)
    return builder.build(means, builder.node("ArgMax", soft, axis=1))


def _movements() -> bytes:
    """One tensor moved in many ways, and joined again."""
    builder = QdqBuilder()

    def same(name: str) -> str:
        return builder.quantized(name, 0.5, 3)

    image = builder.activation((1, 4, 4, 6), 0.5, 3)
    padded = same(builder.node("Pad", image, builder.constant(_integers(0, 0, 1, 0, 0, 0, 1, 0))))
    cut = [builder.constant(_integers(*numbers)) for numbers in ((1, 5), (5, -7), (2, 3), (1, -1))]
    part = same(builder.node("Slice", padded, *cut))
    halves = builder.node("Split", part, builder.constant(_integers(1, 3)), outputs=2, axis=1)
    joined = same(builder.node("Concat", *map(same, halves), same(halves[0]), axis=1))
    picked = same(builder.node("Gather", joined, builder.constant(_integers(3, -1, 0, 0)), axis=1))
    deep = same(builder.node("DepthToSpace", picked, blocksize=2, mode="CRD"))
    deep = same(builder.node("SpaceToDepth", deep, blocksize=2))
    sizes = builder.constant(_integers(1, 4, 7, 4))
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    large = same(builder.node("Resize", deep, "", "", sizes, **attributes))
    scales = builder.constant(np.array([1, 1, 2, 2], np.float32))
    large = same(builder.node("Resize", large, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"))
    turned = builder.node("Transpose", large, perm=[0, 2, 3, 1])
    flat = builder.node("Reshape", turned, builder.constant(_integers(0, -1)))
    return builder.build(builder.node("Squeeze", builder.node("Unsqueeze", flat, builder.constant(_integers(1)))))


def _functions() -> bytes:
    """Functions of single elements."""
    builder = QdqBuilder()
    value = builder.activation((2, 3), 0.05, -7)
    attributes = {"LeakyRelu": {"alpha": 0.1}, "HardSigmoid": {"alpha": 0.15}, "Elu": {"alpha": 0.5}}
    kinds = ("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Exp", "Abs", "Sqrt", "Erf", "Softplus", "Floor")
    for kind in kinds:
        value = builder.quantized(builder.node(kind, value, **attributes.get(kind, {})), 0.05, -7)
    for kind in ("Mul", "Sub", "Div", "Pow", "Max", "Min"):
        value = builder.quantized(builder.node(kind, value, builder.constant(np.float32(1.5))), 0.05, -7)
    return builder.build(builder.quantized(builder.node("Sub", value, builder.activation((3,), 0.1)), 0.1))


def _shapes() -> bytes:
    """Constants that are computed when the model is read."""
    builder = QdqBuilder()
    image = builder.activation((1, 4, 4, 6), 0.5, 3)
    shape = builder.node("Shape", image)
    rows = builder.node("Gather", shape, builder.constant(_integers(2)), axis=0)
    rows = builder.node("Div", builder.node("Mul", rows, builder.constant(_integers(6))), builder.constant(_integers(6)))
    wanted = builder.node("Concat", builder.constant(_integers(1, -1)), builder.node("Cast", rows, to=7), axis=0)
    flat = builder.node("Reshape", image, wanted)
    tail = builder.node("Slice", shape, *(builder.constant(_integers(number)) for number in (1, 3, 0)))
    ones = builder.node("ConstantOfShape", builder.node("Neg", builder.node("Sub", tail, builder.node("Add", tail, tail))))
    counted = builder.node("Range", *(builder.constant(np.int64(number)) for number in (0, 4, 1)))
    counted = builder.node("Expand", builder.node("Unsqueeze", counted, builder.constant(_integers(0))), tail)
    real = builder.node("Sqrt", builder.node("Floor", builder.node("Cast", counted, to=1)))
    chosen = builder.node("Where", builder.node("Equal", counted, counted), real, ones)
    stored = builder.quantized(builder.node("Squeeze", builder.node("Unsqueeze", chosen, builder.constant(_integers(0)))), 0.5, 3)
    product = builder.node("MatMul", builder.quantized(flat, 0.5, 3), stored)
    return builder.build(builder.quantized(product, 0.5, 3))
