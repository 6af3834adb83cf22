"""Counters: every running cycle once."""

import random
from collections import Counter

from tilewright.hw.counters import Category, Counters

from .test_axi import simulate


def test_categories_sum_to_the_cycles():
    dut = Counters()
    rng = random.Random(3)
    expected = Counter()

    async def testbench(ctx):
        for _ in range(600):
            category, running = rng.choice(list(Category)), rng.random() < 0.7
            ctx.set(dut.category, category)
            ctx.set(dut.running, running)
            await ctx.tick()
            expected[category] += running
        ctx.set(dut.running, 0)
        await ctx.tick()
        assert ctx.get(dut.cycles) == sum(expected.values())
        assert [ctx.get(dut.by_category[c.value]) for c in Category] == [expected[c] for c in Category]

    simulate(dut, [testbench])
