"""Passes, counted by hand."""

import dataclasses

import numpy as np
from tilewright.hw.encoding import decode
from tilewright.hw.params import parse_array
from tilewright.sim.passes import passes

from .assembler import Assembler, Image, Layer, random_layer, random_residual

RNG = np.random.default_rng(0)


def block_of(
    array: str, layer: Layer, source: Image, target: Image, residual: Image | None = None
) -> list[tuple[int, ...]]:
    """Cycles, steps, lead, group and the delay of the first wave, of each pass."""
    assembler = Assembler(parse_array(array))
    assembler.layer(layer, source, target, residual=residual)
    fields = decode(assembler.code[-1])[1]
    return [dataclasses.astuple(each)[:5] for each in passes(fields, assembler.params)]


def test_depthwise_passes() -> None:
    source, target = Image(6, 6, 4, 0, 0, 1), Image(6, 6, 4, 100, 0, 1)
    layer = random_layer(RNG, (3, 3), 1, 4, pads=(1, 1), depthwise=True)
    assert block_of("16x16", layer, source, target) == [(36, 36, 1, 3, 0)]
    assert block_of("4x4", layer, source, target) == [(36, 36, 1, 3, 0)] * 3
    halved = dataclasses.replace(layer, stride=(2, 2))
    assert block_of("16x16", halved, source, Image(3, 3, 4, 100, 0, 1)) == [(18, 18, 1, 3, 0)]  # columns 0 to 5
    wide = random_layer(RNG, (1, 5), 1, 4, pads=(0, 2), depthwise=True)
    assert block_of("4x4", wide, source, target) == [(36, 36, 2, 4, 0), (36, 36, 0, 4, 0)]


def test_packed_passes() -> None:
    # 3 x 3 x 3 is 27 taps, two chunks; rows of 24 bytes start outside (x = -3).
    source, target = Image(8, 1, 24, 0, 0, 2), Image(8, 8, 8, 100, 0, 1)
    layer = random_layer(RNG, (3, 3), 3, 8, pads=(1, 1), packed=True)
    assert block_of("16x16", layer, source, target) == [(64, 64, 0, 0, 0)] * 2
    # 1 x 6 x 3 is 18 bytes, two segments of 9: the second starts at byte 9, so each output row takes a cycle more.
    wide = random_layer(RNG, (1, 6), 3, 8, packed=True)
    assert block_of("16x16", wide, source, Image(8, 3, 8, 100, 0, 1)) == [(24, 24, 0, 0, 0), (32, 24, 0, 0, 1)]


def test_residual_operands_in_the_same_bank() -> None:
    source, target = Image(6, 6, 16, 0, 0, 1), Image(6, 6, 16, 100, 0, 1)
    layer = random_layer(RNG, (3, 3), 16, 16, pads=(1, 1), **random_residual(RNG))
    # The last tap is a row below and a column to the right: 5 x 5 of its 36 pixels are inside.
    for bank, extra in ((0, 0), (1, 25), (2, 0)):
        block = block_of("16x16", layer, source, target, Image(6, 6, 16, 200, bank, 1))
        assert block[-1] == (36 + extra, 36, 0, 0, bank == 1)
        assert block[:-1] == [(36, 36, 0, 0, 0)] * 8
    add = random_layer(RNG, (1, 1), 1, 16, depthwise=True, **random_residual(RNG))
    assert block_of("16x16", add, source, target, Image(6, 6, 16, 200, 0, 1)) == [(72, 36, 0, 1, 1)]
