"""The listing of a program."""

import numpy as np
from tilewright.hw.disassemble import disassemble
from tilewright.hw.isa import Pool
from tilewright.hw.params import parse_array

from ..sim.assembler import Assembler, random_layer, random_residual
from .example import example
from .test_legality import change

LISTING = """\
; example for 4x4, 5 instructions, 432 bytes of weights
; in  x 1x4x4x5 int8 input+0x0
; out y 1x4x4x5 int8 output+0x0
    0 L1    LOAD                      input+0x0 1 x 80 bytes, pitch 0 -> @0:0 row 8 4x4x5
; CONV_2D conv
    1       WEIGHTS                   weights+0x0 432 bytes, 2 blocks of 9 constants, 9 x (1 x 4 + 1) rows
    2 C1    COMPUTE L1                dense 4x4 blocks 2 passes 3x3x2 rows 4/1; stride 1,1 tap 1,1; in \
@3:65526 row 8 x 2 tap 2; at -1,-1 of 4x4 pad -23; out @1:8 row 8 x 2; zero -3 -106..123
; = y 1x4x4x5 @1:8 row 8 x 2
    3 S1    STORE   L1 C1             @1:8 row 8 4x4x5 -> output+0x0 1 x 80 bytes, pitch 0
    4       END     L1 C1 S1
; host SOFTMAX y, c -> p
"""


def test_listing() -> None:
    assert disassemble(example()) == LISTING


def test_listing_of_pools() -> None:
    program = example()
    maximum = change(program, 2, pool=Pool.MAX, pool_rows=2, pool_cols=3)
    assert disassemble(maximum) == LISTING.replace("-106..123\n", "-106..123; max pool 2x3\n")
    average = change(program, 2, pool=Pool.AVERAGE, pool_multiplier=32769, pool_shift=3)
    assert "; average pool multiplier 32769 shift 19\n" in disassemble(average)


def test_listing_of_tables_and_modes() -> None:
    rng = np.random.default_rng(0)
    assembler = Assembler(parse_array("16x16"))
    source, target = assembler.image(4, 4, 5), assembler.image(4, 4, 5, bank=2)
    assembler.load(source)
    layer = random_layer(rng, (3, 3), 1, 5, pads=(1, 1), depthwise=True, **random_residual(rng))
    assembler.layer(layer, source, target, residual=target)
    text = disassemble(assembler.end())
    assert "weights+0x0 2048 bytes, residual tables" in text
    assert "depthwise group 3 period 4 4x4 blocks 1 passes 1x1x1 rows 9;" in text
    assert "; residual @2:" in text
