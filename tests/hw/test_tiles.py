"""The tile loader against a plain chain of shadow registers, as docs/architecture.md describes it."""

import random

import pytest
from tilewright.hw.tiles import TileLoader

from .test_axi import put, simulate

COLS = 4


def _vectors(tile: list[list[int]]) -> list[dict]:
    """A tile as it is streamed: the highest row first."""
    data = [int.from_bytes(bytes(weight & 255 for weight in row), "little") for row in reversed(tile)]
    return [{"data": vector, "last": n == len(data) - 1} for n, vector in enumerate(data)]


def _random_tiles(rng: random.Random, rows: int, count: int) -> list[list[list[int]]]:
    sizes = [rng.choice((1, rows, rng.randint(1, rows))) for _ in range(count)]
    return [[[rng.randrange(-128, 128) for _ in range(COLS)] for _ in range(size)] for size in sizes]


def _promise(ctx, dut: TileLoader) -> bool:
    """Whether a whole tile will be in the registers in the next cycle."""
    return bool(ctx.get(dut.comes) or (ctx.get(dut.here) and not ctx.get(dut.swap)))


@pytest.mark.parametrize("rows", [4, 8])
@pytest.mark.parametrize("latency", [1, 2, 4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_tiles_reach_their_rows(rows: int, latency: int, stall: float) -> None:
    rng = random.Random(rows + latency)
    tiles = _random_tiles(rng, rows, 25)
    dut = TileLoader(rows=rows, cols=COLS, latency=latency)
    starts: list[int] = []  # cycles in which a pass starts
    arrivals: list[list[list[int]]] = []

    async def weights(ctx):
        await put(ctx, dut.tiles, [vector for tile in tiles for vector in _vectors(tile)], random.Random(1), stall)

    async def passes(ctx):
        """Starts passes in the first cycle that is promised, or later; row r copies its weights r cycles after that."""
        shadow = [[0] * COLS for _ in range(rows)]
        promised = loaded = False
        left = 0  # steps of the running pass
        cycle = 0
        while len(starts) < len(tiles) or cycle <= starts[-1] + latency + rows:
            assert promised == loaded, "a promise was taken back"
            start = promised and left == 0 and len(starts) < len(tiles) and rng.random() >= stall
            ctx.set(dut.swap, start)
            if start:
                starts.append(cycle)
                arrivals.append([])
                left = rng.randint(1, 2 * rows)
            left = max(0, left - 1)
            for tile, began in zip(arrivals, starts, strict=True):
                if 0 <= cycle - began - latency < rows:
                    tile.append(shadow[cycle - began - latency])
            ready_next = _promise(ctx, dut)
            *_, shift, new = await ctx.tick().sample(dut.shift, dut.weights)
            chain = [list(new), *shadow]
            shadow = [chain[r] if shift >> r & 1 else shadow[r] for r in range(rows)]
            loaded = ready_next if start or not promised else True
            promised = ready_next
            cycle += 1

    simulate(dut, [passes], background=[weights])
    for tile, arrived in zip(tiles, arrivals, strict=True):
        assert arrived[: len(tile)] == tile


def test_back_pressure_and_smallest_period() -> None:
    """A tile waits for the swap that frees the registers, and its first vector enters in the swap's own cycle."""
    rows = 4
    dut = TileLoader(rows=rows, cols=COLS, latency=1)

    async def testbench(ctx):
        for period in (1, 2, 3, 4):  # tiles of so many vectors, with a swap as soon as one is promised
            ctx.set(dut.tiles.valid, 1)
            swap = 0
            for cycle in range(4 * period):
                ctx.set(dut.swap, swap)
                ctx.set(dut.tiles.payload.last, cycle % period == period - 1)
                assert ctx.get(dut.tiles.ready), "taken in every cycle"
                swap = _promise(ctx, dut)
                assert swap == (cycle % period == period - 1)
                await ctx.tick()
                assert ctx.get(dut.shift) == (2 << cycle % period) - 1, "one more row shifts with each vector"
            # Full: nothing enters, and the promise holds until the swap.
            ctx.set(dut.swap, 0)
            for _ in range(3):
                assert not ctx.get(dut.tiles.ready)
                assert _promise(ctx, dut)
                await ctx.tick()
                assert ctx.get(dut.shift) == 0
            ctx.set(dut.swap, 1)
            ctx.set(dut.tiles.valid, 0)
            assert ctx.get(dut.tiles.ready)
            assert not _promise(ctx, dut)
            await ctx.tick()
            ctx.set(dut.swap, 0)
            assert not _promise(ctx, dut)

    simulate(dut, [testbench])
