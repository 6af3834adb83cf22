"""StoreEngine: the scratchpad's vectors against the bytes that reach external memory."""

import random

import pytest
from tilewright.hw import isa
from tilewright.hw.scratchpad import Scratchpad as RealScratchpad
from tilewright.hw.store import StoreEngine

from .test_axi import Memory, put, simulate
from .test_load import BASES, SHAPES, SIZE, WORDS, chip_addresses, external_addresses, random_image


class Scratchpad:
    """Vectors in four banks; answers STORE_LATENCY cycles after an accepted request, with rubbish at any other time."""

    def __init__(self, vector, seed):
        rng = random.Random(seed)
        self.vectors = [[rng.randbytes(vector) for _ in range(WORDS)] for _ in range(4)]
        self.vector = vector

    async def serve(self, ctx, dut, rng, stall):
        held = None
        answers = [rng.randbytes(self.vector) for _ in range(RealScratchpad.STORE_LATENCY - 1)]
        while True:
            ready = rng.random() >= stall
            ctx.set(dut.reads.ready, ready)
            *_, valid, at = await ctx.tick().sample(dut.reads.valid, dut.reads.payload)
            assert held is None or (valid and at.as_bits() == held)
            held = at.as_bits() if valid and not ready else None
            answers.append(self.vectors[at.bank][at.address] if valid and ready else rng.randbytes(self.vector))
            ctx.set(dut.read_data, int.from_bytes(answers.pop(0), "little"))


def stored_bytes(fields, scratchpad, vector, units):
    """{external address: byte} of a transfer."""
    addresses = iter(external_addresses(fields))
    return {
        next(addresses): byte
        for bank, word, count in chip_addresses(fields, vector, units)
        for byte in scratchpad.vectors[bank][word][:count]
    }


def no_overlap(image, rng):
    """Runs that do not write over each other (the order of their bytes would matter)."""
    return image | {"run_pitch": rng.choice([1, -1]) * (image["run_bytes"] + rng.choice([0, 1, 50]))}


@pytest.mark.parametrize("vector, unit, beat_bytes", SHAPES)
@pytest.mark.parametrize(
    "latency, stall, data_first", [((20, 20), 0.0, False), ((1, 30), 0.35, False), ((1, 9), 0.2, True)]
)
def test_stores_images(vector, unit, beat_bytes, latency, stall, data_first):
    dut = StoreEngine(vector, unit, WORDS, beat_bytes)
    rng = random.Random(f"{vector} {unit} {beat_bytes} {stall}")
    memory, scratchpad = Memory(SIZE, 5), Scratchpad(vector, 6)
    images = [no_overlap(random_image(rng, vector, vector // unit, 400), rng) for _ in range(6)]
    expected = bytearray(memory.bytes)
    for image in images:
        for address, byte in stored_bytes(image, scratchpad, vector, vector // unit).items():
            expected[address] = byte
    dones = []

    async def memory_bench(ctx):
        await memory.serve_writes(ctx, dut.axi, random.Random(4), latency, stall, data_first)

    async def scratchpad_bench(ctx):
        await scratchpad.serve(ctx, dut, random.Random(5), stall)

    async def source(ctx):
        for number, base in enumerate(BASES):
            ctx.set(dut.bases[number], base)
        await put(ctx, dut.instructions, images, random.Random(2), stall)

    async def watch(ctx):
        while sum(dones) < len(images):
            *_, done, error, busy = await ctx.tick().sample(dut.done, dut.error, dut.busy)
            dones.append(done)
            assert not error and (busy or not done)
        await ctx.tick()
        assert not ctx.get(dut.busy) and ctx.get(dut.quiet)
        assert memory.unanswered == 0 and memory.loose_beats == 0

    simulate(dut, [source, watch], [memory_bench, scratchpad_bench])
    assert memory.bytes == expected


@pytest.mark.parametrize(
    "vector, unit, beat_bytes, offset", [(16, 16, 16, 3), (8, 8, 8, 0), (32, 8, 16, 1), (16, 16, 4, 2)]
)
def test_a_beat_per_cycle(vector, unit, beat_bytes, offset):
    dut = StoreEngine(vector, unit, WORDS, beat_bytes)
    memory, scratchpad = Memory(SIZE, 5), Scratchpad(vector, 6)
    total = 4 * 40 * 2 * vector
    image = {
        "opcode": isa.Opcode.STORE, "base": isa.Base.OUTPUT, "offset": offset, "run_bytes": total, "runs": 1,
        "rows": 4, "width": 40, "channels": 2 * vector, "row_step": 80 * vector // unit,
    }  # fmt: skip
    times = []

    async def memory_bench(ctx):
        await memory.serve_writes(ctx, dut.axi, random.Random(4), (20, 20))

    async def scratchpad_bench(ctx):
        await scratchpad.serve(ctx, dut, random.Random(5), 0)

    async def source(ctx):
        await put(ctx, dut.instructions, [image], random.Random(2))

    async def watch(ctx):
        for cycle in range(20000):
            *_, valid, ready, done = await ctx.tick().sample(dut.axi.wvalid, dut.axi.wready, dut.done)
            if valid and ready:
                times.append(cycle)
            if done:
                assert cycle <= times[-1] + 25
                return

    simulate(dut, [source, watch], [memory_bench, scratchpad_bench])
    assert len(times) == -(-(total + offset) // beat_bytes)
    assert times[-1] - times[0] <= len(times) + 3


def test_bus_error_is_reported():
    dut = StoreEngine(16, 16, WORDS, 16)
    memory, scratchpad = Memory(SIZE, 5, faults={0x2000 + 16 * 20}), Scratchpad(16, 6)
    image = {
        "opcode": isa.Opcode.STORE, "base": isa.Base.OUTPUT, "run_bytes": 160, "runs": 1, "rows": 1, "width": 10,
        "channels": 16,
    }  # fmt: skip
    pulses = []

    async def memory_bench(ctx):
        await memory.serve_writes(ctx, dut.axi, random.Random(4), (20, 20))

    async def scratchpad_bench(ctx):
        await scratchpad.serve(ctx, dut, random.Random(5), 0)

    async def source(ctx):
        ctx.set(dut.bases[isa.Base.OUTPUT.value], 0x2000)
        await put(ctx, dut.instructions, [image | {"offset": 160 * n} for n in range(3)], random.Random(2))

    async def watch(ctx):
        for _ in range(300):
            *_, done, error = await ctx.tick().sample(dut.done, dut.error)
            if done or error:
                pulses.append((done, error))

    simulate(dut, [source, watch], [memory_bench, scratchpad_bench])
    assert pulses == [(1, 0), (1, 0), (0, 1)]


@pytest.mark.parametrize("after", range(8, 120, 7))
def test_halt_completes_what_is_on_the_bus(after):
    dut = StoreEngine(16, 16, WORDS, 8)
    memory, scratchpad = Memory(SIZE, 5), Scratchpad(16, 6)
    image = {
        "opcode": isa.Opcode.STORE, "base": isa.Base.OUTPUT, "offset": 3, "run_bytes": 70, "runs": 16, "run_pitch": 100,
        "rows": 2, "width": 35, "channels": 16, "row_step": 40, "bank": 3, "address": 7,
    }  # fmt: skip
    allowed = stored_bytes(image, scratchpad, 16, 1)
    before = bytes(memory.bytes)

    async def memory_bench(ctx):
        await memory.serve_writes(ctx, dut.axi, random.Random(after), (1, 20), 0.4)

    async def scratchpad_bench(ctx):
        await scratchpad.serve(ctx, dut, random.Random(5), 0.5)

    async def testbench(ctx):
        ctx.set(dut.bases[isa.Base.OUTPUT.value], BASES[isa.Base.OUTPUT.value])
        ctx.set(dut.instructions.payload, image)
        ctx.set(dut.instructions.valid, 1)
        await ctx.tick().repeat(after)
        ctx.set(dut.halt, 1)
        bursts = len(memory.write_bursts)
        for _ in range(2000):
            if (await ctx.tick().sample(dut.quiet))[-1]:
                break
        else:
            raise AssertionError("the bus did not come to rest")
        await ctx.tick().repeat(30)
        assert ctx.get(dut.quiet) and not ctx.get(dut.axi.wvalid)
        assert memory.unanswered == 0 and memory.loose_beats == 0
        assert len(memory.write_bursts) <= bursts + 1

    simulate(dut, [testbench], [memory_bench, scratchpad_bench])
    for address, (was, now) in enumerate(zip(before, memory.bytes, strict=True)):
        assert now == was or now == allowed[address]
