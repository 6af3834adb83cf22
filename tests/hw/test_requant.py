"""RequantLane against architecture.md's formulas and TensorFlow Lite's primitives, both on plain Python integers."""

import random

import pytest
from amaranth.sim import Simulator
from tilewright.hw.isa import Rounding
from tilewright.hw.requant import RequantLane, SaturatingShift

MULTIPLIERS = [0, 1, 2, 3, 2**15 - 1, 2**16, 2**30 - 1, 2**30, 2**30 + 1, 2**31 - 2, 2**31 - 1]
SUMS = [0, 1, -1, 2, -2, 3, 127, -128, 2**15, -(2**15), 2**16 - 1, 2**30, -(2**30), 2**31 - 2, 2**31 - 1, -(2**31)]


def wrap(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def by_definition(x: int, multiplier: int, shift: int, rounding: Rounding) -> int:
    """The formulas of docs/architecture.md."""
    product = x * multiplier
    if rounding == Rounding.SINGLE:
        return (product + 2 ** (shift - 1)) >> shift if shift else product
    first = min(shift, 31)
    y = (product + 2 ** (first - 1)) >> first if first else product
    rest = shift - 31
    return (y + 2 ** (rest - 1) - (y < 0)) >> rest if rest > 0 else y


def by_tflite(x: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier with C's truncating division; its shift is 31 minus the total right shift."""
    left = max(31 - shift, 0)
    right = max(shift - 31, 0)
    product = wrap(x << left) * multiplier
    nudge = 2**30 if product >= 0 else 1 - 2**30
    high = abs(product + nudge) // 2**31 * (1 if product + nudge >= 0 else -1)
    mask = 2**right - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + ((high & mask) > threshold)


def clamp(x: int, minimum: int, maximum: int) -> int:
    return max(minimum, min(maximum, x))


def tie(rng: random.Random, shift: int) -> tuple[int, int]:
    """A sum and a multiplier whose product is an odd multiple of half a unit, or next to it."""
    low = rng.randint(0, min(shift - 1, 30))
    odd = 2 * rng.randint(-300, 300) + 1
    x = odd << max(shift - 1 - low, 0)
    x = x >> rng.randint(0, 2) if abs(x) >= 2**31 else x
    return clamp(x + rng.choice([0, 0, 0, 1, -1]), -(2**31), 2**31 - 1), min(1 << low, 2**31 - 1)


def vectors(seed: int, count: int) -> list[dict[str, int]]:
    rng = random.Random(seed)
    cases = [
        (x, multiplier, shift)
        for shift in (0, 1, 2, 7, 8, 15, 30, 31, 32, 33, 47, 61, 62)
        for multiplier in MULTIPLIERS
        for x in SUMS
    ]
    while len(cases) < count:
        shift = rng.randint(0, 62)
        kind = rng.randrange(4)
        if kind == 0:
            x, multiplier = rng.randint(-(2**31), 2**31 - 1), rng.randint(0, 2**31 - 1)
        elif kind == 1 and shift:
            x, multiplier = tie(rng, shift)
        else:  # results near the int8 range
            multiplier = rng.choice([rng.randint(2**30, 2**31 - 1), rng.randint(1, 2**31 - 1)])
            x = clamp((rng.randint(-600, 600) << shift) // (2 * multiplier) + rng.randint(-2, 2), -(2**31), 2**31 - 1)
        cases.append((x, multiplier, shift))
    rng.shuffle(cases)
    result = []
    for x, multiplier, shift in cases:
        minimum, maximum = rng.choice([(-128, 127), sorted((rng.randint(-128, 127), rng.randint(-128, 127)))])
        bias = rng.choice([0, rng.randint(-(2**31), 2**31 - 1), rng.randint(-1000, 1000)])
        result.append({
            "sum": wrap(x - bias), "bias": bias, "multiplier": multiplier, "shift": shift,
            "rounding": rng.choice(list(Rounding)), "minimum": minimum, "maximum": maximum,
            "zero_point": rng.choice([0, -128, 127, rng.randint(-128, 127)]),
        })  # fmt: skip
    return result


def expected(case: dict[str, int]) -> int:
    x = wrap(case["sum"] + case["bias"])
    scaled = by_definition(x, case["multiplier"], case["shift"], case["rounding"])
    if case["rounding"] == Rounding.DOUBLE and (case["shift"] >= 31 or abs(x) << (31 - case["shift"]) < 2**31):
        assert scaled == by_tflite(x, case["multiplier"], case["shift"]), case
    return clamp(case["zero_point"] + scaled, case["minimum"], case["maximum"])


@pytest.mark.parametrize("seed", [0, 1])
def test_matches_the_definitions(seed):
    lane = RequantLane()
    cases = vectors(seed, 8000)
    idle = dict.fromkeys(("sum", "bias", "multiplier", "shift", "zero_point", "minimum", "maximum"), 0)
    results = []

    async def testbench(ctx):
        for cycle in range(len(cases) + lane.LATENCY):
            for name in ("sum", "bias", "multiplier", "shift"):
                ctx.set(getattr(lane, name), (cases[cycle] if cycle < len(cases) else idle)[name])
            for name, stage in lane.STAGES.items():
                if 0 <= cycle - stage < len(cases):
                    ctx.set(getattr(lane, name), cases[cycle - stage][name])
            if cycle >= lane.LATENCY:
                results.append(ctx.get(lane.result))
            await ctx.tick()

    simulate(lane, testbench)
    for case, result in zip(cases, results, strict=True):
        assert result == expected(case), case


def test_saturating_shift():
    shifter = SaturatingShift(value_bits=30, amount_bits=5, result_bits=9)
    rng = random.Random(2)
    cases = [(rng.randint(-(2**29), 2**29 - 1) >> rng.randint(0, 29), rng.randint(0, 31)) for _ in range(4000)]
    cases += [(value, amount) for amount in range(32) for value in (-(2**29), 2**29 - 1, -1, 0, 255, 256, -256, -257)]
    cases += [(clamp((edge << amount) + near, -(2**29), 2**29 - 1), amount)
              for amount in range(32) for edge in (-257, -256, 255, 256) for near in (-1, 0, 1)]  # fmt: skip

    async def testbench(ctx):
        for cycle in range(len(cases) + shifter.LATENCY):
            if cycle < len(cases):
                ctx.set(shifter.value, cases[cycle][0])
                ctx.set(shifter.amount, cases[cycle][1])
            if cycle >= shifter.LATENCY:
                value, amount = cases[cycle - shifter.LATENCY]
                assert ctx.get(shifter.result) == clamp(value >> amount, -256, 255), (value, amount)
            await ctx.tick()

    simulate(shifter, testbench)


def simulate(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
