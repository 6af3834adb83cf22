"""ResidualLane against the formula of docs/architecture.md on plain Python integers."""

import random

import pytest
from amaranth.sim import Simulator
from tilewright.hw.residual import ResidualLane

LOWEST, HIGHEST = -(2**27), 2**27 - 1


def expected(case, table_a, table_b):
    if not case["residual"]:
        return case["value"]
    pair = table_a[case["value"] % 256] + table_b[case["operand"] % 256]
    total = pair + case["offset"] - (case["tie"] if pair < 0 else 0)
    return max(case["minimum"], min(case["maximum"], case["zero_point"] + (total >> case["shift"])))


def tables(rng, kind):
    if kind == "wide":
        return [[rng.choice([LOWEST, HIGHEST, rng.randint(LOWEST, HIGHEST)]) for _ in range(256)] for _ in range(2)]
    if kind == "ties":  # sums that are multiples of half a unit, of both signs
        return [[rng.randint(-(2**12), 2**12) << 14 for _ in range(256)] for _ in range(2)]
    return [[rng.randint(-40, 40) for _ in range(256)] for _ in range(2)]


@pytest.mark.parametrize("kind", ["wide", "ties", "small"])
def test_matches_the_definition(kind):
    rng = random.Random(kind)
    lane = ResidualLane()
    table_a, table_b = tables(rng, kind)
    cases = []
    for _ in range(5000):
        shift = {"wide": rng.randint(0, 31), "ties": 15, "small": rng.randint(0, 4)}[kind]
        minimum, maximum = rng.choice([(-128, 127), sorted((rng.randint(-128, 127), rng.randint(-128, 127)))])
        offset = rng.choice([0, (1 << shift) >> 1, LOWEST, HIGHEST, rng.randint(LOWEST, HIGHEST)])
        cases.append({
            "value": rng.randint(-128, 127), "operand": rng.randint(-128, 127), "shift": shift,
            "offset": (1 << shift) >> 1 if kind == "ties" else max(LOWEST, min(HIGHEST, offset)),
            "tie": rng.choice([0, 1, rng.randrange(64)]),
            "zero_point": rng.choice([0, -128, 127, rng.randint(-128, 127)]),
            "minimum": minimum, "maximum": maximum, "residual": rng.random() < 0.8,
        })  # fmt: skip
        cases[-1]["offset_below"] = cases[-1]["offset"] - cases[-1]["tie"]

    async def testbench(ctx):
        ctx.set(lane.write, 1)
        for index in range(256):
            ctx.set(lane.entry, {"index": index, "a": table_a[index], "b": table_b[index]})
            await ctx.tick()
        ctx.set(lane.write, 0)
        for cycle in range(len(cases) + lane.LATENCY):
            if cycle < len(cases):
                ctx.set(lane.value, cases[cycle]["value"])
                ctx.set(lane.operand, cases[cycle]["operand"])
            for name, stage in lane.STAGES.items():
                if 0 <= cycle - stage < len(cases):
                    ctx.set(getattr(lane, name), cases[cycle - stage][name])
            if cycle >= lane.LATENCY:
                case = cases[cycle - lane.LATENCY]
                assert ctx.get(lane.result) == expected(case, table_a, table_b), case
            await ctx.tick()

    simulator = Simulator(lane)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
