"""Concatenations: the parts lie in the whole, and nothing is copied, where instructions can do that."""

from dataclasses import replace

import numpy as np
import pytest
from tilewright.hw.isa import Opcode
from tilewright.hw.params import Parameters
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.ir import Concatenation
from tilewright.mapper.layer import Join, Move
from tilewright.sim.hazards import find_hazards

from .networks import SAME, compare
from .operator_networks import OperatorBuilder
from .test_lower_operators import inputs

ARRAYS = [Parameters(rows=8, cols=8), Parameters(rows=16, cols=8), Parameters(rows=4, cols=16)]


def alike(builder, *names):
    """The tensors, quantized as the first of them."""
    first = builder.tensors[names[0]].quantization
    for name in names:
        builder.tensors[name] = replace(builder.tensors[name], quantization=first)
    return names


def joined(builder, *outputs, params):
    """Compile, compare every tensor with and without fusion; the steps that join."""
    graph = builder.graph(*outputs)
    found = ()
    for fuse in (False, True):
        compilation = compile_steps(graph, params, fuse=fuse)
        assert find_hazards(compilation.program) == ()
        for seed in range(2):
            compare(graph, compilation.program, inputs(graph, seed))
        found = [step for run in compilation.runs for step in run.network.steps if isinstance(step, Join | Move)]
    return compilation, found


@pytest.mark.parametrize("params", ARRAYS, ids=lambda params: params.array)
@pytest.mark.parametrize("last", [1, 23])
def test_channels(params, last):
    builder = OperatorBuilder(1)
    image = builder.conv(builder.input(1, 6, 7, 5), 12, 3)
    parts = [builder.conv(image, 32, 1), builder.conv(image, 16, 3), builder.depthwise(builder.conv(image, last, 1), 3)]
    whole = builder.concatenate(*alike(builder, *parts), axis=3)
    again = builder.conv(parts[1], 8, 3)
    outputs = [builder.conv(whole, 9, 3), builder.depthwise(whole, 3, padding=SAME), again]
    compilation, steps = joined(builder, *outputs, params=params)
    assert [type(step) for step in steps] == [Join]
    assert whole in {image.name for image in compilation.program.tensors}
    (row,) = (row for row in compilation.program.layers if row.op == Concatenation.KIND)
    assert (row.where, row.fused_into, row.first_instruction) == ("accelerator", "4:DEPTHWISE_CONV_2D", None)


@pytest.mark.parametrize(("params", "dtype"), [(ARRAYS[0], "int8"), (ARRAYS[1], "uint8"), (ARRAYS[2], "int8")])
@pytest.mark.parametrize("axis", [1, 2])
def test_rows_and_columns(params, dtype, axis):
    builder = OperatorBuilder(2, dtype)
    image = builder.input(1, 6, 5, 11)
    parts = [image, builder.conv(image, 11, 3), builder.lookup(builder.conv(image, 11, 1)), builder.constant((1, 6, 5, 11))]
    whole = builder.concatenate(*alike(builder, *parts), axis=axis)
    _, steps = joined(builder, builder.conv(whole, 9, 3), whole, builder.add(parts[1], parts[2]), params=params)
    assert [type(step) for step in steps] == [Join]


def test_what_has_no_place_in_the_whole_is_moved():
    params = ARRAYS[0]

    def kinds(make):
        builder = OperatorBuilder(3)
        image = builder.conv(builder.input(1, 6, 6, 5), 16, 1)
        left, right = builder.conv(image, 16, 3), builder.conv(image, 16, 1)
        parts, outputs = make(builder, image, left, right)
        whole = builder.concatenate(*alike(builder, *parts), axis=3)
        compilation, steps = joined(builder, builder.conv(whole, 4, 1), *outputs, params=params)
        remarks.update(compilation.moved.values())
        return [type(step) for step in steps]

    remarks: set[str] = set()
    assert kinds(lambda b, x, left, right: ((left, right), ())) == [Join]
    assert kinds(lambda b, x, left, right: ((left, left), ())) == [Move]
    assert kinds(lambda b, x, left, right: ((left, right), (right,))) == [Move]  # stored, which is done in dense pixels
    assert kinds(lambda b, x, left, right: ((b.conv(x, 12, 1), right), ())) == [Move]  # no whole vectors
    assert kinds(lambda b, x, left, right: ((b.input(1, 6, 6, 16), right), ())) == [Move]
    assert kinds(lambda b, x, left, right: ((left, b.add(right, x)), ())) == [Move]  # a residual operand has the same step
    assert kinds(lambda b, x, left, right: ((left, right), (b.add(right, x),))) == [Join]
    assert kinds(lambda b, x, left, right: ((left, right), (b.add(x, right),))) == [Move]
    assert "through external memory: a part's channels begin at no multiple of 8" in remarks and len(remarks) == 3


def test_a_part_joined_twice_and_a_whole_that_is_a_part():
    builder = OperatorBuilder(4)
    image = builder.conv(builder.input(1, 6, 6, 5), 16, 1)
    left, right = builder.conv(image, 16, 3), builder.conv(image, 16, 1)
    alike(builder, left, right)
    first = builder.concatenate(left, right, axis=1)
    second = builder.concatenate(*alike(builder, left, builder.conv(first, 16, 1)), axis=1)
    third = builder.concatenate(*alike(builder, first, builder.conv(second, 16, 1)), axis=1)
    _, steps = joined(builder, builder.conv(third, 7, 3), params=ARRAYS[0])
    assert [type(step) for step in steps] == [Join, Move, Move]


def test_it_saves_the_way_through_external_memory():
    builder = OperatorBuilder(5)
    image = builder.conv(builder.input(1, 8, 8, 3), 16, 3)
    whole = builder.concatenate(*alike(builder, builder.conv(image, 16, 1), builder.conv(image, 16, 3)), axis=3)
    graph = builder.graph(builder.conv(whole, 8, 1))
    programs = [compile_steps(graph, ARRAYS[0], fuse=fuse).program for fuse in (False, True)]
    moved = [sum(opcode in (Opcode.LOAD, Opcode.STORE) for opcode, _ in program.decoded()) for program in programs]
    assert moved[1] <= moved[0] - 3
    assert np.array(moved).min() > 0
