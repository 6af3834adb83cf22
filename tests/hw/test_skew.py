"""Delays and skews of random vectors."""

import gc
import random

import pytest
from amaranth import *
from amaranth.lib import wiring
from tilewright.hw.skew import Delay, Skew

from .test_axi import simulate


def _respond(dut: wiring.Component, inputs: list) -> list:
    """What the output shows in each cycle, beginning with that of the first input."""
    outputs = []

    async def testbench(ctx):
        for value in inputs:
            ctx.set(dut.i, value)
            shown = ctx.get(dut.o)
            outputs.append(shown if isinstance(shown, int) else list(shown))
            await ctx.tick()

    m = Module()
    m.domains.sync = ClockDomain()  # a delay of 0 cycles has none of its own
    m.submodules.dut = dut
    simulate(m, [testbench])
    return outputs


@pytest.mark.parametrize("cycles", [0, 1, 2, 7])
def test_delay(cycles: int) -> None:
    rng = random.Random(cycles)
    inputs = [rng.randrange(-128, 128) for _ in range(30)]
    assert _respond(Delay(signed(8), cycles), inputs) == ([0] * cycles + inputs)[: len(inputs)]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_negative_delay() -> None:
    with pytest.raises(ValueError, match="-1"):
        Delay(unsigned(1), -1)
    gc.collect()  # of the component that did not come to be, while its warning is ignored


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_skew(lanes: int, falling: bool) -> None:
    rng = random.Random(lanes)
    inputs = [[rng.randrange(-128, 128) for _ in range(lanes)] for _ in range(30)]
    outputs = _respond(Skew(signed(8), lanes, falling=falling), inputs)
    for cycle, output in enumerate(outputs):
        for lane, value in enumerate(output):
            came = cycle - (lanes - 1 - lane if falling else lane)
            assert value == (inputs[came][lane] if came >= 0 else 0)
