"""Watchdog: when it barks, and when not."""

import pytest
from tilewright.hw.watchdog import Watchdog

from .test_axi import simulate


async def cycles_to_expiry(ctx, dut, most):
    for cycle in range(most):
        if (await ctx.tick().sample(dut.expired))[-1]:
            return cycle
    return None


@pytest.mark.parametrize("limit", [1, 2, 10, 100])
def test_expires_after_limit_cycles_without_progress(limit):
    dut = Watchdog()

    async def testbench(ctx):
        ctx.set(dut.limit, limit)
        await ctx.tick().repeat(5)
        ctx.set(dut.running, 1)
        ctx.set(dut.advance, 1)
        assert await cycles_to_expiry(ctx, dut, limit + 20) is None
        ctx.set(dut.advance, 0)
        assert await cycles_to_expiry(ctx, dut, limit + 20) == limit + 1
        assert await cycles_to_expiry(ctx, dut, 3 * limit) is None  # a single pulse

    simulate(dut, [testbench])


def test_progress_restarts_it():
    dut = Watchdog()

    async def testbench(ctx):
        ctx.set(dut.limit, 10)
        await ctx.tick()
        ctx.set(dut.running, 1)
        for _ in range(20):
            ctx.set(dut.advance, 0)
            assert await cycles_to_expiry(ctx, dut, 9) is None
            ctx.set(dut.advance, 1)
            assert await cycles_to_expiry(ctx, dut, 1) is None

    simulate(dut, [testbench])


@pytest.mark.parametrize("limit, running", [(0, 1), (5, 0)])
def test_never_without_limit_or_run(limit, running):
    dut = Watchdog()

    async def testbench(ctx):
        ctx.set(dut.limit, limit)
        ctx.set(dut.running, running)
        assert await cycles_to_expiry(ctx, dut, 100) is None

    simulate(dut, [testbench])
