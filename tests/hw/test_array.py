"""The array with its loader: sums of plain products, under back-to-back tiles, stalls and pixel buses."""

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from amaranth import *
from amaranth.lib import wiring
from tilewright.hw.array import SystolicArray
from tilewright.hw.skew import Delay
from tilewright.hw.tiles import TileLoader

from .test_axi import put, simulate

LATENCY = 2  # from a step to its wave


class LoaderAndArray(wiring.Component):
    """Data enter with their step; weights as the loader brings them."""

    def __init__(self, rows: int, cols: int):
        super().__init__({})
        self.loader = TileLoader(rows=rows, cols=cols, latency=LATENCY)
        self.array = SystolicArray(rows=rows, cols=cols, groups=0)
        self.lanes = Signal(self.array.lanes.shape())

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader = self.loader
        m.submodules.array = self.array
        m.submodules.delay = delay = Delay(self.lanes.shape(), LATENCY)
        m.d.comb += [
            delay.i.eq(self.lanes),
            self.array.lanes.eq(delay.o),
            self.array.weights.eq(self.loader.weights),
            self.array.shift.eq(self.loader.shift),
        ]
        return m


@dataclass
class Tile:
    """A weight tile, and the data that meet it: ``weights[r][c]``, ``steps[m][r]``."""

    weights: list[list[int]]
    steps: list[list[int]]

    def sums(self) -> list[list[int]]:
        columns = list(zip(*self.weights, strict=True))
        return [[sum(a * w for a, w in zip(step, column, strict=True)) for column in columns] for step in self.steps]


def _tile(rng: random.Random, rows: int, cols: int, steps: int) -> Tile:
    def values(count: int) -> list[int]:
        return [rng.choice((-128, 127, rng.randrange(-128, 128))) for _ in range(count)]

    return Tile([values(cols) for _ in range(rows)], [values(rows) for _ in range(steps)])


def _stream(dut: LoaderAndArray, tiles: list[Tile], stall: float, seed: int) -> list[int]:
    """Stream the tiles, each pass starting as soon as it may; check all sums. Returns the cycles of the starts."""
    starts: list[int] = []
    expected: dict[int, list[int]] = {}  # cycle: sums
    rows = len(dut.lanes)

    async def weights(ctx):
        vectors = [
            {"data": int.from_bytes(bytes(w & 255 for w in row), "little"), "last": row is tile.weights[0]}
            for tile in tiles
            for row in reversed(tile.weights)
        ]
        await put(ctx, dut.loader.tiles, vectors, random.Random(seed), stall)

    async def steps(ctx):
        promised = False
        waiting: list[list[int]] = []
        cycle = 0
        while len(starts) < len(tiles) or cycle <= max(expected):
            start = not waiting and promised and len(starts) < len(tiles)
            if start:
                waiting = list(zip(tiles[len(starts)].steps, tiles[len(starts)].sums(), strict=True))
                starts.append(cycle)
            data = [0] * rows
            if waiting:
                step, expected[cycle + LATENCY + dut.array.latency] = waiting.pop(0)
                data[: len(step)] = step
            ctx.set(dut.loader.swap, start)
            ctx.set(dut.lanes, [{"data": value, "swap": start} for value in data])
            if cycle in expected:
                assert list(ctx.get(dut.array.sums)) == expected[cycle]
            promised = ctx.get(dut.loader.comes) or (ctx.get(dut.loader.here) and not start)
            await ctx.tick()
            cycle += 1

    simulate(dut, [steps], background=[weights])
    assert len(expected) == sum(len(tile.steps) for tile in tiles)
    return starts


@pytest.mark.parametrize("shape", [(4, 4), (8, 4), (4, 8)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_smallest_period_between_tiles(shape: tuple[int, int]) -> None:
    """A pass on a tile of n rows starts max(M, n) cycles after the former one, which has M steps."""
    rows, cols = shape
    rng = random.Random(rows)
    sizes = [(used, steps) for used in (rows, 1, rows // 2, rows - 1) for steps in (1, 2, rows - 1, rows, rows + 1)]
    sizes = [size for size in sizes for _ in range(2)]
    sizes += [(rng.randint(1, rows), rng.randint(1, rows + 2)) for _ in range(10)]
    tiles = [_tile(rng, used, cols, steps) for used, steps in sizes]
    starts = _stream(LoaderAndArray(rows, cols), tiles, 0.0, 0)
    periods = [max(steps, used) for (_, steps), (used, _) in pairwise(sizes)]
    assert [after - before for before, after in pairwise(starts)] == periods


@pytest.mark.parametrize("shape", [(4, 4), (8, 4), (4, 8)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("stall", [0.2, 0.7])
def test_stalled_weights(shape: tuple[int, int], stall: float) -> None:
    rows, cols = shape
    rng = random.Random(cols)
    tiles = [_tile(rng, rng.randint(1, rows), cols, rng.randint(1, rows + 2)) for _ in range(20)]
    _stream(LoaderAndArray(rows, cols), tiles, stall, cols)


def test_extreme_sums() -> None:
    """The largest product in every PE fits the sum's width, with either sign."""
    tiles = [Tile([[weight] * 4 for _ in range(8)], [[-128] * 8, [127] * 8]) for weight in (-128, 127)]
    assert tiles[0].sums()[0] == [8 << 14] * 4
    _stream(LoaderAndArray(8, 4), tiles, 0.0, 0)


def test_pixel_buses() -> None:
    """Row r of a wave meets what a bus shows to its column r cycles after the wave entered."""
    rows, cols, groups, waves = 4, 8, 4, 40
    rng = random.Random(3)
    dut = SystolicArray(rows=rows, cols=cols, groups=groups)
    weights = [[rng.randrange(-128, 128) for _ in range(cols)] for _ in range(rows)]
    data = [[rng.randrange(-128, 128) for _ in range(rows)] for _ in range(waves)]
    selects = [[rng.randrange(groups + 1) for _ in range(rows)] for _ in range(waves)]
    pixels = [[[rng.randrange(-128, 128) for _ in range(cols)] for _ in range(groups)] for _ in range(waves + rows)]

    async def testbench(ctx):
        for n, row in enumerate(reversed(weights)):
            ctx.set(dut.weights, row)
            ctx.set(dut.shift, (2 << n) - 1)
            await ctx.tick()
        ctx.set(dut.shift, 0)
        for t in range(waves + dut.latency):
            if t < waves:
                ctx.set(dut.lanes, [
                    {"data": value, "pixel": select > 0, "group": max(select - 1, 0), "swap": t == 0}
                    for value, select in zip(data[t], selects[t], strict=True)
                ])  # fmt: skip
            if t < len(pixels):
                ctx.set(dut.pixels, pixels[t])
            if t >= dut.latency:
                wave = t - dut.latency
                expected = [0] * cols
                for r, c in ((r, c) for r in range(rows) for c in range(cols)):
                    select = selects[wave][r]
                    expected[c] += weights[r][c] * (pixels[wave + r][select - 1][c] if select else data[wave][r])
                assert list(ctx.get(dut.sums)) == expected
            await ctx.tick()

    simulate(dut, [testbench])
