"""The post-processors of the compact accelerator against architecture.md's formulas on plain Python integers."""

import random

import pytest
from amaranth.sim import Simulator
from tilewright.hw.compact.lane import SUM_BITS
from tilewright.hw.compact.postprocess import LATENCY, ParallelPostProcessor, SerialPostProcessor
from tilewright.hw.isa import Rounding
from tilewright.hw.legality_compact import SHIFTS
from tilewright.hw.requant import RequantLane

MOST = (1 << SUM_BITS - 1) - 1
Settings = tuple[bool, int, int, int]


def by_definition(total: int, multiplier: int, shift: int, settings: Settings) -> int:
    """A result as a byte."""
    double, zero_point, minimum, maximum = settings
    product = total * multiplier
    if double and shift > 31:
        y = (product + 2**30) >> 31
        rounded = (y + 2 ** (shift - 32) - (y < 0)) >> (shift - 31)
    else:
        rounded = (product + 2 ** (shift - 1)) >> shift
    return max(minimum, min(maximum, rounded + zero_point)) & 0xFF


def hard(rng: random.Random, multiplier: int, shift: int) -> int:
    """A sum, often one whose result is an int8 or just none; often next to a tie."""
    kind = rng.randrange(8)
    if kind == 0 or not multiplier:
        return rng.choice([0, 1, -1, MOST, -MOST - 1, rng.randint(-MOST - 1, MOST)])
    target = rng.uniform(-300, 300) if kind < 4 else rng.randint(-150, 150) + 0.5
    return max(-MOST - 1, min(MOST, round(target * 2**shift / multiplier) + rng.choice([0, 0, 1, -1])))


async def load(ctx, dut: SerialPostProcessor | ParallelPostProcessor, constants: list[tuple[int, int]]) -> None:
    """Load the channels' multipliers and shifts."""
    for plane in range(5):
        values = [shift if plane == 4 else multiplier >> 8 * plane & 0xFF for multiplier, shift in constants]
        ctx.set(dut.constants, int.from_bytes(bytes(values), "little"))
        ctx.set(dut.load, 1 << plane)
        await ctx.tick()
    ctx.set(dut.load, 0)


async def requantize_serially(
    ctx, dut: SerialPostProcessor, constants: list[tuple[int, int]], rows: list[list[int]]
) -> list[bytes]:
    """Put rows of sums through the lanes, one behind the other."""
    period = ctx.get(dut.period)
    assert period == max(shift for _, shift in constants) // 2 + 1
    results = []
    lanes = len(constants)
    for sums in [*rows, [0] * lanes]:
        for lane in range(lanes):
            ctx.set(dut.lane, lane)
            ctx.set(dut.sums[lane], sums[lane])
            ctx.set(dut.start, 1)
            await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(LATENCY - 1)
        results.append(ctx.get(dut.result).to_bytes(lanes, "little"))
        await ctx.tick().repeat(period - lanes - LATENCY + 1)
    return results[1:]


async def requantize_in_parts(ctx, dut: ParallelPostProcessor, parts: int, rows: list[list[int]]) -> list[bytes]:
    """Put rows of sums through the lanes without a pause; behind the last one come others, which nobody wants."""
    ready = 1 + parts - 1 + RequantLane.LATENCY  # cycles from a row's first one to its result
    columns = len(rows[0])
    results = []
    for cycle in range(ready + parts * len(rows)):
        row = cycle // parts
        for column in range(columns):
            ctx.set(dut.sums[column], rows[row][column] if row < len(rows) else cycle)
        ctx.set(dut.part, (cycle - 1) % parts)
        if cycle >= ready and (cycle - ready) % parts == 0:
            results.append(ctx.get(dut.result).to_bytes(columns, "little"))
        await ctx.tick()
    return results


@pytest.mark.parametrize(("columns", "lanes"), [(4, 0), (8, 0), (4, 4), (8, 4), (8, 2), (8, 8)])
@pytest.mark.parametrize("seed", range(4))
def test_results(seed: int, columns: int, lanes: int) -> None:
    """``lanes`` is 0 for serial ones."""
    rng = random.Random(seed)
    dut = ParallelPostProcessor(columns, lanes=lanes, target="generic") if lanes else SerialPostProcessor(columns)
    wrong = []

    async def bench(ctx) -> None:
        for _ in range(60):
            zero_point, (minimum, maximum) = rng.randint(-128, 127), sorted(rng.sample(range(-128, 128), 2))
            if rng.random() < 0.6:
                minimum, maximum = -128, 127
            settings = (rng.random() < 0.7, zero_point, minimum, maximum)
            ctx.set(dut.rounding, Rounding.DOUBLE if settings[0] else Rounding.SINGLE)
            for name, value in zip(("zero_point", "minimum", "maximum"), settings[1:], strict=True):
                ctx.set(getattr(dut, name), value)
            shifts = [rng.choice(SHIFTS[:12] if rng.random() < 0.5 else SHIFTS) for _ in range(columns)]
            multipliers = [rng.choice([0, 2**30, 2**31 - 1, rng.randrange(2**31), rng.randrange(2**30, 2**31)]) for _ in shifts]
            constants = list(zip(multipliers, shifts, strict=True))
            rows = [[hard(rng, *constant) for constant in constants] for _ in range(8)]
            await load(ctx, dut, constants)
            if isinstance(dut, SerialPostProcessor):
                results = await requantize_serially(ctx, dut, constants, rows)
            else:
                results = await requantize_in_parts(ctx, dut, columns // lanes, rows)
            for sums, result in zip(rows, results, strict=True):
                expected = [by_definition(x, *constant, settings) for x, constant in zip(sums, constants, strict=True)]
                if list(result) != expected:
                    wrong.append((sums, constants, settings, list(result), expected))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert not wrong, f"{len(wrong)} wrong, the first: {wrong[0]}"
