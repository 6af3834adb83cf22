"""WeightEngine: what comes out against the stream's bytes, and how fast."""

import random

import pytest
from amaranth.hdl import Fragment
from tilewright.hw import isa
from tilewright.hw.weights import WeightEngine

from .test_axi import Memory, put, simulate
from .test_load import SIZE, Bench

SHAPES = [(4, 4), (4, 16), (8, 8), (8, 16), (16, 16), (16, 4), (32, 4), (32, 16)]  # cols, beat bytes
BASE = 0x4000


def tile_stream(rng, cols, offset, **fields):
    """A random TILES instruction, or one of these fields, at `offset`."""
    fields = {
        "blocks": rng.randint(1, 3), "groups": rng.randint(1, 3), "tiles": rng.randint(1, 3), "rows": rng.randint(1, 9),
        "last_rows": rng.randint(1, 9), "base": rng.choice([isa.Base.WEIGHTS, isa.Base.SCRATCH]), "offset": offset,
        "opcode": isa.Opcode.WEIGHTS, "stream": isa.Stream.TILES,
    } | fields  # fmt: skip
    tiles = fields["groups"] * ((fields["tiles"] - 1) * fields["rows"] + fields["last_rows"])
    return fields | {"bytes": cols * fields["blocks"] * (isa.CONSTANT_VECTORS + tiles)}


def table_stream(offset):
    return {
        "base": isa.Base.WEIGHTS, "offset": offset, "bytes": isa.TABLE_BYTES, "stream": isa.Stream.TABLES,
        "opcode": isa.Opcode.WEIGHTS,
    }  # fmt: skip


def signed28(word):
    return (word + 2**27) % 2**28 - 2**27


def expected_items(instruction, memory, cols):
    """("constants", plane, data), ("tiles", last, data) or ("tables", index, a, b), in order."""
    at = BASE + instruction["offset"]

    def vector():
        nonlocal at
        at += cols
        return int.from_bytes(memory.bytes[at - cols : at], "little")

    if instruction["stream"] == isa.Stream.TABLES:
        for index in range(256):
            a, b = (int.from_bytes(memory.bytes[at + 8 * index + n :][:4], "little") for n in (0, 4))
            yield "tables", index, signed28(a), signed28(b)
        return
    for _ in range(instruction["blocks"]):
        for plane in range(9):
            yield "constants", plane, vector()
        for _ in range(instruction["groups"]):
            for tile in range(instruction["tiles"]):
                rows = instruction["last_rows" if tile == instruction["tiles"] - 1 else "rows"]
                for row in range(rows):
                    yield "tiles", int(row == rows - 1), vector()


def item(kind, payload):
    match kind:
        case "tiles":
            return kind, payload.last, payload.data
        case "constants":
            return kind, payload.plane, payload.data
    return kind, payload.index, payload.a, payload.b


def collector(dut, kinds, items, rng, stall, times=None):
    """Take from all outputs into one list; at most one may have something at a time."""

    async def bench(ctx):
        held, cycle = None, 0
        outputs = {kind: getattr(dut, kind) for kind in kinds}
        while True:
            ready = {kind: rng.random() >= stall for kind in kinds}
            for kind, output in outputs.items():
                ctx.set(output.ready, ready[kind])
            sampled = [signal for output in outputs.values() for signal in (output.valid, output.payload)]
            values = (await ctx.tick().sample(*sampled))[-len(sampled) :]
            offered = [(kind, values[2 * n + 1]) for n, kind in enumerate(kinds) if values[2 * n]]
            assert len(offered) <= 1
            now = item(*offered[0]) if offered else None
            assert held is None or now == held
            held = now
            if offered and ready[offered[0][0]]:
                items.append(now)
                held = None
                if times is not None:
                    times.append(cycle)
            cycle += 1

    return bench


def base_setter(dut):
    async def bench(ctx):
        for base in (isa.Base.WEIGHTS, isa.Base.SCRATCH):
            ctx.set(dut.bases[base.value], BASE + 5)  # the low bits do not count

    return bench


@pytest.mark.parametrize("cols, beat_bytes", SHAPES)
@pytest.mark.parametrize("latency, stall", [((20, 20), 0.0), ((1, 30), 0.35)])
def test_hands_out_streams(cols, beat_bytes, latency, stall):
    dut = WeightEngine(cols, beat_bytes, 1024)
    rng = random.Random(f"{cols} {beat_bytes} {stall}")
    memory = Memory(SIZE, 8)
    instructions = []
    for n in range(9):
        offset = 16 * rng.randrange(400)
        instructions.append(table_stream(offset) if n in (2, 3) else tile_stream(rng, cols, offset))
    expected = [e for instruction in instructions for e in expected_items(instruction, memory, cols)]
    items, dones = [], []

    async def source(ctx):
        await put(ctx, dut.instructions, instructions, random.Random(2), stall)

    async def watch(ctx):
        while len(items) < len(expected):
            *_, done, error, busy = await ctx.tick().sample(dut.done, dut.error, dut.busy)
            dones.append(done)
            assert not error and (busy or not done)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)

    bench = Bench(dut.read, memory, random.Random(4), latency, stall)
    sink = collector(dut, ("tiles", "constants", "tables"), items, random.Random(5), stall)
    simulate(dut, [base_setter(dut), source, watch], [bench.serve, sink], cycles=60000)
    assert items == expected
    assert sum(dones) == len(instructions)


@pytest.mark.parametrize("cols, beat_bytes", [(16, 16), (8, 8), (4, 4), (32, 16), (8, 16)])
def test_saturates_bus_and_array(cols, beat_bytes):
    """At 20 cycles of latency, several instructions on end: one vector per cycle, or all that the bus can bring."""
    dut = WeightEngine(cols, beat_bytes, max(1024, 256 * cols))
    instructions = [tile_stream(random.Random(0), cols, 0, blocks=1, groups=1, tiles=4, rows=14, last_rows=13)] * 6
    vectors = sum(i["bytes"] for i in instructions) // cols
    items, times = [], []

    async def source(ctx):
        await put(ctx, dut.instructions, instructions, random.Random(2))

    async def watch(ctx):
        while len(items) < vectors:
            await ctx.tick()

    bench = Bench(dut.read, Memory(SIZE, 8), random.Random(4))
    sink = collector(dut, ("tiles", "constants", "tables"), items, random.Random(5), 0, times)
    simulate(dut, [base_setter(dut), source, watch], [bench.serve, sink])
    assert times[-1] - times[0] <= vectors * max(1, cols / beat_bytes) + 3 * len(instructions)
    beats = vectors * cols // beat_bytes
    if cols >= beat_bytes:
        assert bench.beats_at[-1] - bench.beats_at[0] <= beats + 3 * len(instructions)


def test_fetch_runs_ahead_of_a_stalled_array():
    dut = WeightEngine(16, 16, 4096)
    instructions = [tile_stream(random.Random(0), 16, 0, blocks=1, groups=1, tiles=1, rows=11, last_rows=11)] * 12
    bench = Bench(dut.read, Memory(SIZE, 8), random.Random(4))

    async def source(ctx):
        await put(ctx, dut.instructions, instructions, random.Random(2))

    async def watch(ctx):
        await ctx.tick().repeat(600)
        assert 5 * 20 <= len(bench.beats_at) <= 6 * 20

    simulate(dut, [base_setter(dut), watch], [bench.serve, source])


@pytest.mark.parametrize("cols, beat_bytes", [(16, 16), (4, 16), (32, 4)])
def test_bus_error_stops_at_its_vector(cols, beat_bytes):
    dut = WeightEngine(cols, beat_bytes, 1024)
    instruction = tile_stream(random.Random(0), cols, 0, blocks=1, groups=1, tiles=2, rows=4, last_rows=3)
    at = BASE + 1024 + 6 * cols
    memory = Memory(SIZE, 8, faults={at})
    first = list(expected_items(instruction, memory, cols))
    items, errors = [], []

    async def source(ctx):
        await put(ctx, dut.instructions, [instruction, instruction | {"offset": 1024}, instruction], random.Random(2))

    async def watch(ctx):
        done = 0
        for _ in range(700):
            *_, finished, error = await ctx.tick().sample(dut.done, dut.error)
            done += finished
            if error:
                errors.append(done)

    bench = Bench(dut.read, memory, random.Random(4))
    sink = collector(dut, ("tiles", "constants", "tables"), items, random.Random(5), 0)
    simulate(dut, [base_setter(dut), source, watch], [bench.serve, sink])
    assert errors == [1]
    good = (6 * cols) // max(cols, beat_bytes) * max(cols, beat_bytes) // cols
    assert len(items) == len(first) + good


def test_without_residual_there_are_no_tables():
    dut = WeightEngine(8, 8, 1024, residual=False)
    assert "tables" not in dut.signature.members
    Fragment.get(dut, None)
