"""The importer: real models tensor by tensor against LiteRT, and what single operators are read as."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.ir import (
    Add,
    AveragePool2D,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Mean,
    Mul,
    Quantize,
    Reshape,
    Rsqrt,
    Softmax,
    SquaredDifference,
    StridedSlice,
    Sub,
    Tanh,
    Transpose,
    UnidirectionalSequenceLstm,
    Unsupported,
)
from tilewright.mapper.tflite import read_tflite

from ..models import NONE, RELU6, SAME, TANH, VALID, ModelBuilder, reference_tensors

MODELS = {
    "mlperf_tiny_ic_resnet8": {Conv2D: 9, Add: 3, AveragePool2D: 1, Reshape: 1, FullyConnected: 1, Softmax: 1},
    "mlperf_tiny_vww_mobilenet_v1_025": {
        Conv2D: 14,
        DepthwiseConv2D: 13,
        AveragePool2D: 1,
        Reshape: 1,
        FullyConnected: 1,
        Softmax: 1,
    },
    "mlperf_tiny_kws_dscnn": {
        Conv2D: 5,
        DepthwiseConv2D: 4,
        AveragePool2D: 1,
        Reshape: 1,
        FullyConnected: 1,
        Softmax: 1,
    },
    "mlperf_tiny_ad_autoencoder": {FullyConnected: 10},
    "mlperf_tiny_sww_streaming": {Conv2D: 4, DepthwiseConv2D: 4, Reshape: 1, FullyConnected: 1, Softmax: 1},
    "lstm_mnist": {UnidirectionalSequenceLstm: 1, Reshape: 1, FullyConnected: 1, Softmax: 1},
    "mobilenet_v2_035_160": {
        Conv2D: 35,
        DepthwiseConv2D: 17,
        Add: 10,
        Mul: 1,
        Sub: 1,
        AveragePool2D: 1,
        Reshape: 1,
        FullyConnected: 1,
        Softmax: 1,
    },
    "mobilenet_v2_224": {Quantize: 2, Conv2D: 36, DepthwiseConv2D: 17, Add: 10, Mean: 1, Reshape: 1, Softmax: 1},
    "kwt1_transformer": {
        FullyConnected: 98,
        Reshape: 73,
        Quantize: 1,
        Concatenation: 1,
        Add: 97,
        Transpose: 36,
        Mul: 156,
        Softmax: 12,
        Mean: 48,
        SquaredDifference: 24,
        Rsqrt: 24,
        Sub: 24,
        Tanh: 12,
        StridedSlice: 1,
    },
}
LARGE = "mobilenet_v2_224"
"""LiteRT's reference kernels take seconds for one image: one of them, tensor by tensor."""


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_of_a_real_model_equals_litert(outside_model, name):
    path = outside_model(f"{name}.tflite")
    cases = np.load(outside_model(f"{name}.cases.npz"))
    graph = read_tflite(path)
    assert graph.name == name
    assert graph.notes == ()
    assert {kind: sum(type(each) is kind for each in graph.operators) for kind in MODELS[name]} == MODELS[name]
    assert [operator.index for operator in graph.operators] == list(range(sum(MODELS[name].values())))
    (source,), (sink,) = graph.inputs, graph.outputs
    for number, (case, answer) in enumerate(zip(cases["input"], cases["output_0"], strict=True)):
        case = case.reshape(graph.tensors[source].shape)
        values = evaluate(graph, {source: case})
        np.testing.assert_array_equal(values[sink].ravel(), answer.ravel())
        # What only carries an LSTM's quantization has no elements.
        assert all(0 in graph.tensors[tensor].shape for tensor in set(graph.tensors) - set(values))
        if number and name == LARGE:
            continue
        for tensor, expected in zip(graph.tensors, reference_tensors(str(path), [case]), strict=True):
            if tensor in values:
                np.testing.assert_array_equal(values[tensor], expected, err_msg=tensor, strict=True)


def one_convolution(**changes) -> ModelBuilder:
    """A 3x3 convolution of an 8x9x4 image into 5 channels; `changes` replace options."""
    builder = ModelBuilder()
    image = builder.input((1, 8, 9, 4), 0.5, -3, name="image")
    weights = builder.constant(np.ones((5, 3, 3, 4), np.int8), [0.25] * 5, name="weights")
    bias = builder.constant(np.arange(5, dtype=np.int32), 0.125, name="bias")
    output = builder.tensor((1, 4, 3, 5), 0.75, 7, name="result")
    options = dict(
        padding=SAME, strideH=2, strideW=3, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=RELU6
    )
    builder.operator("CONV_2D", [image, weights, bias], output, schema.Conv2DOptionsT(**(options | changes)))
    return builder


def test_a_convolution_is_read_with_everything_resolved():
    (operator,) = read_tflite(one_convolution().build(3)).operators
    assert operator == Conv2D(
        index=0,
        name="0:CONV_2D",
        output="result",
        input="image",
        weights="weights",
        bias="bias",
        stride=(2, 3),
        dilation=(1, 1),
        padding=(0, 0, 1, 0),
        # 0.5 * 0.25 / 0.75 = 1/6 = 0.6667 * 2**-2
        multipliers=(1431655765,) * 5,
        shifts=(-2,) * 5,
        clamp=(7, 15),
    )
    assert operator.inputs == ("image", "weights", "bias")


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_other_element_types_are_unsupported(dtype):
    builder = one_convolution()
    builder.subgraph.tensors[0].type = getattr(schema.TensorType, dtype.upper())
    with pytest.raises(UnsupportedError, match=f"'image' is {dtype}, and must be int8") as caught:
        read_tflite(builder.build(3))
    assert caught.value.operator == "CONV_2D"
    assert caught.value.where == "operator 0 (tensor 'result')"
    assert "quantize the model to int8" in caught.value.hint
    assert str(caught.value).startswith("CONV_2D at operator 0 (tensor 'result'): input")


def test_an_unknown_operator_is_named_by_the_larger_of_its_two_codes():
    builder = ModelBuilder()
    source = builder.input((1, 4), 1.0)
    output = builder.operator("BUCKETIZE", [source], builder.tensor((1, 4), dtype="int32"))
    content = builder.build(output)
    with pytest.raises(UnsupportedError, match="BUCKETIZE at operator 0"):
        read_tflite(content)
    # Models older than the field of four bytes have only the field of one byte, and the other way round.
    for absent in ("builtinCode", "deprecatedBuiltinCode"):
        builder = one_convolution()
        setattr(builder.model.operatorCodes[0], absent, 0)
        assert read_tflite(builder.build(3)).operators[0].KIND == "CONV_2D"


def test_a_custom_operator_is_named():
    builder = one_convolution()
    builder.model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    builder.model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    builder.model.operatorCodes[0].customCode = "Audio"
    with pytest.raises(UnsupportedError, match="CUSTOM Audio at operator 0"):
        read_tflite(builder.build(3))


def test_other_fused_activations_are_unsupported():
    with pytest.raises(UnsupportedError, match="fused activation TANH"):
        read_tflite(one_convolution(fusedActivationFunction=TANH).build(3))


def test_weights_can_lie_behind_the_flatbuffer():
    builder = one_convolution()
    inline = read_tflite(builder.build(3)).tensors["weights"].data
    stored = builder.model.buffers[1]
    payload, stored.data = bytes(stored.data), None
    # The offset counts from the start of the file, whose length must not change once the offset is written.
    stored.offset, stored.size = 1 << 20, len(payload)
    stored.offset = len(builder.build(3))
    content = builder.build(3)
    assert len(content) == stored.offset
    np.testing.assert_array_equal(read_tflite(content + payload).tensors["weights"].data, inline)


def test_the_file_s_shapes_of_activations_do_not_count():
    builder = one_convolution()
    builder.subgraph.tensors[3].shape = [1, 1, 1, 5]
    graph = read_tflite(builder.build(3))
    assert graph.tensors["result"].shape == (1, 4, 3, 5)
    assert len(graph.notes) == 1
    assert "(1, 1, 1, 5)" in graph.notes[0]


def test_a_harmless_quantized_dimension_is_read_and_noted():
    builder = one_convolution()
    quantization = builder.subgraph.tensors[2].quantization
    quantization.scale, quantization.zeroPoint = np.full(5, 0.125, np.float32), np.zeros(5, np.int64)
    quantization.quantizedDimension = 3
    graph = read_tflite(builder.build(3))
    assert graph.tensors["bias"].quantization.axis == 0
    assert "axis 3" in graph.notes[0]


def test_equal_tensor_names_are_told_apart():
    builder = one_convolution()
    for tensor in builder.subgraph.tensors:
        tensor.name = "same"
    assert list(read_tflite(builder.build(3)).tensors) == ["same", "same#1", "same#2", "same#3"]


@pytest.mark.parametrize("new_shape", [[2, 6], [-1, 6], [2, 3, -1]])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_reshape_takes_its_shape_from_a_tensor_or_an_option(new_shape, as_tensor):
    builder = ModelBuilder()
    source = builder.input((3, 4), 1.0)
    shape = np.array(new_shape, np.int32)
    inputs = [source, builder.constant(shape)] if as_tensor else [source]
    options = schema.ReshapeOptionsT(newShape=[12] if as_tensor else new_shape)
    resolved = np.zeros(12).reshape(new_shape).shape
    output = builder.operator("RESHAPE", inputs, builder.tensor(resolved, 1.0), options)
    graph = read_tflite(builder.build(output))
    assert graph.operators[0].shape == resolved
    assert graph.notes == ()


def test_a_residual_block_with_weights_from_the_network():
    rng = np.random.default_rng(0)
    builder = ModelBuilder()
    first, second = (builder.input((6, 6), 0.1, point) for point in (-4, 9))
    product = builder.operator(
        "FULLY_CONNECTED",
        [first, second, -1],
        builder.tensor((6, 6), 0.7, 3),
        schema.FullyConnectedOptionsT(fusedActivationFunction=NONE),
    )
    total = builder.operator("ADD", [product, first], builder.tensor((6, 6), 0.6, 1), schema.AddOptionsT())
    content = builder.build(total, product)
    graph = read_tflite(content)
    assert graph.outputs == ("t3", "t2")
    assert graph.producer("t3") is graph.operators[1]
    assert graph.consumers("t0") == graph.operators
    cases = [rng.integers(-128, 128, (6, 6)).astype(np.int8) for _ in range(2)]
    values = evaluate(graph, dict(zip(graph.inputs, cases, strict=True)))
    for name, expected in zip(graph.tensors, reference_tensors(content, cases), strict=True):
        np.testing.assert_array_equal(values[name], expected)


def test_evaluate_refuses_inputs_that_do_not_fit():
    graph = read_tflite(one_convolution(padding=VALID).build(3))
    with pytest.raises(ValueError, match=r"must be int8\[1, 8, 9, 4\]"):
        evaluate(graph, {"image": np.zeros((1, 9, 8, 4), np.int8)})
    with pytest.raises(ValueError, match="the network has"):
        evaluate(graph, {})


def test_what_constants_make_is_folded():
    builder = ModelBuilder()
    image = builder.input((2, 3, 4), 0.5, 1)
    options = schema.ShapeOptionsT(outType=schema.TensorType.INT32)
    shape = builder.operator("SHAPE", [image], builder.tensor((3,), dtype="int32"), options)
    bounds = [builder.constant(np.array([value], np.int32)) for value in (1, 2, 1)]
    slice_options = schema.StridedSliceOptionsT(shrinkAxisMask=1)
    rows = builder.operator("STRIDED_SLICE", [shape, *bounds], builder.tensor((), dtype="int32"), slice_options)
    wanted = builder.operator(
        "PACK",
        [rows, builder.constant(np.array(-1, np.int32))],
        builder.tensor((2,), dtype="int32"),
        schema.PackOptionsT(valuesCount=2),
    )
    output = builder.operator("RESHAPE", [image, wanted], builder.tensor((3, 8), 0.5, 1), schema.ReshapeOptionsT())
    content = builder.build(output)
    graph = read_tflite(content)
    assert [(operator.index, operator.shape) for operator in graph.operators] == [(3, (3, 8))]
    assert [note.split(":")[1].strip() for note in graph.notes] == [
        "operator 0 (SHAPE)",
        "operator 1 (STRIDED_SLICE)",
        "operator 2 (PACK)",
    ]
    case = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    values = evaluate(graph, {"t0": case})
    for name, expected in zip(graph.tensors, reference_tensors(content, [case]), strict=True):
        np.testing.assert_array_equal(values[name], expected, err_msg=name, strict=True)


def test_a_partial_graph_has_every_operator():
    builder = ModelBuilder()
    image = builder.input((1, 4), 0.5, 3)
    norm = builder.operator("L2_NORMALIZATION", [image], builder.tensor((1, 4), 0.5), schema.L2NormOptionsT())
    doubled = builder.operator("MUL", [norm, norm], builder.tensor((1, 4), 0.5), schema.MulOptionsT())
    output = builder.operator("CUMSUM", [doubled], builder.tensor((1, 4), 0.5), schema.CumsumOptionsT())
    content = builder.build(output)
    graph = read_tflite(content, partial=True)
    assert [operator.kind for operator in graph.operators] == ["L2_NORMALIZATION", "MUL", "CUMSUM"]
    first, _, last = graph.operators
    assert isinstance(first, Unsupported)
    assert isinstance(last, Unsupported)
    assert (first.inputs, first.outputs) == (("t0",), ("t1",))
    with pytest.raises(UnsupportedError, match="L2_NORMALIZATION at operator 0") as caught:
        read_tflite(content)
    assert (caught.value.reason, caught.value.hint) == (first.reason, first.hint)
