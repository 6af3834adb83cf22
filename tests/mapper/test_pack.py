"""Packed mode: thin images are read as rows of bytes."""

import pytest
from tilewright.hw.isa import Mode, Opcode
from tilewright.hw.params import Parameters
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.tiling import passes

from .networks import VALID, NetworkBuilder, compile_and_compare

SIDES = (4, 8, 16, 32)


def packed_passes(build, params) -> int:
    """Passes per output channel block of the only layer, which must be a packed one."""
    builder = NetworkBuilder()
    graph = builder.graph(build(builder))
    compilation = compile_steps(graph, params)
    (layer,) = compilation.runs[0].network.layers
    assert layer.mode is Mode.PACKED
    compile_and_compare(graph, params)
    return passes(layer, compilation.runs[0].tilings[layer.name], params)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda b: b.conv(b.input(1, 32, 32, 3), 16, 3), 2),  # 27 taps
        (lambda b: b.conv(b.input(1, 96, 96, 3), 8, 3, stride=2), 2),
        (lambda b: b.conv(b.input(1, 49, 10, 1), 64, (10, 4), stride=2), 3),  # 40 taps
        (lambda b: b.conv(b.input(1, 20, 20, 1), 4, (9, 3)), 3),  # 27 taps, but four kernel rows at a time
        (lambda b: b.conv(b.input(1, 20, 20, 3), 4, (2, 7)), 3),  # 21 bytes in three segments of 7, 14 taps each
    ],
)
def test_taps_fill_the_rows(build, expected):
    assert packed_passes(build, Parameters(rows=16, cols=16)) == expected


@pytest.mark.parametrize("rows", SIDES)
@pytest.mark.parametrize("cols", SIDES)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_array(rows, cols, channels):
    builder = NetworkBuilder(rows + cols + channels)
    image = builder.input(1, 19, 23, channels)
    options = [
        {"kernel": (3, 5), "stride": (2, 1)},
        {"kernel": (4, 7), "dilation": (2, 2), "padding": (3, 6, 2, 5)},
        {"kernel": (1, 2), "stride": 2, "padding": VALID},
    ]
    outputs = [builder.conv(image, 9, **option) for option in options]
    compile_and_compare(builder.graph(*outputs), Parameters(rows=rows, cols=cols, accumulator_depth=128))


def test_rows_are_loaded_beside_pixels_for_other_readers():
    builder = NetworkBuilder()
    image = builder.input(2, 12, 12, 3)
    graph = builder.graph(builder.conv(image, 5, 3), builder.maximum(image, 2), builder.conv(image, 4, (5, 3)))
    program = compile_and_compare(graph, Parameters(rows=16, cols=16))
    channels = {fields["channels"] for opcode, fields in program.decoded() if opcode is Opcode.LOAD}
    assert channels == {3, 36}


def test_kernel_of_too_many_chunks_stays_dense():
    builder = NetworkBuilder()
    graph = builder.graph(builder.conv(builder.input(1, 70, 40, 1), 2, (60, 31), padding=VALID, stride=8))
    params = Parameters(rows=4, cols=4)
    assert [layer.mode for layer in compile_steps(graph, params).runs[0].network.layers] == [Mode.DENSE]
    compile_and_compare(graph, params)


def test_off_without_the_mode_or_with_a_residual_operand():
    builder = NetworkBuilder()
    image = builder.input(1, 12, 12, 3)
    graph = builder.graph(builder.conv(image, 5, 3))
    (layer,) = compile_steps(graph, Parameters(rows=16, cols=16, packed=False)).runs[0].network.layers
    assert layer.mode is Mode.DENSE
    builder = NetworkBuilder()
    image = builder.input(1, 12, 12, 3)
    graph = builder.graph(builder.add(builder.conv(image, 3, 3), image))
    assert [layer.mode for layer in compile_steps(graph, Parameters(rows=16, cols=16)).runs[0].network.layers] == [Mode.DENSE]
    compile_and_compare(graph, Parameters(rows=16, cols=16))
