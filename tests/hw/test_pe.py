"""The processing element against a plain restatement of its registers' meaning, with random inputs in every cycle."""

import random

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.utils import ceil_log2
from tilewright.hw.multiplier import Multiplier
from tilewright.hw.pe import ProcessingElement

from .test_axi import simulate

CYCLES = 400


class WithMultiplier(wiring.Component):
    """A processing element and its multiplier."""

    def __init__(self, pe: ProcessingElement) -> None:
        super().__init__({})
        self._pe = pe

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pe = pe = self._pe
        m.submodules.multiplier = multiplier = Multiplier()
        m.d.comb += [
            multiplier.a[0].eq(pe.operand),
            multiplier.b[0].eq(pe.active),
            pe.product.eq(multiplier.product[0]),
        ]
        return m


@pytest.mark.parametrize("groups", [0, 2, 3, 4])
def test_sums_weights_and_swaps(groups: int) -> None:
    rng = random.Random(groups)
    dut = ProcessingElement(groups=groups, sum_width=18)
    assert ("pixels" in dut.signature.members) == (groups > 0)
    choice = 1 + ceil_log2(groups) if groups else 0  # of an operand, only where there is one
    assert len(dut.row_i.as_value()) == 9 + choice
    shadow = active = 0
    products: list[int] = []  # of the operand that entered in cycle n

    def extreme() -> int:
        return rng.choice((-128, 127, rng.randrange(-128, 128)))

    async def testbench(ctx):
        nonlocal shadow, active
        before = None
        for cycle in range(CYCLES):
            row = {"data": extreme(), "swap": rng.random() < 0.3}
            pixels = [extreme() for _ in range(groups)]
            operand = row["data"]
            if groups:
                row |= {"pixel": rng.random() < 0.7, "group": rng.randrange(groups)}
                operand = pixels[row["group"]] if row["pixel"] else operand
                ctx.set(dut.pixels, pixels)
            weight, shift, total = extreme(), rng.random() < 0.4, rng.randrange(-(1 << 16), 1 << 16)
            ctx.set(dut.row_i, row)
            ctx.set(dut.weight_i, weight)
            ctx.set(dut.shift_i, shift)
            ctx.set(dut.sum_i, total)
            if before:
                assert {name: ctx.get(dut.row_o[name]) for name in before} == before
            # A swap takes the shadow as its operand finds it: a vector of the same cycle belongs to the next tile.
            active = shadow if row["swap"] else active
            shadow = weight if shift else shadow
            products.append(operand * active)
            await ctx.tick()
            before = row
            assert ctx.get(dut.weight_o) == shadow
            assert ctx.get(dut.shift_o) == shift
            if cycle >= dut.LATENCY - 1:
                assert ctx.get(dut.sum_o) == total + products[cycle - (dut.LATENCY - 1)]

    simulate(WithMultiplier(dut), [testbench])
    assert len(products) == CYCLES
