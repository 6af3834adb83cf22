"""Legalization: which layers the operators become, and what is left to the host."""

import numpy as np
import pytest
from tilewright.hw.isa import Combine, Mode, Rounding
from tilewright.hw.params import Parameters
from tilewright.mapper import lower_elementwise
from tilewright.mapper.layer import Layer, Load, Move, Store
from tilewright.mapper.legalize import legalize
from tilewright.mapper.rounding import single_factors
from tilewright.mapper.verify_layers import verify_network
from tilewright.sim.arithmetic import quantize_multiplier, requantize_float

from .networks import SAME, NetworkBuilder, compile_and_compare

PARAMS = Parameters(rows=8, cols=8)


def legal(graph, params=PARAMS):
    plan = legalize(graph, params)
    for network in plan.networks:
        verify_network(network)
    return plan


def only_layer(build, params=PARAMS):
    builder = NetworkBuilder()
    (network,) = legal(builder.graph(build(builder)), params).networks
    (layer,) = network.layers
    return layer


def test_grouped_convolution_is_block_diagonal():
    layer = only_layer(lambda b: b.conv(b.input(1, 5, 5, 6), 9, 3, groups=3))
    assert layer.mode is Mode.DENSE and layer.weights.shape == (3, 3, 6, 9)
    for channel, filter_ in np.ndindex(6, 9):
        assert layer.weights[:, :, channel, filter_].any() == (channel // 2 == filter_ // 3)


def test_depthwise_with_multiplier_is_dense():
    assert only_layer(lambda b: b.depthwise(b.input(1, 5, 5, 6), 3)).mode is Mode.DEPTHWISE
    layer = only_layer(lambda b: b.depthwise(b.input(1, 5, 5, 6), 3, multiplier=2))
    assert layer.mode is Mode.DENSE and layer.weights.shape == (3, 3, 6, 12)
    layer = only_layer(lambda b: b.depthwise(b.input(1, 5, 5, 1), 3, multiplier=8))
    assert layer.mode is Mode.DENSE and layer.weights.shape == (3, 3, 1, 8)


def test_image_of_width_one_lies_down():
    layer = only_layer(lambda b: b.depthwise(b.input(2, 20, 1, 6), (5, 1), stride=2))
    assert layer.kernel == (1, 5) and layer.stride == (1, 2) and layer.size == (2, 20) and layer.batch == 1


def test_batch_that_no_kernel_crosses_becomes_one_image():
    layer = only_layer(lambda b: b.conv(b.input(3, 4, 5, 2), 2, (1, 3)))
    assert (layer.batch, layer.size) == (1, (12, 5))
    layer = only_layer(lambda b: b.conv(b.input(3, 4, 5, 2), 2, (2, 3)))
    assert (layer.batch, layer.size) == (3, (4, 5))


def test_pools():
    layer = only_layer(lambda b: b.maximum(b.input(1, 7, 7, 3), 3, stride=2, padding=SAME))
    assert layer.combine is Combine.MAX and layer.pad == -128 and (layer.weights == 1).all()
    layer = only_layer(lambda b: b.average(b.input(1, 7, 7, 3), 3, stride=2, padding=SAME))
    assert layer.pad == 0 and layer.rounding is Rounding.SINGLE and len(layer.regions) == 9


def test_matrix_product_behind_a_flattened_image_moves_no_data():
    builder = NetworkBuilder()
    image = builder.maximum(builder.input(2, 5, 4, 3))
    flat = builder.reshape(image, 2, 36)
    plan = legal(builder.graph(builder.fully_connected(flat, 7)))
    (network,) = plan.networks
    assert [type(step) for step in network.steps] == [Load, Layer, Layer, Store]
    assert network.layers[1].kernel == (4, 3) and network.layers[1].batch == 2
    assert not plan.host


def test_reshape_that_cuts_pixels_anew_is_copied():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 6, 4, 8), 8, 1)
    graph = builder.graph(builder.conv(builder.reshape(image, 1, 4, 6, 8), 5, 3))
    (network,) = legal(graph).networks
    assert [type(step) for step in network.steps] == [Load, Layer, Move, Layer, Store]
    assert compile_and_compare(graph, PARAMS).scratch_bytes == 192


def test_reshape_that_is_read_and_an_output():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 4, 4, 8), 6, 3)
    flat = builder.reshape(image, 1, 96)
    turned = builder.reshape(flat, 8, 12)
    graph = builder.graph(flat, turned, builder.fully_connected(flat, 5))
    program = compile_and_compare(graph, PARAMS)
    assert {tensor.name for tensor in program.outputs} == {image, graph.outputs[2]}
    assert [info.where for info in program.layers] == ["accelerator", "host", "host", "accelerator"]


def test_image_behind_its_reshape_and_an_input_as_output():
    builder = NetworkBuilder()
    image = builder.input(1, 4, 6, 8)
    turned = builder.reshape(image, 1, 6, 4, 8)
    graph = builder.graph(turned, builder.conv(turned, 3, 3), builder.maximum(image, 2))
    compile_and_compare(graph, PARAMS)


def test_edges_run_on_the_host():
    builder = NetworkBuilder()
    features = builder.fully_connected(builder.reshape(builder.input(1, 4, 4, 2), 1, 32), 6)
    wide = builder.reshape(features, 2, 3)
    graph = builder.graph(builder.softmax(wide))
    assert list(legal(graph).host) == ["2:RESHAPE", "3:SOFTMAX"]
    program = compile_and_compare(graph, PARAMS)
    assert [getattr(step, "op", "run") for step in program.steps] == ["run", "RESHAPE", "SOFTMAX"]
    assert {"multiplier", "shift", "diff_min", "input", "output"} < program.steps[2].parameters.keys()
    assert [info.where for info in program.layers] == ["accelerator", "accelerator", "host", "host"]
    assert [tensor.name for tensor in program.host_tensors] == [graph.outputs[0], wide]


def test_host_in_front():
    builder = NetworkBuilder()
    graph = builder.graph(builder.conv(builder.softmax(builder.input(1, 4, 4, 8)), 3, 3))
    program = compile_and_compare(graph, PARAMS)
    assert [getattr(step, "op", "run") for step in program.steps] == ["SOFTMAX", "run"]
    assert [tensor.name for tensor in program.inputs] == [graph.operators[0].output]


def test_host_in_the_middle():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 4, 4, 8), 8, 3)
    left = builder.softmax(image)
    right = builder.conv(image, 8, 1)
    graph = builder.graph(builder.add(builder.conv(left, 8, 3), right))
    program = compile_and_compare(graph, PARAMS)
    assert [getattr(step, "op", "run") for step in program.steps] == ["run", "SOFTMAX", "run"]
    # What the second run needs of the first's results is read from where it lies.
    assert program.runs[1].inputs == (left, right)
    assert [tensor.name for tensor in program.inputs] == [*graph.inputs, left]


def test_as_few_runs_as_can_be():
    builder = NetworkBuilder()
    image = builder.input(1, 4, 4, 8)
    a, b = builder.conv(image, 8, 3), builder.conv(image, 8, 1)
    soft_a, soft_b = builder.softmax(a), builder.softmax(b)
    # The first branch needs its third run only, and the second its last, when the model's order names them first.
    deep = builder.softmax(builder.conv(soft_a, 8, 3))
    late = builder.conv(soft_b, 8, 3)
    front = builder.conv(builder.softmax(builder.input(1, 4, 4, 8)), 8, 3)
    graph = builder.graph(builder.add(builder.conv(deep, 8, 1), late), front)
    program = compile_and_compare(graph, PARAMS)
    kinds = [getattr(step, "op", "run") for step in program.steps]
    assert kinds == ["SOFTMAX", "run", "SOFTMAX", "SOFTMAX", "run", "SOFTMAX", "run"]
    assert program.runs[0].first == 0 and len(program.runs) == 3
    assert sum(run.count for run in program.runs) == len(program)


def test_views_on_both_sides_of_the_host():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 4, 4, 8), 8, 3)
    wide = builder.reshape(image, 1, 2, 8, 8)
    soft = builder.softmax(builder.reshape(wide, 16, 8))
    again = builder.reshape(soft, 1, 8, 2, 8)
    graph = builder.graph(builder.conv(wide, 5, 3), builder.conv(again, 4, 3))
    program = compile_and_compare(graph, PARAMS)
    assert [getattr(step, "op", "run") for step in program.steps] == ["run", "RESHAPE", "RESHAPE", "SOFTMAX", "run"]
    assert program.runs[1].inputs == (soft,)


def test_host_alone():
    builder = NetworkBuilder()
    program = compile_and_compare(builder.graph(builder.softmax(builder.input(1, 5, 8))), PARAMS)
    assert not program.runs and len(program) == 0


def test_a_sum_without_tables_runs_on_the_host(monkeypatch):
    monkeypatch.setattr(lower_elementwise, "find_residual", lambda *_, **__: None)
    lower_elementwise._find_tables.cache_clear()
    builder = NetworkBuilder()
    image = builder.input(1, 4, 4, 8)
    total = builder.add(builder.conv(image, 8, 3), image)
    program = compile_and_compare(builder.graph(builder.conv(total, 3, 3)), PARAMS)
    assert [info.where for info in program.layers] == ["accelerator", "host", "accelerator"]
    lower_elementwise._find_tables.cache_clear()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda b: b.add(b.input(1, 4, 4, 8), b.input(1, 1, 1, 8)), "broadcast"),
        (lambda b: b.conv(b.input(1, 40, 40, 2), 3, 1, stride=16), "stride of 16 is more than"),
        (lambda b: b.depthwise(b.input(1, 40, 40, 2), 3, padding=(0, 16, 0, 16)), "left padding of 16"),
    ],
)
def test_reasons(build, reason):
    builder = NetworkBuilder()
    assert reason in next(iter(legal(builder.graph(build(builder))).host.values()))


def test_without_depthwise_or_residual():
    params = Parameters(rows=8, cols=8, depthwise=False, residual=False)
    assert only_layer(lambda b: b.depthwise(b.input(1, 5, 5, 6), 3), params).weights.shape == (3, 3, 6, 6)
    for build in (lambda b, x: b.maximum(x), lambda b, x: b.add(x, x)):
        builder = NetworkBuilder()
        plan = legal(builder.graph(build(builder, builder.input(1, 5, 5, 6))), params)
        assert "built without" in next(iter(plan.host.values()))


@pytest.mark.parametrize("seed", range(20))
def test_single_factors_round_as_float64(seed):
    random = np.random.default_rng(seed)
    # Scales with few bits have many ties.
    scales = np.concatenate([2.0 ** -random.integers(1, 12, 4) * random.integers(1, 8, 4), random.uniform(0, 0.5, 4)])
    multipliers, shifts = (np.array(values) for values in zip(*map(quantize_multiplier, scales), strict=True))
    reach = np.full(8, 40000)
    found = single_factors(scales, multipliers, shifts, -reach, reach, (-200, 200))
    assert found is not None
    sums = np.arange(-40000, 40001)[:, None]
    multiplier, total = found
    actual = (sums * multiplier + (1 << (total - 1))) >> total
    np.testing.assert_array_equal(np.clip(actual, -128, 127), requantize_float(sums, scales, 0, (-128, 127)))
