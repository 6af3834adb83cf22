"""The whole mapper: what the interpreter makes of a program is what the operators' arithmetic says, in every tensor."""

import numpy as np
import pytest
from tilewright.hw.params import Parameters
from tilewright.mapper.compile import compile_model, compile_steps
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.report import WIDTH, schedule_report
from tilewright.mapper.tflite import read_tflite

from .networks import NetworkBuilder, compile_and_compare, random_graph, random_layer

SIDES = (4, 8, 16, 32)
PARAMS = Parameters(rows=8, cols=8)


@pytest.mark.parametrize("seed", range(60))
def test_random_layer(seed):
    graph, params = random_layer(seed)
    try:
        compile_and_compare(graph, params, seed=seed)
    except UnsupportedError as error:
        assert "KiB on chip" in error.reason, error


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 3000))
def test_many_random_layers(seed):
    test_random_layer(seed)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_random_graph(seed, fuse):
    graph, params = random_graph(seed)
    try:
        compile_and_compare(graph, params, fuse=fuse, seed=seed)
    except UnsupportedError as error:
        assert "KiB on chip" in error.reason or "built without" in error.reason, error


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_many_random_graphs(seed):
    test_random_graph(seed, fuse=seed % 2 == 0)


@pytest.mark.parametrize("rows", SIDES)
@pytest.mark.parametrize("cols", SIDES)
def test_every_array(rows, cols):
    builder = NetworkBuilder(rows + cols)
    image = builder.conv(builder.input(1, 9, 7, 3), 20, 3, stride=2)
    image = builder.depthwise(image, (5, 3))
    image = builder.add(builder.conv(image, 20, 1), image)
    image = builder.maximum(image, 2, stride=2)
    image = builder.average(image, 2)
    output = builder.fully_connected(builder.reshape(image, 1, 20), 11)
    compile_and_compare(builder.graph(output), Parameters(rows=rows, cols=cols, accumulator_depth=64))


def test_several_inputs_and_outputs():
    builder = NetworkBuilder()
    first, second = builder.input(1, 6, 5, 10), builder.input(1, 6, 5, 10)
    total = builder.add(first, second)
    left, right = builder.conv(total, 7, 3), builder.depthwise(total, 3)
    graph = builder.graph(right, left, total)
    program = compile_and_compare(graph, PARAMS)
    assert program.model_inputs == (first, second) and program.model_outputs == (right, left, total)
    assert {tensor.name for tensor in program.outputs} == {right, left, total}


@pytest.mark.parametrize("depth", [1, 17, 640, 3000])
def test_long_rows(depth):
    builder = NetworkBuilder(depth)
    features = builder.fully_connected(builder.input(3, depth), 20)
    compile_and_compare(builder.graph(builder.fully_connected(features, 5, bias=False)), Parameters(rows=16, cols=16))


def test_same_input_same_program():
    graph, params = random_graph(7)
    assert compile_model(graph, params).to_bytes() == compile_model(random_graph(7)[0], params).to_bytes()


def test_extreme_factors():
    """Multipliers that TensorFlow Lite sets to 0, and left shifts."""
    builder = NetworkBuilder()
    builder._factors = lambda depth, count: [2.0 ** (index - 34) for index in range(count)]
    image = builder.conv(builder.input(1, 4, 4, 3), 36, 1)
    builder._factors = lambda depth, count: [1.5 * 2.0 ** min(index - 6, 12) for index in range(count)]
    compile_and_compare(builder.graph(builder.depthwise(image, 1)), Parameters(rows=8, cols=16))


def test_left_shift_that_may_overflow_stays_with_the_host():
    builder = NetworkBuilder()
    builder._factors = lambda depth, count: [1.5 * 2.0**16] * count
    program = compile_and_compare(builder.graph(builder.conv(builder.input(1, 4, 4, 3), 4, 1)), PARAMS)
    assert [info.where for info in program.layers] == ["host"]


def test_report_fits_the_terminal():
    for seed in (3, 7, 11):
        graph, params = random_graph(seed)
        text = schedule_report(compile_steps(graph, params))
        assert all(len(line) <= WIDTH for line in text.splitlines())
        for operator in graph.operators:
            assert operator.name in text


ARRAYS = [(16, 16), (8, 8), (4, 32), (8, 16)]


@pytest.mark.parametrize("array", ARRAYS)
def test_digits(array):
    from pathlib import Path

    path = Path(__file__).parents[2] / "examples" / "digits" / "digits.tflite"
    compile_and_compare(read_tflite(path), Parameters(rows=array[0], cols=array[1]))


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("name", ["ic_resnet8", "kws_dscnn", "ad_autoencoder", "sww_streaming"])
def test_outside_models(outside_model, name, array):
    graph = read_tflite(outside_model(f"mlperf_tiny_{name}.tflite"))
    program = compile_and_compare(graph, Parameters(rows=array[0], cols=array[1]))
    on_host = [info.op for info in program.layers if info.where == "host"]
    assert set(on_host) <= {"SOFTMAX"}
    assert np.sum([info.macs for info in program.layers]) > 0


@pytest.mark.parametrize("array", ARRAYS)
def test_visual_wake_words(outside_model, array):
    """Its first images fit the default memory, unless vectors of 32 bytes hold pixels of 8."""
    graph = read_tflite(outside_model("mlperf_tiny_vww_mobilenet_v1_025.tflite"))
    params = Parameters(rows=array[0], cols=array[1])
    if array == (4, 32):
        with pytest.raises(UnsupportedError, match="144 KiB on chip, and there are 128"):
            compile_model(graph, params)
    else:
        compile_and_compare(graph, params)
