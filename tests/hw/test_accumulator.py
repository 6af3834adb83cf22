"""The accumulator against a list of partial sums, with passes as close together as they may be."""

import random
from dataclasses import dataclass

import pytest
from tilewright.hw.accumulator import Accumulator

from .test_axi import simulate

COLS, DEPTH, WIDTH = 3, 8, 20


@dataclass
class Pass:
    """``sums[n][c]`` of result n; ``gaps[n]`` cycles without a result before it."""

    sums: list[list[int]]
    gaps: list[int]
    first: bool
    last: bool
    maximum: bool = False
    end: bool = False


def _block(rng: random.Random, passes: int, results: int, *, maximum: bool = False, gap: float = 0.0) -> list[Pass]:
    limit = 1 << (WIDTH - 1)

    def value() -> int:
        return rng.choice((-limit, limit - 1, rng.randrange(-limit, limit)))

    block = []
    for n in range(passes):
        sums = [[value() for _ in range(COLS)] for _ in range(results)]
        gaps = [0] + [rng.randint(1, 3) if rng.random() < gap else 0 for _ in range(results - 1)]
        block.append(Pass(sums, gaps, n == 0, n == passes - 1, maximum))
    return block


def _expected(passes: list[Pass]) -> list[tuple[list[int], bool, bool]]:
    """Totals in order, each with block end and instruction end."""
    totals, entries = [], []
    for each in passes:
        if each.first:
            entries = each.sums
        else:
            combine = max if each.maximum else (lambda a, b: a + b)
            entries = [list(map(combine, old, new)) for old, new in zip(entries, each.sums, strict=True)]
        if each.last:
            totals += [(entry, False, False) for entry in entries[:-1]] + [(entries[-1], True, each.end)]
    return totals


def _run(passes: list[Pass], rng: random.Random) -> None:
    """Drive waves, and their sums LEAD cycles later, passes at least REUSE cycles apart; check totals and their cycles."""
    dut = Accumulator(cols=COLS, depth=DEPTH, sum_width=WIDTH)
    waves: list[tuple[dict, list[int]] | None] = []
    for each in passes:
        begin = len(waves)
        for n, (sums, gap) in enumerate(zip(each.sums, each.gaps, strict=True)):
            waves += [None] * gap
            final = each.last and n == len(each.sums) - 1
            wave = dict(
                result=1, start=n == 0, first=each.first, last=each.last, maximum=each.maximum,
                block_end=final, end=each.end and final,
            )  # fmt: skip
            waves.append((wave, sums))
        waves += [None] * (Accumulator.REUSE - (len(waves) - begin))
    expected = _expected(passes)
    due = [n + Accumulator.LEAD + Accumulator.LATENCY for n, wave in enumerate(waves) if wave and wave[0]["last"]]
    seen = []

    async def testbench(ctx):
        for cycle in range(len(waves) + Accumulator.LEAD + Accumulator.LATENCY):
            wave = waves[cycle] if cycle < len(waves) else None
            # Between results: flags and sums that mean nothing.
            ctx.set(dut.wave, wave[0] if wave else {"first": rng.random() < 0.5, "last": 1, "end": 1, "block_end": 1})
            former = waves[cycle - Accumulator.LEAD] if 0 <= cycle - Accumulator.LEAD < len(waves) else None
            ctx.set(dut.sums, former[1] if former else [rng.randrange(-9, 9)] * COLS)
            if ctx.get(dut.totals.valid):
                ends = bool(ctx.get(dut.totals.block_end)), bool(ctx.get(dut.totals.end))
                seen.append((cycle, (list(ctx.get(dut.totals.data)), *ends)))
            else:
                assert not ctx.get(dut.totals.block_end) and not ctx.get(dut.totals.end)
            await ctx.tick()

    simulate(dut, [testbench])
    assert seen == list(zip(due, expected, strict=True))


@pytest.mark.parametrize("maximum", [False, True], ids=["add", "max"])
@pytest.mark.parametrize("results", [1, 2, 3, 4, DEPTH])
def test_passes_at_the_smallest_distance(results: int, maximum: bool) -> None:
    """Passes of up to REUSE results start REUSE cycles apart, longer ones without a gap; sums meet."""
    rng = random.Random(results)
    passes = [each for count in (2, 5, 1, 3) for each in _block(rng, count, results, maximum=maximum)]
    passes[-1].end = True
    _run(passes, rng)


def test_passes_with_gaps() -> None:
    rng = random.Random(5)
    passes = []
    for n in range(15):
        passes += _block(rng, rng.randint(1, 4), rng.randint(1, DEPTH), maximum=rng.random() < 0.5, gap=0.5)
        passes[-1].end = n % 4 == 2
    _run(passes, rng)


def test_single_pass_longer_than_the_depth() -> None:
    """It goes past the memory, also right after and right before blocks that use it."""
    rng = random.Random(6)
    _run(_block(rng, 2, DEPTH) + _block(rng, 1, 3 * DEPTH + 1) + _block(rng, 3, DEPTH), rng)


def test_totals_are_32_bits() -> None:
    """Sums add up beyond the width of one."""
    extreme = [[-(1 << (WIDTH - 1))] * COLS]
    _run([Pass(extreme, [0], n == 0, n == 9) for n in range(10)], random.Random(7))
