"""ONNX models that ask for memory without end, or whose names are no text: refused in one line."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tilewright.mapper.errors import ModelError, UnsupportedError
from tilewright.mapper.onnx import read_onnx

from ..onnx_models import QdqBuilder

MILLION = 1_000_000


def zeros(builder: QdqBuilder, *shape: int) -> str:
    """A constant that takes a few bytes of the file, whatever its shape."""
    return builder.node("ConstantOfShape", builder.constant(np.array(shape, np.int64)))


def places(builder: QdqBuilder, *shape: int) -> str:
    return builder.node("Cast", zeros(builder, *shape), to=TensorProto.INT64)


def with_constant(builder: QdqBuilder, constant: str) -> bytes:
    source = builder.activation((1, 4), 0.1)
    return builder.build(builder.quantized(builder.node("Add", source, constant), 0.1))


def many(builder: QdqBuilder) -> str:
    """Constants of 32 MB, made of each other."""
    value = zeros(builder, 8 * MILLION)
    for _ in range(20):
        value = builder.node("Add", value, value)
    return value


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda b: zeros(b, 1 << 40), "more than 8,388,608 elements"),
        (lambda b: zeros(b, 0, 1 << 40), "more than 8,388,608 elements"),
        (lambda b: b.node("Gather", zeros(b, 9, MILLION), places(b, MILLION)), "more than 8,388,608 elements"),
        (lambda b: b.node("Gather", zeros(b, 1, MILLION), places(b, MILLION)), "more than 8,388,608 elements"),
        (lambda b: b.node("Add", zeros(b, 1, MILLION), zeros(b, MILLION, 1)), "more than 8,388,608 elements"),
        (lambda b: b.node("Where", places(b, 1, MILLION), zeros(b, MILLION, 1), zeros(b, 1)), "more than 8,388,608 elements"),
        (lambda b: b.node("Expand", zeros(b, 1), b.constant(np.array([1 << 30, 1 << 30]))), "more than 8,388,608 elements"),
        (lambda b: b.node("Range", *(b.constant(np.int64(number)) for number in (0, 1 << 60, 1))), "more than 8,388,608"),
        (many, "folded constants up to here take 160,000,000 bytes, more than 134,217,728"),
    ],
)
def test_constants_without_end(make, reason: str):
    builder = QdqBuilder()
    content = with_constant(builder, make(builder))
    start = time.process_time()
    with pytest.raises(UnsupportedError, match=reason) as caught:
        read_onnx(content)
    assert caught.value.hint and str(caught.value).isprintable()
    assert time.process_time() - start < 5


def test_activations_without_end():
    builder = QdqBuilder()
    value = builder.activation((1, 1, 1024, 1024), 0.1)
    for _ in range(3):
        value = builder.quantized(builder.node("Concat", value, value, axis=1), 0.1)
    assert read_onnx(builder.build(value)).operators
    value = builder.quantized(builder.node("Concat", value, value, axis=1), 0.1)
    with pytest.raises(UnsupportedError, match="has 16,777,216 elements, more than 8,388,608"):
        read_onnx(builder.build(value))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT4, TensorProto.STRING])
@pytest.mark.parametrize("dims", [[1 << 34], [1 << 40, 1 << 40], [0, 1 << 60], [-1], [17]])
def test_a_constant_with_fewer_bytes_than_it_says(kind: int, dims: list[int]):
    def damage(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_type = kind
        tensor.dims[:] = dims

    with pytest.raises(ModelError, match="its data does not fit"):
        read_onnx(changed(damage))


def changed(damage) -> bytes:
    builder = QdqBuilder()
    model = onnx.load_model_from_string(with_constant(builder, builder.weights(np.ones(4, np.int8), 0.1)))
    damage(model)
    return model.SerializeToString()


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[1mbold", "x" * 1001])
@pytest.mark.parametrize(
    "place",
    [
        lambda model: (model.graph.node[0], "op_type"),
        lambda model: (model.graph.node[0], "domain"),
        lambda model: (model.graph.initializer[0], "name"),
        lambda model: (model.graph.input[0], "name"),
        lambda model: (model.graph.output[0], "name"),
        lambda model: (model.graph.input[0].type.tensor_type.shape.dim[1], "dim_param"),
        lambda model: (model.opset_import[0], "domain"),
    ],
)
def test_names_that_cannot_be_printed(place, text: str):
    with pytest.raises(ModelError, match="a name is '") as caught:
        read_onnx(changed(lambda model: setattr(*place(model), text)))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def test_names_that_are_no_text():
    content = changed(lambda model: setattr(model.graph.output[0], "name", "nonesuch"))
    with pytest.raises(ModelError, match="a name is"):
        read_onnx(content.replace(b"nonesuch", b"none\xff\xfech"))


def test_modes_that_cannot_be_printed():
    builder = QdqBuilder()
    pads = builder.constant(np.zeros(4, np.int64))
    padded = builder.node("Pad", builder.activation((1, 4), 0.1), pads, mode="two\nlines")
    with pytest.raises(ModelError, match=r"its attribute mode is 'two\\nlines'"):
        read_onnx(builder.build(builder.quantized(padded, 0.1)))
