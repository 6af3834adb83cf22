"""Operators of ONNX that move elements, against ONNX Runtime: exact, whatever layout the graph has."""

import numpy as np
import pytest
from tilewright.mapper.onnx import read_onnx

from ..onnx_models import QdqBuilder
from .onnx_checks import check

RANDOM = np.random.default_rng(4)
SHAPE = (1, 6, 8, 4)


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def image(builder: QdqBuilder, dtype: str = "int8") -> str:
    """A tensor of `SHAPE` that the graph holds as NHWC: behind a pool."""
    point = 9 if dtype == "int8" else 131
    source = builder.activation(SHAPE, 0.05, point, dtype)
    return builder.quantized(builder.node("MaxPool", source, kernel_shape=[1, 1]), 0.05, point, dtype)


def same(builder: QdqBuilder, name: str, dtype: str = "int8") -> str:
    return builder.quantized(name, 0.05, 9 if dtype == "int8" else 131, dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("kind", "operands", "attributes"),
    [
        ("Reshape", [integers(0, -1, 4)], {}),
        ("Reshape", [integers(4, 6, 8)], {}),
        ("Flatten", [], {"axis": 2}),
        ("Transpose", [], {"perm": [0, 2, 3, 1]}),
        ("Transpose", [], {"perm": [3, 1, 0, 2]}),
        ("Transpose", [], {}),
        ("Squeeze", [integers(0)], {}),
        ("Squeeze", [], {}),
        ("Unsqueeze", [integers(1, -1)], {}),
        ("Pad", [integers(0, 0, 1, 2, 0, 0, 2, 1)], {}),
        ("Pad", [integers(0, 1, 0, 0, 0, 2, 0, 0), np.float32(0)], {}),
        ("Slice", [integers(1), integers(-1), integers(2)], {}),
        ("Slice", [integers(0, 5), integers(100, -100), integers(1, 2), integers(2, -3)], {}),
        ("Gather", [integers(3, -1, 0)], {"axis": 1}),
        ("Gather", [np.int64(2)], {"axis": 2}),
        ("Gather", [np.array([[0, 1], [2, 3]])], {"axis": 3}),
        ("SpaceToDepth", [], {"blocksize": 2}),
    ],
)
def test_moves(kind, operands, attributes, dtype):
    builder = QdqBuilder()
    names = [builder.constant(operand) for operand in operands]
    result = builder.node(kind, image(builder, dtype), *names, **attributes)
    check(builder, same(builder, result, dtype), exact=True)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode):
    builder = QdqBuilder()
    source = builder.activation((1, 12, 3, 4), 0.05, 9)
    check(builder, same(builder, builder.node("DepthToSpace", source, blocksize=2, mode=mode)), exact=True)


def test_pad_with_axes():
    builder = QdqBuilder(opset=18)
    operands = [builder.constant(integers(1, 2)), builder.constant(np.float32(0)), builder.constant(integers(-1))]
    check(builder, same(builder, builder.node("Pad", image(builder), *operands)), exact=True)


def test_split():
    builder = QdqBuilder()
    parts = builder.node("Split", image(builder), builder.constant(integers(1, 5)), outputs=2, axis=1)
    check(builder, *(same(builder, part) for part in parts), exact=True)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_concat(axis, dtype):
    builder = QdqBuilder()
    parts = [image(builder, dtype), builder.activation(SHAPE, 0.05, 9 if dtype == "int8" else 131, dtype)]
    check(builder, same(builder, builder.node("Concat", *parts, axis=axis), dtype), exact=True)


def test_concat_of_different_quantizations():
    builder = QdqBuilder()
    parts = [image(builder), builder.activation(SHAPE, 0.031, -9), builder.weights(np.ones((1, 2, 8, 4), np.int8), 0.2)]
    joined = builder.node("Relu", builder.node("Concat", *parts, axis=1))
    check(builder, builder.quantized(joined, 0.043, -100), exact=True)


def test_moves_of_stored_numbers():
    builder = QdqBuilder()
    stored = builder.quantize(image(builder, "uint8"), 0.05, 131, "uint8")
    stored = builder.node("Transpose", builder.node("MaxPool", stored, kernel_shape=[2, 2]), perm=[0, 3, 1, 2])
    check(builder, builder.dequantize(stored, 0.05, 131, "uint8"), exact=True)


def test_a_transpose_around_a_convolution_costs_nothing():
    builder = QdqBuilder()
    source = builder.node("Transpose", builder.activation((1, 6, 6, 3), 0.05), perm=[0, 3, 1, 2])
    weights = builder.weights(RANDOM.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), 0.01)
    result = builder.quantized(builder.node("Conv", builder.quantized(source, 0.05), weights), 0.1)
    graph = check(builder, builder.node("Transpose", result, perm=[0, 2, 3, 1]))
    assert [operator.kind for operator in graph.operators] == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]


def test_weights_behind_a_transpose():
    builder = QdqBuilder()
    source = builder.activation((3, 24), 0.05, 4)
    weights = builder.weights(RANDOM.integers(-127, 128, (7, 24)).astype(np.int8), RANDOM.uniform(0.01, 0.02, 7), axis=0)
    result = builder.node("MatMul", source, builder.node("Transpose", weights, perm=[1, 0]))
    check(builder, builder.quantized(result, 0.2))


def test_shapes_are_folded():
    builder = QdqBuilder()
    source = image(builder)
    rows = builder.node("Gather", builder.node("Shape", source), builder.constant(integers(2)), axis=0)
    doubled = builder.node("Mul", rows, builder.constant(integers(2)))
    shape = builder.node("Concat", doubled, builder.constant(integers(-1)), axis=0)
    check(builder, same(builder, builder.node("Reshape", source, shape)), exact=True)


def test_an_open_batch_is_one():
    builder = QdqBuilder()
    graph = read_onnx(builder.build(builder.activation(("batch", 4), 0.05)))
    assert graph.tensors[graph.inputs[0]].shape == (1, 4)
    assert "open batch" in graph.notes[0]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_quantized_inputs_and_outputs(dtype):
    builder = QdqBuilder()
    point = 9 if dtype == "int8" else 131
    source = builder.dequantize(builder.input((1, 4, 6, 6), dtype), 0.05, point, dtype)
    weights = builder.weights(RANDOM.integers(-127, 128, (4, 4, 3, 3)).astype(np.int8), 0.01)
    graph = check(builder, builder.quantize(builder.node("Conv", source, weights), 0.2, point, dtype))
    assert {graph.tensors[name].dtype for name in (*graph.inputs, *graph.outputs)} == {dtype}


@pytest.mark.parametrize("place", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("size", [(16, 8), (12, 5), (3, 4)])
def test_resize_nearest(place, rounding, size):
    builder = QdqBuilder()
    sizes = builder.constant(integers(1, 6, *size))
    attributes = {"mode": "nearest", "coordinate_transformation_mode": place, "nearest_mode": rounding}
    check(builder, same(builder, builder.node("Resize", image(builder), "", "", sizes, **attributes)), exact=True)


@pytest.mark.parametrize("place", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("size", [(16, 8), (4, 2), (29, 5), (15, 13)])
def test_resize_linear(place, size):
    builder = QdqBuilder()
    sizes = builder.constant(integers(1, 6, *size))
    attributes = {"mode": "linear", "coordinate_transformation_mode": place}
    check(builder, same(builder, builder.node("Resize", image(builder), "", "", sizes, **attributes)))


def test_resize_by_scales():
    builder = QdqBuilder()
    scales = builder.constant(np.array([1, 1, 2, 3], np.float32))
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    check(builder, same(builder, builder.node("Resize", image(builder), "", scales, **attributes)), exact=True)
