"""What is not read: refused by name, place, reason and hint; damaged files always with one line."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tilewright.mapper.errors import ModelError, UnsupportedError
from tilewright.mapper.ir import Unsupported
from tilewright.mapper.onnx import read_onnx

from ..onnx_models import QdqBuilder

WEIGHTS = np.arange(-54, 54).reshape(4, 3, 3, 3).astype(np.int8)


def small_model() -> QdqBuilder:
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05, 3)
    weights = builder.weights(WEIGHTS, [0.01, 0.02, 0.03, 0.04], axis=0)
    image = builder.quantized(builder.node("Relu", builder.node("Conv", source, weights)), 0.2, -128)
    flat = builder.node("Flatten", builder.node("MaxPool", image, kernel_shape=[2, 2], strides=[2, 2]))
    product = builder.node("Gemm", flat, builder.weights(np.ones((16, 5), np.int8), 0.01))
    builder.output = builder.quantized(product, 0.3)
    return builder


def changed(change) -> bytes:
    """The small model after a change of its protobuf."""
    builder = small_model()
    model = onnx.load_model_from_string(builder.build(builder.output))
    change(model)
    return model.SerializeToString()


def node(model: onnx.ModelProto, kind: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == kind)


def first_scale(model: onnx.ModelProto) -> onnx.TensorProto:
    name = node(model, "QuantizeLinear").input[1]
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def refused(content: bytes) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as error:
        read_onnx(content)
    assert error.value.hint and "\n" not in str(error.value)
    return error.value


def test_the_small_model_is_read():
    kinds = [operator.kind for operator in read_onnx(changed(lambda model: None)).operators]
    assert kinds == ["QUANTIZE", "TRANSPOSE", "CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "DEQUANTIZE"]


@pytest.mark.parametrize(
    ("make", "operator", "reason"),
    [
        (lambda b, x: b.node("Conv", x, b.weights(WEIGHTS, 0.1)), "Conv", "float32, not quantized"),
        (lambda b, x: b.quantized(b.node("LRN", x, size=3), 0.1), "LRN", "this operator is not known"),
        (lambda b, x: b.quantized(b.node("BiasGelu", x, domain="com.microsoft"), 0.1), "com.microsoft.BiasGelu", "not known"),
        (lambda b, x: b.node("QLinearAdd", x, domain="com.microsoft"), "com.microsoft.QLinearAdd", "operator form"),
        (lambda b, x: b.quantized(b.node("Conv", x, b.constant(WEIGHTS * 0.5)), 0.1), "Conv", "its weights are float"),
        (
            lambda b, x: b.quantized(b.node("Conv", x, b.weights(WEIGHTS, [0.1] * 3, axis=1)), 0.1),
            "Conv",
            "its weights are quantized along axis 1",
        ),
        (lambda b, x: b.quantized(b.node("Conv", x, x), 0.1), "Conv", "is computed"),
        (lambda b, x: b.dequantize(b.quantize(x, [0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]), "QuantizeLinear", "along an axis"),
        (lambda b, x: b.quantized(x, 0.1, 0, "int16"), "QuantizeLinear", "it quantizes to int16"),
        (lambda b, x: b.node("QuantizeLinear", x, x), "QuantizeLinear", "is computed"),
        (lambda b, x: b.quantized(b.node("Pad", x, b.constant(np.zeros(8, np.int64)), mode="edge"), 0.1), "Pad", "edge"),
        (lambda b, x: b.node("Resize", x, "", "", b.constant(np.array([1, 3, 9, 9])), mode="cubic"), "Resize", "cubic"),
        (lambda b, x: b.quantized(b.node("Softmax", x), 0.0001, -128), "Softmax", "finer than 1/256"),
        (lambda b, x: b.node("Mul", x, b.constant(np.ones((3, 1, 1), np.float32))), "Mul", "a constant of float32"),
        (lambda b, x: b.node("Mul", b.node("Sigmoid", x), b.activation((1, 3, 6, 6), 0.1)), "Mul", "Sigmoid at node"),
        (lambda b, x: b.node("Sigmoid", b.node("Conv", x, b.weights(WEIGHTS, 0.1))), "Sigmoid", "comes from Conv"),
        (lambda b, x: b.node("Sigmoid", x), "Sigmoid", "is not quantized"),
        (lambda b, x: b.quantized(b.node("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 2]), 0.1), "MaxPool", "dilation"),
    ],
)  # fmt: skip
def test_refused_by_name(make, operator, reason):
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05, 3)
    error = refused(builder.build(make(builder, source)))
    assert error.operator == operator and reason in error.reason and error.where.startswith("operator ")


def test_open_dimensions_old_versions_and_types():
    builder = QdqBuilder()
    error = refused(builder.build(builder.activation((1, 3, "height", 6), 0.05)))
    assert "dimension 2 is open (height)" in error.reason
    assert "opset is 12" in refused(changed(lambda model: setattr(model.opset_import[0], "version", 12))).reason

    def wide(model):
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE

    assert "DOUBLE" in refused(changed(wide)).reason


def test_absurd_sizes_end_at_once():
    def pads(model):
        node(model, "Conv").attribute.extend([helper.make_attribute("pads", [1 << 20, 1 << 20, 1 << 20, 1 << 20])])

    assert "elements, more than 8,388,608" in refused(changed(pads)).reason

    def dims(model):
        model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]

    with pytest.raises(ModelError, match="its data does not fit"):
        read_onnx(changed(dims))
    builder = QdqBuilder()
    shape = builder.node("ConstantOfShape", builder.constant(np.array([1 << 30, 1 << 30])))
    assert "more than" in refused(builder.build(builder.node("Add", builder.activation((1, 4), 0.1), shape))).reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: node(model, "Conv").input.pop(), "it has no input 1"),
        (lambda model: node(model, "Conv").input.__setitem__(0, "nothing"), "'nothing' is not defined"),
        (lambda model: node(model, "Conv").output.pop(), "it has no output"),
        (lambda model: node(model, "Relu").output.__setitem__(0, node(model, "Conv").output[0]), "is defined already"),
        (lambda model: node(model, "MaxPool").attribute.pop(0), "has no attribute kernel_shape"),
        (lambda model: setattr(node(model, "MaxPool").attribute[0], "type", onnx.AttributeProto.FLOAT), "the wrong type"),
        (lambda model: node(model, "MaxPool").attribute[0].ints.append(2), "do not fit its input"),
        (lambda model: node(model, "MaxPool").attribute[0].ints.__setitem__(0, 0), "must be positive"),
        (lambda model: node(model, "MaxPool").attribute[0].ints.__setitem__(0, 99), "MaxPool"),
        (lambda model: setattr(model.graph.output[0], "name", "nothing"), "'nothing' is not defined"),
        (lambda model: model.graph.ClearField("output"), "no outputs"),
        (lambda model: model.graph.ClearField("node"), "not an ONNX model"),
        (lambda model: model.ClearField("opset_import"), "not an ONNX model"),
        (lambda model: first_scale(model).ClearField("raw_data"), "its data does not fit"),
        (lambda model: setattr(first_scale(model), "raw_data", np.float32(-1).tobytes()), "a scale is zero, negative"),
    ],
)  # fmt: skip
def test_damaged(change, message):
    with pytest.raises(ModelError, match=message) as error:
        read_onnx(changed(change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"hello, this is no model", bytes(1000), b"\x08\x07"])
def test_what_is_not_a_model(content):
    with pytest.raises(ModelError, match=r"empty|not an ONNX model"):
        read_onnx(content)


def test_missing_files(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        read_onnx(tmp_path / "absent.onnx")


def test_external_data(tmp_path):
    builder = small_model()
    model = onnx.load_model_from_string(builder.build(builder.output))
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert len(read_onnx(path).operators) == 6
    with pytest.raises(ModelError, match="lies in another file"):
        read_onnx(path.read_bytes())
    model = onnx.load_model(path, load_external_data=False)
    for tensor in model.graph.initializer:
        kept = [entry for entry in tensor.external_data if entry.key != "length"]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)
    path.write_bytes(model.SerializeToString())
    with (tmp_path / "model.data").open("ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(ModelError, match="more than 268,435,456 bytes"):
        read_onnx(path)
    (tmp_path / "model.data").unlink()
    with pytest.raises(ModelError, match="external data cannot be read"):
        read_onnx(path)


def test_partial_graphs_say_what_is_in_the_way():
    builder = QdqBuilder()
    source = builder.activation((1, 3, 6, 6), 0.05, 3)
    odd = builder.quantized(builder.node("LRN", source, size=3), 0.1)
    result = builder.node("LRN", builder.node("MaxPool", odd, kernel_shape=[2, 2]), size=3)
    graph = read_onnx(builder.build(builder.quantized(result, 0.1)), partial=True)
    assert [operator.kind for operator in graph.operators if isinstance(operator, Unsupported)] == ["LRN", "LRN"]
    assert "MAX_POOL_2D" in [operator.kind for operator in graph.operators]


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_damage_is_told_in_one_line(seed):
    random = np.random.default_rng(seed)
    content = bytearray(changed(lambda model: None))
    if random.random() < 0.2:
        del content[random.integers(len(content)) :]
    for place in random.integers(0, len(content), random.integers(1, 4)) if content else ():
        content[place] = random.integers(256)
    try:
        read_onnx(bytes(content))
    except (ModelError, UnsupportedError) as error:
        assert "\n" not in str(error)
