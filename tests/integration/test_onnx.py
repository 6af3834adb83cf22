"""ONNX networks: how far they are from ONNX Runtime, and RTL against the interpreter."""

import numpy as np
import onnx
import pytest
from tilewright.cli.report import make_report
from tilewright.cli.session import Session
from tilewright.hw.params import Parameters, parse_array
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.onnx import import_onnx, read_onnx
from tilewright.mapper.onnx_reference import compare_network, compare_operators, reference_tensors

from ..mapper.onnx_checks import random_inputs
from ..onnx_models import QdqBuilder

MODEL = "mobilenet_v2_050_128_qdq"


def test_answers_are_one_step_from_those_of_onnx_runtime(outside_model):
    graph = read_onnx(outside_model(f"{MODEL}.onnx"))
    (source,), (answer,) = graph.inputs, graph.outputs
    step = graph.tensors[graph.producer(answer).input].scale
    with np.load(outside_model(f"{MODEL}.cases.npz")) as cases:
        for image, theirs in zip(cases["input"], cases["output_0"], strict=True):
            ours = evaluate(graph, {source: image})[answer]
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
            assert np.abs(ours - theirs).max() < 1.01 * step
            assert ours.argmax() == theirs.argmax()


def test_every_operator_is_one_step_from_onnx_runtime_at_most(outside_model):
    path = outside_model(f"{MODEL}.onnx")
    found = import_onnx(path)
    with np.load(outside_model(f"{MODEL}.cases.npz")) as cases:
        inputs = [{found.graph.inputs[0]: image} for image in cases["input"]]
        answers = cases["output_0"]
    names = [origin.name for origin in found.origins.values()] + list(found.graph.outputs)
    reference = reference_tensors(onnx.load(path), names, inputs)
    for case, answer in zip(reference, answers, strict=True):
        np.testing.assert_array_equal(case[found.graph.outputs[0]], answer)
    rows = compare_operators(found, reference)
    compared = {row.name for row in rows}
    missing = [operator.name for operator in found.graph.operators if operator.name not in compared]
    assert missing == ["303:Softmax", "305:DequantizeLinear"], missing
    assert max(row.largest for row in rows) == 1
    convolutions = [row for row in rows if "CONV" in row.op]
    assert len(convolutions) == 52
    assert sum(row.different for row in convolutions) / sum(row.elements for row in convolutions) < 1e-5
    assert all(row.different == 0 for row in rows if row.op in ("ADD", "FULLY_CONNECTED", "TRANSPOSE"))
    (network,) = compare_network(found, inputs, reference)
    assert network.largest <= 1 and network.agree == network.cases == 3


@pytest.mark.slow
def test_the_network_in_rtl(outside_model):
    graph = read_onnx(outside_model(f"{MODEL}.onnx"))
    session = Session(graph, Parameters(rows=16, cols=16, activation_kib=256))
    with np.load(outside_model(f"{MODEL}.cases.npz")) as cases:
        case = session.rtl({graph.inputs[0]: cases["input"][0]})
        np.testing.assert_allclose(case.values[graph.outputs[0]], cases["output_0"][0], atol=0.004)
    report = make_report(session, "rtl", [case])
    assert report.mismatches == 0, report.mismatched_tensors
    assert report.cycles == report.predicted_cycles


def uint8_network() -> bytes:
    """Convolutions that round once, left and right shifts, a residual, pools and a matrix product."""
    random = np.random.default_rng(1)
    builder = QdqBuilder()

    def conv(source: str, inputs: int, outputs: int, kernel: int, groups: int = 1) -> str:
        data = random.integers(-127, 128, (outputs, inputs // groups, kernel, kernel)).astype(np.int8)
        weights = builder.weights(data, np.exp2(random.uniform(-12, -6, outputs)).astype(np.float32), axis=0)
        return builder.node("Conv", source, weights, pads=[kernel // 2] * 4, group=groups)

    image = builder.activation((1, 3, 12, 12), 0.02, 128, "uint8")
    first = builder.quantized(builder.node("Relu", conv(image, 3, 16, 3)), 0.05, 0, "uint8")
    deep = builder.quantized(conv(first, 16, 16, 3, groups=16), 0.04, 120, "uint8")
    second = builder.quantized(conv(deep, 16, 16, 1), 0.06, 130, "uint8")
    added = builder.quantized(builder.node("Add", first, second), 0.07, 100, "uint8")
    pooled = builder.node("MaxPool", added, kernel_shape=[2, 2], strides=[2, 2])
    swish = builder.quantized(builder.node("HardSwish", pooled), 0.05, 20, "uint8")
    mean = builder.quantized(builder.node("GlobalAveragePool", swish), 0.03, 30, "uint8")
    flat = builder.node("Flatten", mean)
    matrix = random.integers(-127, 128, (16, 10)).astype(np.int8)
    return builder.build(builder.quantized(builder.node("Gemm", flat, builder.weights(matrix, 0.01)), 0.2, 128, "uint8"))


@pytest.mark.slow
def test_a_small_network_in_rtl():
    graph = read_onnx(uint8_network())
    session = Session(graph, parse_array("8x8"))
    case = session.rtl(dict(zip(graph.inputs, random_inputs(graph), strict=True)))
    assert case.mismatches == 0, case.differences
    assert case.cycles == session.prediction.total
