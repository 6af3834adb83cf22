"""Operators of ONNX against ONNX Runtime: one step of the output at most, and none where nothing is rounded twice."""

import numpy as np
import pytest

from ..onnx_models import QdqBuilder
from .onnx_checks import check

RANDOM = np.random.default_rng(3)


def int8(*shape: int) -> np.ndarray:
    return RANDOM.integers(-127, 128, shape).astype(np.int8)


def scales(count: int) -> np.ndarray:
    return RANDOM.uniform(0.002, 0.02, count).astype(np.float32)


def bias(count: int, scale: object) -> tuple[np.ndarray, object]:
    return RANDOM.integers(-9000, 9000, count).astype(np.int32), scale


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("channels", "weights", "attributes"),
    [
        (3, (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
        (3, (5, 3, 3, 3), {"pads": [0, 1, 1, 2], "strides": [2, 2]}),
        (4, (6, 4, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
        (4, (6, 4, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
        (4, (6, 4, 2, 2), {"auto_pad": "VALID", "dilations": [2, 3]}),
        (6, (6, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 6}),
        (6, (12, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 6, "strides": [2, 2]}),
        (6, (4, 3, 1, 1), {"group": 2}),
        (1, (4, 1, 5, 5), {"pads": [2, 2, 2, 2]}),
    ],
)
def test_conv(dtype, channels, weights, attributes):
    builder = QdqBuilder()
    point = 9 if dtype == "int8" else 131
    source = builder.activation((1, channels, 9, 8), 0.05, point, dtype)
    per_channel = scales(weights[0])
    data = builder.weights(int8(*weights), per_channel, axis=0)
    added = builder.weights(*bias(weights[0], (per_channel * np.float32(0.05)).astype(np.float32)), axis=0)
    result = builder.node("Conv", source, data, added, **attributes)
    check(builder, builder.quantized(result, 0.3, point, dtype))


def test_conv_without_bias_and_with_weights_quantized_as_a_whole():
    builder = QdqBuilder()
    source = builder.activation((2, 4, 6, 6), 0.05, -7)
    result = builder.node("Conv", source, builder.weights(int8(5, 4, 3, 3), 0.01))
    check(builder, builder.quantized(result, 0.2, 3))


def test_conv_with_uint8_weights_and_a_float_bias():
    builder = QdqBuilder()
    source = builder.activation((1, 4, 6, 6), 0.05, 120, "uint8")
    data = RANDOM.integers(0, 256, (5, 4, 3, 3)).astype(np.uint8)
    result = builder.node("Conv", source, builder.weights(data, 0.01, 128), builder.constant(scales(5) * 100))
    check(builder, builder.quantized(result, 0.2, 130, "uint8"))


def test_weights_whose_zero_point_leaves_int8_go_to_the_host():
    builder = QdqBuilder()
    source = builder.activation((1, 4, 6, 6), 0.05, 120, "uint8")
    data = RANDOM.integers(0, 256, (5, 4, 3, 3)).astype(np.uint8)
    check(builder, builder.quantized(builder.node("Conv", source, builder.weights(data, 0.01, 117)), 0.3, 130, "uint8"))


def test_weights_that_the_model_quantizes_itself():
    builder = QdqBuilder()
    source = builder.activation((1, 4, 6, 6), 0.05)
    real = builder.constant(RANDOM.normal(0, 1, (5, 4, 3, 3)).astype(np.float32))
    result = builder.node("Conv", source, builder.quantized(real, 0.02))
    check(builder, builder.quantized(result, 0.2, 3))


def test_conv_of_rows():
    builder = QdqBuilder()
    source = builder.activation((1, 4, 20), 0.05, 5)
    result = builder.node("Conv", source, builder.weights(int8(6, 4, 3), scales(6), axis=0), pads=[1, 1], strides=[2])
    check(builder, builder.quantized(result, 0.2, 3))


@pytest.mark.parametrize("bounds", [None, (0.0, 6.0), (-1.0, 1.0)])
def test_clamps_go_into_the_convolution(bounds):
    builder = QdqBuilder()
    source = builder.activation((1, 4, 6, 6), 0.05)
    result = builder.node("Conv", source, builder.weights(int8(6, 4, 1, 1), scales(6), axis=0))
    if bounds is None:
        result = builder.node("Relu", result)
    else:
        result = builder.node("Clip", result, *(builder.constant(np.float32(bound)) for bound in bounds))
    graph = check(builder, builder.quantized(result, 0.03, -20))
    assert [operator.kind for operator in graph.operators] == ["QUANTIZE", "TRANSPOSE", "CONV_2D", "TRANSPOSE", "DEQUANTIZE"]


def test_a_bias_beyond_32_bits_is_limited():
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05)
    small = np.array([1e-9, 0.001], np.float32)
    steps = (small * np.float32(0.05)).astype(np.float32)
    added = np.array([2**31 - 1, 100], np.int32)
    result = builder.node("Conv", source, builder.weights(int8(2, 3, 3, 3), small, axis=0), builder.weights(added, steps, axis=0))
    check(builder, builder.quantized(result, 0.02))


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed):
    builder = QdqBuilder()
    source = builder.activation((3, 24), 0.05, 4)
    data = int8(7, 24) if transposed else int8(24, 7)
    weights = builder.weights(data, scales(7), axis=0 if transposed else 1)
    result = builder.node("Gemm", source, weights, builder.constant(scales(7)), transB=transposed, alpha=0.5, beta=2.0)
    check(builder, builder.quantized(result, 0.1, -3))


@pytest.mark.parametrize("shape", [(3, 24), (2, 5, 24)])
def test_matmul_with_weights_and_a_bias(shape):
    builder = QdqBuilder()
    source = builder.activation(shape, 0.05, 4)
    result = builder.node("MatMul", source, builder.weights(int8(24, 7), scales(7), axis=1))
    result = builder.node("Add", result, builder.constant(scales(7) * 50))
    check(builder, builder.quantized(result, 0.1, -3))


def test_matmul_of_activations():
    builder = QdqBuilder()
    first, second = builder.activation((2, 3, 8), 0.05, 4), builder.activation((2, 8, 5), 0.03, -9)
    check(builder, builder.quantized(builder.node("MatMul", first, second), 0.1, -3))


@pytest.mark.parametrize("size", [(5, 6), (1, 2)])
def test_conv_transpose(size):
    builder = QdqBuilder()
    source = builder.activation((1, 4, *size), 0.05, 4)
    weights = builder.weights(int8(4, 3, 3, 3), scales(3), axis=1)
    attributes = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    check(builder, builder.quantized(builder.node("ConvTranspose", source, weights, **attributes), 0.1, -3))


def test_an_image_flattened_into_a_gemm_is_not_transposed():
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05, 4)
    image = builder.quantized(builder.node("Conv", source, builder.weights(int8(5, 3, 3, 3), scales(5), axis=0)), 0.2, 3)
    flat = builder.quantized(builder.node("Flatten", image), 0.2, 3)
    result = builder.node("Gemm", flat, builder.weights(int8(80, 7), 0.01))
    graph = check(builder, builder.quantized(result, 1.0))
    assert [operator.kind for operator in graph.operators].count("TRANSPOSE") == 1


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shapes", [((1, 4, 6, 5), (1, 4, 6, 5)), ((1, 4, 6, 5), (1, 4, 1, 1)), ((1, 4, 6, 5), (6, 5))])
def test_pairs(kind, dtype, shapes):
    builder = QdqBuilder()
    points = (9, -20, 5) if dtype == "int8" else (120, 140, 100)
    first = builder.activation(shapes[0], 0.05, points[0], dtype)
    second = builder.activation(shapes[1], 0.021, points[1], dtype)
    check(builder, builder.quantized(builder.node(kind, first, second), 0.06, points[2], dtype))


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_a_constant_operand(kind):
    builder = QdqBuilder()
    source = builder.activation((1, 4, 6, 5), 0.05, 9)
    second = builder.weights(int8(4, 1, 1), 0.02, 5)
    check(builder, builder.quantized(builder.node(kind, source, second), 0.06, -4))


def test_a_residual_behind_convolutions():
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05, 4)
    first = builder.quantized(builder.node("Conv", source, builder.weights(int8(8, 3, 1, 1), scales(8), axis=0)), 0.1, 3)
    weights = builder.weights(int8(8, 8, 3, 3), scales(8), axis=0)
    second = builder.quantized(builder.node("Conv", first, weights, pads=[1, 1, 1, 1]), 0.2, -3)
    check(builder, builder.quantized(builder.node("Relu", builder.node("Add", first, second)), 0.15, -100))


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("Relu", {}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("HardSigmoid", {"alpha": 0.15, "beta": 0.4}),
        ("HardSwish", {}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("Elu", {}),
        ("Exp", {}),
        ("Abs", {}),
        ("Neg", {}),
        ("Sqrt", {}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("Erf", {}),
        ("Mish", {}),
        ("Floor", {}),
        ("Ceil", {}),
        ("Round", {}),
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_functions(kind, attributes, dtype):
    builder = QdqBuilder(opset=18)
    points = {"int8": (9, 6), "uint8": (120, 117)}[dtype]
    if kind == "Sqrt":
        points = {"int8": (-128, -128), "uint8": (0, 0)}[dtype]
    source = builder.activation((1, 4, 12, 12), 0.031, points[0], dtype)
    check(builder, builder.quantized(builder.node(kind, source, **attributes), 0.02, points[1], dtype))


def test_functions_in_a_row_are_one_table():
    builder = QdqBuilder()
    source = builder.activation((1, 4, 12, 12), 0.031, 9)
    swish = builder.node("Mul", source, builder.node("Sigmoid", source))
    half = builder.node("Div", swish, builder.constant(np.float32(2)))
    slope = builder.node("PRelu", half, builder.constant(np.array([0.2], np.float32)))
    graph = check(builder, builder.quantized(builder.node("Add", slope, builder.constant(np.float32(0.1))), 0.02, 9))
    assert [operator.kind for operator in graph.operators] == ["QUANTIZE", "POINTWISE", "DEQUANTIZE"]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_another_quantization_is_exact(dtype):
    builder = QdqBuilder()
    source = builder.activation((1, 4, 12, 12), 0.031, 9, dtype)
    check(builder, builder.quantized(source, 0.043, 20, dtype), exact=True)


def test_the_quantization_of_float_inputs_rounds_halves_to_even():
    from tilewright.mapper.evaluate import evaluate
    from tilewright.mapper.onnx import read_onnx

    from ..onnx_models import reference_outputs

    builder = QdqBuilder()
    graph = read_onnx(model := builder.build(builder.activation((1, 64), 0.5, 3)))
    halves = (np.arange(64, dtype=np.float32)[None] - 32) / 4
    (ours,) = (evaluate(graph, {graph.inputs[0]: halves})[name] for name in graph.outputs)
    np.testing.assert_array_equal(ours, reference_outputs(model, [halves])[0])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("kind", "attributes", "same"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, True),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, True),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, True),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, True),
        ("AveragePool", {"kernel_shape": [3, 3]}, False),
        ("GlobalAveragePool", {}, True),
        ("GlobalAveragePool", {}, False),
    ],
)
def test_averages(dtype, kind, attributes, same):
    builder = QdqBuilder(opset=19)
    point = 9 if dtype == "int8" else 137
    source = builder.activation((1, 5, 8, 7), 0.05, point, dtype)
    output = (0.05, point) if same else (0.013, point + 31)
    check(builder, builder.quantized(builder.node(kind, source, **attributes), *output, dtype))


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER"},
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_max_pool(attributes, dtype):
    builder = QdqBuilder()
    source = builder.activation((1, 5, 8, 7), 0.05, 9, dtype)
    check(builder, builder.quantized(builder.node("MaxPool", source, **attributes), 0.05, 9, dtype), exact=True)


def test_max_pool_behind_a_convolution_that_is_not_quantized():
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05, 4)
    image = builder.node("Relu", builder.node("Conv", source, builder.weights(int8(5, 3, 3, 3), scales(5), axis=0)))
    check(builder, builder.quantized(builder.node("MaxPool", image, kernel_shape=[2, 2], strides=[2, 2]), 0.1, -128))


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [1], [-1]])
def test_reduce_mean(keep, axes):
    builder = QdqBuilder()
    source = builder.activation((1, 5, 8, 7), 0.05, 9)
    image = builder.quantized(builder.node("Conv", source, builder.weights(int8(6, 5, 1, 1), 0.01)), 0.05, 9)
    check(builder, builder.quantized(builder.node("ReduceMean", image, axes=axes, keepdims=keep), 0.013, -4))


@pytest.mark.parametrize("output", [(1 / 256, -128), (1 / 255, -128), (0.008, 0)])
@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax(output, axis):
    builder = QdqBuilder()
    source = builder.activation((2, 9, 6), 0.05, 9)
    check(builder, builder.quantized(builder.node("Softmax", source, axis=axis), *output))


@pytest.mark.parametrize("keep", [0, 1])
def test_arg_max(keep):
    builder = QdqBuilder()
    source = builder.activation((2, 9, 30), 0.05, 9)
    check(builder, builder.node("ArgMax", source, axis=1, keepdims=keep), exact=True)
