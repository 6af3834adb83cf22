"""The queue of sums: parts in order, as early as promised, and never more vectors than fit."""

import random

import pytest
from tilewright.hw.sum_queue import SumQueue

from .test_axi import simulate

COLS, DELAY = 4, 30  # cycles from a result's step to its sums


@pytest.mark.parametrize("depth", [64, 128])
@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("longest", [1, 7, 64])
def test_parts_follow_in_order(lanes: int, depth: int, longest: int) -> None:
    """Blocks of up to `longest` results start as soon as there is room; parts leave at once, or behind the parts before."""
    rng = random.Random(lanes * depth + longest)
    dut = SumQueue(cols=COLS, lanes=lanes, depth=depth)
    parts = COLS // lanes
    vectors = [[rng.randrange(-(1 << 31), 1 << 31) for _ in range(COLS)] for _ in range(6 * depth)]
    begun: list[int] = []  # the cycle of each result's step
    seen: list[tuple[int, int, list[int], bool, bool]] = []
    waits: list[int] = []

    async def testbench(ctx):
        cycle = left = waiting = 0
        ends = set()
        while len(seen) < parts * len(vectors):
            if left == 0 and len(begun) < len(vectors):
                if ctx.get(dut.room):  # the next cycle's first step
                    left = min(rng.choice((longest, rng.randint(1, longest))), len(vectors) - len(begun))
                    ends.add(len(begun) + left - 1)
                else:
                    waiting += 1
                step = False
            else:
                step = left > 0
            ctx.set(dut.expected, step)
            if step:
                begun.append(cycle)
                left -= 1
            arriving = [n for n, at in enumerate(begun[-2 * DELAY :], max(0, len(begun) - 2 * DELAY)) if at == cycle - DELAY]
            ctx.set(dut.sums.valid, bool(arriving))
            if arriving:
                ctx.set(dut.sums.data, vectors[arriving[0]])
                ctx.set(dut.sums.block_end, arriving[0] in ends)
                ctx.set(dut.sums.end, arriving[0] % 3 == 0)
            if ctx.get(dut.parts.valid):
                flags = bool(ctx.get(dut.parts.block_end)), bool(ctx.get(dut.parts.end))
                seen.append((cycle, ctx.get(dut.parts.part), list(ctx.get(dut.parts.data)), *flags))
            await ctx.tick()
            cycle += 1
        waits.append(waiting)
        expected, free = [], 0
        for n, vector in enumerate(vectors):
            free = max(begun[n] + DELAY + SumQueue.latency(COLS, lanes), free + parts)
            for part in range(parts):
                last = part == parts - 1
                sums = vector[part * lanes : (part + 1) * lanes]
                expected.append((free - parts + 1 + part, part, sums, last and n in ends, last and n % 3 == 0))
        assert seen == expected

    simulate(dut, [testbench])
    if longest == 64:
        assert waits[0] > 0  # or the bound was never met
