"""BeatWalker and Realigner on plain lists of bytes."""

import random

import pytest
from tilewright.hw.axi import BURST_BEATS
from tilewright.hw.realign import BeatWalker, Realigner

from .test_axi import put, random_runs, run_addresses, simulate, take

SIZES = [2, 4, 8, 16, 32]


@pytest.mark.parametrize("beat_bytes", [4, 8, 16])
def test_walker_names_every_byte(beat_bytes):
    dut = BeatWalker(beat_bytes)
    rng = random.Random(beat_bytes)
    transfers = [random_runs(rng, 600) for _ in range(30)]
    expected = []
    for transfer in transfers:
        runs = run_addresses(transfer)
        for run in runs:
            at = run[0]
            while at <= run[-1]:
                count = min(run[-1] + 1 - at, beat_bytes - at % beat_bytes)
                last = at + count > run[-1]
                burst_last = last or at // beat_bytes % BURST_BEATS == BURST_BEATS - 1
                expected.append((at % beat_bytes, count, int(burst_last), int(last and run is runs[-1])))
                at += count
    got = []

    async def source(ctx):
        await put(ctx, dut.transfers, transfers, random.Random(0), 0.2)

    async def sink(ctx):
        await take(ctx, dut.beats, got, random.Random(1), 0.2, count=len(expected))

    simulate(dut, [source, sink])
    assert [(beat.start, beat.count, beat.burst_last, beat.last) for beat in got] == expected


@pytest.mark.parametrize("input_bytes", SIZES)
@pytest.mark.parametrize("output_bytes", SIZES)
def test_repacks_any_chunks(input_bytes, output_bytes):
    dut = Realigner(input_bytes, output_bytes, 16)
    rng = random.Random(f"{input_bytes} {output_bytes}")
    stream = rng.randbytes(20 * max(input_bytes, output_bytes))
    chunks, requests, expected = [], [], []
    at = 0
    while at < len(stream):
        count = min(rng.randint(1, input_bytes), len(stream) - at)
        start = rng.randint(0, input_bytes - count)
        word = bytearray(rng.randbytes(input_bytes))
        word[start : start + count] = stream[at : at + count]
        chunks.append({"data": int.from_bytes(word, "little"), "start": start, "count": count})
        at += count
    at = 0
    while at < len(stream):
        count = min(rng.randint(1, output_bytes), len(stream) - at)
        start, tag = rng.randint(0, output_bytes - count), rng.randrange(1 << 16)
        requests.append({"start": start, "count": count, "tag": tag})
        word = int.from_bytes(stream[at : at + count], "little") << 8 * start
        expected.append((word, ((1 << count) - 1) << start, tag))
        at += count
    got = []
    stalls = rng.choice([(0, 0, 0), (0.3, 0, 0.3), (0, 0.4, 0.1)])

    async def source(ctx):
        await put(ctx, dut.i, chunks, random.Random(0), stalls[0])

    async def ask(ctx):
        await put(ctx, dut.requests, requests, random.Random(1), stalls[1])

    async def sink(ctx):
        await take(ctx, dut.o, got, random.Random(2), stalls[2], count=len(expected))

    simulate(dut, [source, ask, sink])
    assert [(chunk.data, chunk.mask, chunk.tag) for chunk in got] == expected


@pytest.mark.parametrize(
    "input_bytes, output_bytes, count", [(16, 16, 16), (16, 8, 8), (8, 32, 32), (16, 16, 3), (4, 4, 4)]
)
@pytest.mark.parametrize("skew", [0, 1, 3])
def test_one_chunk_per_cycle(input_bytes, output_bytes, count, skew):
    """After a first chunk of `skew` bytes the two sides are out of step; still the narrower one sets the pace."""
    dut = Realigner(input_bytes, output_bytes)
    chunks = [{"data": 0, "start": 0, "count": input_bytes}] * 200
    if skew:
        chunks.insert(0, {"data": 0, "start": 0, "count": skew})
    outputs = 50
    cycles = outputs * max(1, count // input_bytes)
    got = []

    async def source(ctx):
        await put(ctx, dut.i, chunks, random.Random(0))

    async def ask(ctx):
        await put(ctx, dut.requests, [{"start": 0, "count": count}] * outputs, random.Random(0))

    async def sink(ctx):
        assert await take(ctx, dut.o, got, random.Random(0), count=outputs) <= cycles + 6

    simulate(dut, [sink], [source, ask])
