"""SkidBuffer, StreamFIFO and StreamRegister: order, capacity, throughput."""

import random

import pytest
from amaranth.lib import data
from tilewright.hw.stream_fifo import SkidBuffer, StreamFIFO, StreamRegister

from .test_axi import put, simulate, take

SHAPE = data.StructLayout({"a": 9, "b": 3})


@pytest.mark.parametrize("kind", [SkidBuffer, StreamRegister, 3, 4, 8])
@pytest.mark.parametrize("stalls", [(0, 0), (0.5, 0.2), (0.2, 0.5)])
def test_keeps_order(kind, stalls):
    dut = StreamFIFO(SHAPE, kind) if isinstance(kind, int) else kind(SHAPE)
    rng = random.Random(f"{kind} {stalls}")
    sent = [{"a": rng.randrange(512), "b": rng.randrange(8)} for _ in range(100)]
    got, at = [], []

    async def source(ctx):
        await put(ctx, dut.i, sent, random.Random(1), stalls[0])

    async def sink(ctx):
        cycles = await take(ctx, dut.o, got, random.Random(2), stalls[1], count=len(sent))
        at.append(cycles)

    simulate(dut, [source, sink])
    assert [{"a": p.a, "b": p.b} for p in got] == sent
    if stalls == (0, 0):
        assert at[0] <= len(sent) + 3


def test_skid_buffer_takes_two():
    dut = SkidBuffer(8)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        taken = 0
        for _ in range(8):
            taken += ctx.get(dut.i.ready)
            await ctx.tick()
        assert taken == 2

    simulate(dut, [testbench])


def test_level_and_capacity():
    dut = StreamFIFO(8, 5)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(8)
        assert ctx.get(dut.level) == 5
        assert not ctx.get(dut.i.ready)

    simulate(dut, [testbench])
