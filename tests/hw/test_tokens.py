"""Tokens: the modulo comparison, the counts, the gate."""

import random

import pytest
from tilewright.hw import isa
from tilewright.hw.tokens import TokenCounts, TokenGate

from .test_axi import put, simulate, take


def reached(count, wait):
    """The rule of hw/isa.py."""
    return (count - wait) % 2**16 < 2**15


def test_counts_pulses_and_wraps():
    dut = TokenCounts()

    async def testbench(ctx):
        ctx.set(dut.done.load, 1)
        assert ctx.get(dut.coming) == {"load": 1, "compute": 0, "store": 0}
        await ctx.tick().repeat(3)
        ctx.set(dut.done, {"load": 0, "compute": 1, "store": 1})
        await ctx.tick().repeat(2)
        assert ctx.get(dut.counts) == {"load": 3, "compute": 2, "store": 2}
        ctx.set(dut.hold, 1)
        assert ctx.get(dut.coming) == {"load": 3, "compute": 2, "store": 2}
        await ctx.tick().repeat(5)
        assert ctx.get(dut.counts) == {"load": 3, "compute": 2, "store": 2}

    simulate(dut, [testbench])


@pytest.mark.parametrize("name", ["load", "compute", "store"])
def test_gate_compares_modulo(name):
    dut = TokenGate(isa.TRANSFER)
    rng = random.Random(name)
    edges = [0, 1, 2**15 - 1, 2**15, 2**15 + 1, 2**16 - 1]
    pairs = [(c, w) for c in edges for w in edges] + [(rng.randrange(2**16), rng.randrange(2**16)) for _ in range(50)]

    async def testbench(ctx):
        others = {"load", "compute", "store"} - {name}
        for count, wait in pairs:
            ctx.set(dut.coming, {name: count} | dict.fromkeys(others, 7))
            ctx.set(
                dut.i.payload,
                {"opcode": isa.Opcode.LOAD, f"wait_{name}": wait, "offset": wait} | {f"wait_{o}": 7 for o in others},
            )
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.o.ready, 0)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            assert ctx.get(dut.o.valid) == reached(count, wait)
            assert ctx.get(dut.waiting) == {
                n: int(n == name and not reached(count, wait)) for n in ("load", "compute", "store")
            }
            assert ctx.get(dut.busy)
            ctx.set(dut.coming[name], wait)
            await ctx.tick()
            assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload.offset) == wait
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            assert not ctx.get(dut.busy) and not ctx.get(dut.waiting.as_value())

    simulate(dut, [testbench])


def test_gate_keeps_order_behind_random_counts():
    dut = TokenGate(isa.TRANSFER)
    rng = random.Random(1)
    waits = sorted(rng.randrange(60) for _ in range(80))
    got, counts = [], []

    async def source(ctx):
        await put(
            ctx,
            dut.i,
            [{"opcode": isa.Opcode.LOAD, "wait_store": w, "offset": n} for n, w in enumerate(waits)],
            rng,
            0.2,
        )

    async def count(ctx):
        for value in range(61):
            ctx.set(dut.coming.store, value)
            await ctx.tick().repeat(rng.randint(1, 6))

    async def watch(ctx):
        stores = 0  # what the counts show now
        while len(counts) < len(waits):
            *_, valid, ready, payload, coming = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload, dut.coming.store
            )
            if valid and ready:
                assert stores >= payload.wait_store
                counts.append(stores)
            stores = coming

    async def sink(ctx):
        await take(ctx, dut.o, got, random.Random(3), 0.2)

    simulate(dut, [source, count, watch], [sink])
    assert [payload.offset for payload in got] == list(range(80))


def test_gate_passes_one_in_two_cycles():
    dut = TokenGate(isa.TRANSFER)
    got = []

    async def source(ctx):
        await put(ctx, dut.i, [{"opcode": isa.Opcode.LOAD}] * 30, random.Random(0))

    async def sink(ctx):
        assert await take(ctx, dut.o, got, random.Random(0), count=30) == 60

    simulate(dut, [source, sink])
