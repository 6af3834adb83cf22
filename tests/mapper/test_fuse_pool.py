"""Fusion of pools into the layers before them."""

import dataclasses

import pytest
from tilewright.hw.encoding import Fields
from tilewright.hw.isa import Mode, Opcode, Pool
from tilewright.hw.params import Parameters
from tilewright.hw.program import Program
from tilewright.mapper.compile import compile_steps

from .networks import SAME, VALID, NetworkBuilder, compile_and_compare

PARAMS = Parameters(rows=16, cols=16)
SMALL = Parameters(rows=8, cols=4, accumulator_depth=64)


def pools(program: Program) -> list[Fields]:
    """The COMPUTEs with a pool."""
    computes = (fields for opcode, fields in program.decoded() if opcode is Opcode.COMPUTE)
    return [fields for fields in computes if fields["pool"] is not Pool.NONE]


def source(builder: NetworkBuilder, kind: str, height: int, width: int, channels: int) -> str:
    """A tensor for the pool to read, of a layer of some kind."""
    image = builder.input(1, height, width, 3 if kind == "packed" else channels)
    match kind:
        case "packed":
            return builder.conv(image, channels, 3)
        case "depthwise":
            return builder.depthwise(image, 3)
        case "add":
            return builder.add(builder.conv(image, channels, 3), image)
        case "add alone":
            return builder.add(image, image)
    return builder.conv(builder.conv(image, channels, 1), channels, 3)


@pytest.mark.parametrize("params", [PARAMS, SMALL], ids=lambda params: params.array)
@pytest.mark.parametrize("kind", ["dense", "packed", "depthwise", "add"])
@pytest.mark.parametrize(
    ("height", "width", "window"),
    [(8, 8, 2), (9, 7, 2), (7, 9, 3), (12, 8, (3, 8)), (5, 12, (1, 4)), (6, 6, 6), (25, 10, (2, 5)), (17, 3, 2)],
)
def test_maximum(kind, height, width, window, params):
    builder = NetworkBuilder(height)
    graph = builder.graph(builder.maximum(source(builder, kind, height, width, 20), window, stride=window))
    program = compile_and_compare(graph, params)
    high, wide = window if isinstance(window, tuple) else (window, window)
    if kind == "add" and (height % high or width % wide):  # the operand's rows are not cut
        assert pools(program) == []
        return
    assert {(fields["pool_rows"], fields["pool_cols"]) for fields in pools(program)} == {(high, wide)}
    before = program.layers[-2]
    assert program.layers[-1].fused_into == (before.fused_into or before.name)
    assert {tensor.name for tensor in program.tensors}.isdisjoint({program.layers[-2].output})
    unfused = compile_and_compare(graph, params, fuse=False)
    assert pools(unfused) == [] and [layer.fused_into for layer in unfused.layers] == [None] * len(unfused.layers)


@pytest.mark.parametrize("kind", ["dense", "packed", "depthwise", "add"])
@pytest.mark.parametrize(("height", "width", "padding"), [(8, 8, VALID), (25, 5, VALID), (1, 7, SAME), (3, 3, SAME)])
def test_average(kind, height, width, padding):
    builder = NetworkBuilder(height)
    taken = source(builder, kind, height, width, 12)
    graph = builder.graph(builder.average(taken, (height, width), stride=(height, width), padding=padding))
    graph = with_clamps(graph, (-100, 90))
    program = compile_and_compare(graph, PARAMS)
    (pool,) = pools(program)
    assert (pool["pool"], pool["out_rows"] * pool["out_cols"]) == (Pool.AVERAGE, height * width)
    assert program.layers[-1].fused_into is not None
    compile_and_compare(graph, PARAMS, fuse=False)


def with_clamps(graph, clamp):
    """The same activation for every operator."""
    changed = tuple(dataclasses.replace(operator, clamp=clamp) for operator in graph.operators)
    return dataclasses.replace(graph, operators=changed)


def test_average_over_several_blocks_needs_time_between_them():
    """A mean is divided out while the next block's passes run."""
    for depth, fused in ((40, True), (16, False)):  # 3 passes of 9 pixels, or 1
        builder = NetworkBuilder()
        taken = builder.conv(builder.input(1, 3, 3, depth), 40, 1)
        graph = with_clamps(builder.graph(builder.average(taken, 3)), (-128, 127))
        program = compile_and_compare(graph, PARAMS)
        assert bool(pools(program)) == fused


def test_what_follows_an_average_waits_for_it():
    builder = NetworkBuilder()
    image = builder.input(1, 6, 6, 8)
    first = builder.average(builder.conv(image, 8, 3), 6)
    second = builder.conv(image, 8, 3)
    program = compile_and_compare(with_clamps(builder.graph(first, second), (-128, 127)), PARAMS)
    computes = [fields for opcode, fields in program.decoded() if opcode is Opcode.COMPUTE]
    assert [(fields["pool"], fields["wait_compute"]) for fields in computes[:2]] == [(Pool.AVERAGE, 0), (Pool.NONE, 1)]


def test_activation_of_a_maximum_comes_first():
    builder = NetworkBuilder()
    taken = builder.conv(builder.input(1, 8, 8, 8), 8, 3)
    graph = builder.graph(builder.maximum(taken, 2, stride=2))
    for clamps in (((-128, 127), (3, 50)), ((-100, 90), (-20, 127)), ((-128, -30), (10, 20)), ((40, 90), (-10, 20))):
        changed = (dataclasses.replace(op, clamp=clamp) for op, clamp in zip(graph.operators, clamps, strict=True))
        program = compile_and_compare(dataclasses.replace(graph, operators=tuple(changed)), PARAMS)
        assert len(pools(program)) > 0


def test_batches():
    builder = NetworkBuilder()
    taken = builder.conv(builder.input(3, 6, 5, 8), 8, 3)
    graph = builder.graph(builder.maximum(taken, 2, stride=2))
    assert len(pools(compile_and_compare(graph, PARAMS))) >= 3
    builder = NetworkBuilder()
    taken = builder.conv(builder.input(3, 6, 5, 8), 8, 3)
    graph = with_clamps(builder.graph(builder.average(taken, (6, 5))), (-128, 127))
    assert len(pools(compile_and_compare(graph, PARAMS))) == 3


@pytest.mark.parametrize("case", [
    "another reader", "overlapping", "padded", "not whole", "clamped mean", "many pixels", "no pooling",
    "accumulators", "narrow", "an output", "cut operand",
])  # fmt: skip
def test_what_is_not_fused(case):
    builder = NetworkBuilder()
    image = builder.input(1, *((24, 24) if case == "many pixels" else (12, 12)), 8)
    taken = builder.conv(image, 8, 3)
    params = PARAMS
    outputs = []
    match case:
        case "another reader":
            output = builder.add(builder.maximum(taken, 2, stride=2), builder.conv(taken, 8, 3, stride=2))
        case "overlapping":
            output = builder.maximum(taken, 3, stride=2)
        case "padded":
            output = builder.maximum(taken, 5, stride=5, padding=SAME)
        case "not whole":
            output = builder.average(taken, (12, 11))
        case "clamped mean" | "many pixels" | "accumulators":
            output = builder.average(taken, builder.tensors[taken].shape[1:3])
        case "narrow":
            output = builder.maximum(taken, (2, 1), stride=(2, 1))
        case "cut operand":
            output = builder.maximum(builder.add(taken, image), 5, stride=5)
        case _:
            output = builder.maximum(taken, 2, stride=2)
    if case == "an output":
        outputs = [taken]
    if case == "no pooling":
        params = dataclasses.replace(PARAMS, pooling=False)
    if case == "accumulators":
        params = dataclasses.replace(PARAMS, accumulator_depth=128)
    graph = builder.graph(output, *outputs)
    if case in ("many pixels", "accumulators", "not whole"):
        graph = with_clamps(graph, (-128, 127))
    elif case == "clamped mean":
        clamps = ((-128, 127), (0, 127))
        changed = (dataclasses.replace(op, clamp=clamp) for op, clamp in zip(graph.operators, clamps, strict=True))
        graph = dataclasses.replace(graph, operators=tuple(changed))
    assert pools(compile_and_compare(graph, params)) == []


def test_a_depthwise_residual_with_a_mean():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 9, 9, 8), 8, 1)
    total = builder.add(builder.depthwise(builder.conv(image, 8, 3), 3), image)
    graph = with_clamps(builder.graph(builder.average(total, 9)), (-128, 127))
    compilation = compile_steps(graph, PARAMS)
    last = compilation.runs[0].network.layers[-1]
    assert last.pooled is not None and last.residual is not None and last.mode is Mode.DEPTHWISE
    compile_and_compare(graph, PARAMS)
