"""Fusion of additions."""

import pytest
from tilewright.hw.isa import Mode
from tilewright.hw.params import Parameters
from tilewright.mapper.banks import choose_banks, meetings
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.fuse import fuse
from tilewright.mapper.layer import Layer
from tilewright.mapper.legalize import legalize
from tilewright.mapper.tiling import tile
from tilewright.mapper.verify_layers import verify_network

from .networks import NetworkBuilder, compile_and_compare

PARAMS = Parameters(rows=16, cols=16)


def fused(graph) -> list[tuple[str, ...]]:
    network = fuse(legalize(graph, PARAMS).networks[0])
    verify_network(network)
    return [layer.operators for layer in network.layers]


@pytest.mark.parametrize("swap", [False, True])
def test_addition_goes_into_the_later_convolution(swap):
    builder = NetworkBuilder()
    image = builder.input(1, 6, 6, 8)
    first = builder.conv(image, 8, 3)
    second = builder.conv(first, 8, 1)
    operands = (second, first) if swap else (first, second)
    graph = builder.graph(builder.add(*operands))
    assert fused(graph) == [("0:CONV_2D",), ("1:CONV_2D", "2:ADD")]
    program = compile_and_compare(graph, PARAMS)
    assert [info.fused_into for info in program.layers] == [None, None, "1:CONV_2D"]
    unfused = compile_and_compare(graph, PARAMS, fuse=False)
    assert [info.fused_into for info in unfused.layers] == [None] * 3
    assert second in {image.name for image in unfused.tensors} - {image.name for image in program.tensors}


def test_convolution_moves_behind_the_other_operand():
    builder = NetworkBuilder()
    image = builder.input(1, 6, 6, 8)
    shortcut = builder.conv(image, 8, 1)
    pooled = builder.depthwise(builder.conv(image, 8, 3), 3, stride=(2, 1), padding=(3, 1, 4, 1))
    graph = builder.graph(builder.add(shortcut, pooled))
    assert fused(graph) == [("1:CONV_2D",), ("2:DEPTHWISE_CONV_2D",), ("0:CONV_2D", "3:ADD")]
    compile_and_compare(graph, PARAMS)


def test_result_with_another_reader_stays():
    builder = NetworkBuilder()
    image = builder.input(1, 6, 6, 8)
    first = builder.conv(image, 8, 3)
    total = builder.add(first, image)
    assert fused(builder.graph(total, first)) == [("0:CONV_2D",), ("1:ADD",)]
    twice = builder.add(total, total)
    assert fused(builder.graph(twice)) == [("0:CONV_2D", "1:ADD"), ("2:ADD",)]


def test_depthwise_only_where_banks_can_be_proven():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 9, 9, 8), 8, 1)
    other = builder.conv(image, 8, 3)
    total = builder.add(builder.depthwise(other, 3), image)
    graph = builder.graph(total)
    assert fused(graph)[-1] == ("2:DEPTHWISE_CONV_2D", "3:ADD")
    compile_and_compare(graph, PARAMS)
    # Its own input as the other operand has the same first bank.
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 9, 9, 8), 8, 1)
    graph = builder.graph(builder.add(builder.depthwise(image, 3), image))
    assert fused(graph)[-1] == ("2:ADD",)
    # With stride 2 the rows do not advance together.
    builder = NetworkBuilder()
    image = builder.input(1, 9, 9, 8)
    strided = builder.depthwise(builder.conv(image, 8, 1), 3, stride=2)
    graph = builder.graph(builder.add(strided, builder.conv(image, 8, 3, stride=2)))
    assert ("1:DEPTHWISE_CONV_2D", "3:ADD") not in fused(graph)


@pytest.mark.parametrize("seed", range(8))
def test_residual_and_activation_avoid_each_other(seed):
    """A chain of residual blocks: every tie can be met, so no step takes two cycles."""
    builder = NetworkBuilder(seed)
    image = builder.conv(builder.input(1, 8, 8, 8), 8, 1)
    for block in range(4):
        inner = builder.conv(image, 8, 3) if block % 2 else builder.depthwise(builder.conv(image, 8, 1), 3)
        image = builder.add(inner, image) if seed % 2 else builder.add(image, builder.conv(inner, 8, 3))
    graph = builder.graph(image)
    network = fuse(legalize(graph, PARAMS).networks[0])
    tilings = tile(network, PARAMS)
    banks = choose_banks(network, tilings)
    residuals = [layer for layer in network.layers if layer.residual is not None]
    assert residuals
    for layer in residuals:
        behind = banks[layer.residual.image] - banks[layer.input]
        assert meetings(layer, tilings[layer.name], behind) == 0 or layer.kernel == (1, 1)
    compile_and_compare(graph, PARAMS)


def test_fused_depthwise_reads_at_most_three_rows_at_a_time():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 9, 9, 8), 8, 1)
    graph = builder.graph(builder.add(builder.depthwise(builder.conv(image, 8, 1), (4, 2)), image))
    compilation = compile_steps(graph, PARAMS)
    layer = next(step for step in compilation.runs[0].network.steps if isinstance(step, Layer) and step.mode is Mode.DEPTHWISE)
    assert layer.residual is not None and compilation.runs[0].tilings[layer.name].group_rows <= 3
    compile_and_compare(graph, PARAMS)
