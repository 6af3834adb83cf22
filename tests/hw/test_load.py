"""LoadEngine: bytes at any address against the scratchpad that architecture.md describes."""

import random

import pytest
from tilewright.hw import isa
from tilewright.hw.load import LoadEngine, PixelWalker

from .test_axi import Memory, put, simulate, take

SIZE = 1 << 15
BASES = [0x1000, 0x2400, 0x1003, 0x7777, 0xFFFF8000]
WORDS = 512
SHAPES = [
    (4, 4, 4),
    (4, 4, 16),
    (8, 8, 8),
    (16, 16, 16),
    (16, 4, 8),
    (32, 8, 4),
    (32, 32, 16),
]  # vector, unit, beat bytes


def random_image(rng, vector, units, most=600):
    """The fields of a TRANSFER instruction: an image of at most `most` bytes that fits the banks."""
    channels = rng.choice([1, 3, vector, 2 * vector, rng.randint(1, 3 * vector)])
    width = rng.randint(1, max(1, min(12, most // channels)))
    rows = rng.randint(1, max(1, min(9, most // channels // width)))
    row_words = -(-channels // vector) * width + rng.choice([0, rng.randint(0, 5)])
    total = channels * width * rows
    run_bytes = rng.choice([n for n in range(1, total + 1) if total % n == 0][-6:])
    return {
        "opcode": isa.Opcode.LOAD,
        "base": rng.choice(list(isa.Base)[1:]),
        "offset": rng.randrange(SIZE),
        "run_bytes": run_bytes,
        "runs": total // run_bytes,
        "run_pitch": rng.choice([run_bytes, run_bytes + rng.randint(1, 99), rng.randint(-3000, 3000)]),
        "address": rng.randrange(WORDS - 3 * row_words) * units,
        "bank": rng.randrange(4),
        "row_step": row_words * units,
        "rows": rows,
        "width": width,
        "channels": channels,
    }


def external_addresses(fields):
    """The external address of each byte of a transfer, in order."""
    start = BASES[fields["base"].value] + fields["offset"]
    return [
        (start + run * fields["run_pitch"] + byte) % SIZE
        for run in range(fields["runs"])
        for byte in range(fields["run_bytes"])
    ]


def chip_addresses(fields, vector, units):
    """(bank, word, bytes that count) of each vector of a transfer, in order."""
    blocks = -(-fields["channels"] // vector)
    for y in range(fields["rows"]):
        for x in range(fields["width"]):
            for k in range(blocks):
                row = fields["bank"] + y
                unit = fields["address"] + (row >> 2) * fields["row_step"] + (x * blocks + k) * units
                yield row % 4, unit % 2**16 // units % WORDS, min(vector, fields["channels"] - k * vector)


def expected_writes(fields, memory, vector, units):
    stream = bytes(memory.bytes[at] for at in external_addresses(fields))
    writes, at = [], 0
    for bank, word, count in chip_addresses(fields, vector, units):
        writes.append((bank, word, int.from_bytes(stream[at : at + count], "little")))
        at += count
    assert at == len(stream)
    return writes


class Bench:
    """An engine behind a model of ReadChannel and memory: requests are answered in order after `latency` cycles."""

    def __init__(self, read, memory, rng, latency=(20, 20), stall=0.0):
        self.read, self.memory, self.rng, self.latency, self.stall = read, memory, rng, latency, stall
        self.beats_at = []

    async def serve(self, ctx):
        read, rng = self.read, self.rng
        beat_bytes = len(read.beat.data) // 8
        beats, cycle, held = [], 0, None
        while True:
            ready = rng.random() >= self.stall
            ctx.set(read.requests.ready, ready)
            now = bool(beats) and beats[0][0] <= cycle and rng.random() >= self.stall
            ctx.set(read.beat_valid, now)
            if now:
                _, at, last = beats.pop(0)
                word = bytes(self.memory.bytes[(at + n) % SIZE] for n in range(beat_bytes))
                error = self.memory.response(at, beat_bytes) != 0
                ctx.set(read.beat, {"data": int.from_bytes(word, "little"), "last": last, "error": error})
                self.beats_at.append(cycle)
            *_, valid, burst = await ctx.tick().sample(read.requests.valid, read.requests.payload)
            assert held is None or (valid and burst.as_bits() == held)
            held = burst.as_bits() if valid and not ready else None
            if valid and ready:
                assert burst.address % beat_bytes == 0
                assert burst.address // 4096 == (burst.address + burst.beats * beat_bytes - 1) // 4096
                delay = rng.randint(*self.latency)
                for n in range(burst.beats):
                    beats.append((cycle + delay, burst.address + n * beat_bytes, int(n == burst.beats - 1)))
            cycle += 1


@pytest.mark.parametrize("vector, unit, beat_bytes", SHAPES)
@pytest.mark.parametrize("latency, stall", [((20, 20), 0.0), ((1, 30), 0.35)])
def test_loads_images(vector, unit, beat_bytes, latency, stall):
    dut = LoadEngine(vector, unit, WORDS, beat_bytes)
    rng = random.Random(f"{vector} {unit} {beat_bytes} {stall}")
    memory = Memory(SIZE, 5)
    images = [random_image(rng, vector, vector // unit) for _ in range(8)]
    expected = [expected_writes(image, memory, vector, vector // unit) for image in images]
    total = sum(map(len, expected))
    got, done_after = [], []

    async def source(ctx):
        for number, base in enumerate(BASES):
            ctx.set(dut.bases[number], base)
        await put(ctx, dut.instructions, images, random.Random(2), stall)

    async def sink(ctx):
        await take(ctx, dut.writes, got, random.Random(3), stall, count=total)

    async def watch(ctx):
        while len(done_after) < len(images):
            done, busy, error = (await ctx.tick().sample(dut.done, dut.busy, dut.error))[-3:]
            assert not error
            if done:
                assert busy
                done_after.append(len(got))
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)

    bench = Bench(dut.read, memory, random.Random(4), latency, stall)
    simulate(dut, [source, sink, watch], [bench.serve])
    assert [(w.bank, w.address, w.data) for w in got] == [write for image in expected for write in image]
    ends = [sum(map(len, expected[: n + 1])) for n in range(len(images))]
    # The watcher may look before or after the sink has noted the last vector of the same cycle.
    assert all(end - after in (0, 1) for after, end in zip(done_after, ends, strict=True))


def duration(vector, unit, beat_bytes, **fields):
    """Cycles from the first to the last vector of a contiguous image, at 20 cycles of latency."""
    dut = LoadEngine(vector, unit, 1 << 12, beat_bytes)
    image = {"opcode": isa.Opcode.LOAD, "base": isa.Base.INPUT, "offset": 5, "runs": 1, "run_pitch": 0} | fields
    image["run_bytes"] = image["channels"] * image["width"] * image["rows"]
    times = []

    async def source(ctx):
        ctx.set(dut.bases[isa.Base.INPUT.value], 0x3000)
        await put(ctx, dut.instructions, [image], random.Random(2))

    async def sink(ctx):
        ctx.set(dut.writes.ready, 1)
        for cycle in range(20000):
            *_, valid, done = await ctx.tick().sample(dut.writes.valid, dut.done)
            if valid:
                times.append(cycle)
            if done:
                return

    bench = Bench(dut.read, Memory(SIZE, 5), random.Random(4))
    simulate(dut, [source, sink], [bench.serve])
    return times[-1] - times[0], times[0], len(times)


@pytest.mark.parametrize("vector, unit, beat_bytes", [(16, 16, 16), (8, 8, 8), (32, 8, 16), (16, 16, 8)])
def test_a_beat_per_cycle(vector, unit, beat_bytes):
    span, first, vectors = duration(
        vector, unit, beat_bytes, rows=4, width=40, channels=2 * vector, row_step=80 * vector // unit
    )
    assert vectors == 320
    assert span <= 320 * vector // beat_bytes + 3
    assert first <= 20 + 14


@pytest.mark.parametrize("channels", [1, 3, 10])
def test_a_thin_pixel_per_cycle(channels):
    span, _, vectors = duration(16, 16, 16, rows=4, width=64, channels=channels, row_step=64)
    assert vectors == 256
    assert span <= 256 + 3


@pytest.mark.parametrize("fault", [0, 40, 199])
def test_bus_error_stops(fault):
    dut = LoadEngine(16, 16, WORDS, 16)
    memory = Memory(SIZE, 5, faults={0x3000 + 200 + fault})
    image = {
        "opcode": isa.Opcode.LOAD, "base": isa.Base.INPUT, "run_bytes": 200, "runs": 1, "rows": 1, "width": 20,
        "channels": 10,
    }  # fmt: skip
    dones, errors = [], []

    async def source(ctx):
        ctx.set(dut.bases[isa.Base.INPUT.value], 0x3000)
        ctx.set(dut.writes.ready, 1)
        await put(ctx, dut.instructions, [image, image | {"offset": 200}, image], random.Random(2))

    async def watch(ctx):
        for _ in range(400):
            *_, done, error = await ctx.tick().sample(dut.done, dut.error)
            dones.append(done)
            errors.append(error)

    bench = Bench(dut.read, memory, random.Random(4))
    simulate(dut, [source, watch], [bench.serve])
    # Bytes 200 to 207 share a beat with the first image's last bytes.
    assert sum(errors) == 1
    assert sum(dones) == (0 if fault < 8 else 1)
    assert not any(dones[errors.index(1) :])


def test_walker_wraps_addresses():
    dut = PixelWalker(8, 4, 16)
    image = {"address": 30, "bank": 2, "row_step": 2**16 - 4, "rows": 5, "width": 1, "channels": 9}
    got = []

    async def source(ctx):
        await put(ctx, dut.images, [image], random.Random(0))

    async def sink(ctx):
        await take(ctx, dut.vectors, got, random.Random(0), count=10)

    simulate(dut, [source, sink])
    assert [(v.bank, v.address, v.count, v.last) for v in got] == [
        (2, 15, 8, 0), (2, 0, 1, 0), (3, 15, 8, 0), (3, 0, 1, 0), (0, 13, 8, 0), (0, 14, 1, 0),
        (1, 13, 8, 0), (1, 14, 1, 0), (2, 13, 8, 0), (2, 14, 1, 1),
    ]  # fmt: skip
