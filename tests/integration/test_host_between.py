"""Whole networks with host operators in their middle: the answers that LiteRT's reference kernels stored for them."""

import re

import numpy as np
import pytest
from tilewright.cli.session import Session
from tilewright.hw.params import Parameters, parse_array
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.tflite import read_tflite


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("lstm_mnist", parse_array("16x16")),
        pytest.param("kwt1_transformer", Parameters(rows=16, cols=16, activation_kib=256), marks=pytest.mark.slow),
    ],
)
def test_answers(outside_model, name, params):
    graph = read_tflite(outside_model(f"{name}.tflite"))
    session = Session(graph, params)
    (source,), (answer,) = graph.inputs, graph.outputs
    with np.load(outside_model(f"{name}.cases.npz")) as cases:
        case = session.golden({source: cases["input"][0].reshape(graph.tensors[source].shape)})
        assert case.mismatches == 0, case.differences
        np.testing.assert_array_equal(case.values[answer].ravel(), cases["output_0"][0].ravel())
    assert session.prediction.total > 0


@pytest.mark.parametrize("name", ["mobilenet_v2_035_160", "mobilenet_v2_224"])
def test_refused_for_their_size_alone(outside_model, name):
    graph = read_tflite(outside_model(f"{name}.tflite"))
    with pytest.raises(UnsupportedError) as error:
        compile_steps(graph, parse_array("16x16"))
    assert re.match(r"activations need \d+ KiB on chip, and there are 128", error.value.reason)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2_035_160", "mobilenet_v2_224"])
def test_without_the_accelerator(outside_model, name):
    graph = read_tflite(outside_model(f"{name}.tflite"))
    session = Session(graph, parse_array("16x16"), on_host="it does not fit")
    (source,), (answer,) = graph.inputs, graph.outputs
    with np.load(outside_model(f"{name}.cases.npz")) as cases:
        for image, expected in zip(cases["input"], cases["output_0"], strict=True):
            case = session.golden({source: image.reshape(graph.tensors[source].shape)})
            np.testing.assert_array_equal(case.values[answer].ravel(), expected.ravel())
