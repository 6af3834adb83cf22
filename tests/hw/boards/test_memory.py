"""Memory on the chip against plain bytes: random bursts on both channels, words in between, stalls, and beyond the end."""

import gc
import random

import pytest
from amaranth.sim import Simulator
from tilewright.hw.boards.memory import OnChipMemory

OKAY, SLVERR = 0, 2
KIB = 12
PAGE = 4096


class Bench:
    """Both halves of an AXI4 master and the link, each with stalls of its own; ``content`` is what memory must hold."""

    def __init__(self, axi_bits: int, seed: int = 0, stall: float = 0.0, kib: int = KIB):
        self.dut = OnChipMemory(kib, axi_bits)
        self.beat = axi_bits // 8
        self.rng = random.Random(seed)
        self.stall = stall
        self.content = bytearray(kib * 1024)
        self.read_bursts: list[tuple[int, int, int, int]] = []  # address, beats, identifier, response
        self.beats = 0

    def burst(self, page: int) -> tuple[int, int]:
        """A random burst within a page: address and beats."""
        first = self.rng.randrange(PAGE // self.beat)
        return page * PAGE + first * self.beat, self.rng.randint(1, min(40, PAGE // self.beat - first))

    async def pause(self, ctx):
        while self.rng.random() < self.stall:
            await ctx.tick()

    async def offer(self, ctx, prefix: str, **values: int):
        """One transfer on a channel of the master."""
        await self.pause(ctx)
        for name, value in values.items():
            ctx.set(getattr(self.dut.axi, f"{prefix}{name}"), value)
        ctx.set(getattr(self.dut.axi, f"{prefix}valid"), 1)
        await ctx.tick().until(getattr(self.dut.axi, f"{prefix}ready"))
        ctx.set(getattr(self.dut.axi, f"{prefix}valid"), 0)

    async def address(self, ctx, prefix: str, address: int, beats: int, identifier: int, **other: int):
        fields = {"addr": address, "len": beats - 1, "id": identifier, "size": self.beat.bit_length() - 1, "burst": 1}
        await self.offer(ctx, prefix, **fields | other)

    async def write(self, ctx, address: int, beats: int, **other: int) -> int:
        """Write random beats under random strobes; the response."""
        identifier = self.rng.getrandbits(1)
        await self.address(ctx, "aw", address, beats, identifier, **other)
        for n in range(beats):
            data, strobes = self.rng.randbytes(self.beat), self.rng.getrandbits(self.beat)
            await self.offer(ctx, "w", data=int.from_bytes(data, "little"), strb=strobes, last=int(n == beats - 1))
            for byte in range(self.beat):
                at = address + n * self.beat + byte
                if strobes >> byte & 1 and at < len(self.content) and not other:
                    self.content[at] = data[byte]
        await self.pause(ctx)
        ctx.set(self.dut.axi.bready, 1)
        axi = self.dut.axi
        *_, response, answered = await ctx.tick().sample(axi.bresp, axi.bid).until(axi.bvalid)
        ctx.set(axi.bready, 0)
        assert answered == identifier
        return response

    async def ask(self, ctx, address: int, beats: int, response: int = OKAY, **other: int):
        """A read burst; `listen` checks what comes."""
        identifier = self.rng.getrandbits(1)
        self.read_bursts.append((address, beats, identifier, response))
        await self.address(ctx, "ar", address, beats, identifier, **other)

    async def listen(self, ctx):
        axi = self.dut.axi
        held = None
        while True:
            ready = self.rng.random() >= self.stall
            ctx.set(axi.rready, ready)
            _, _, valid, *beat = await ctx.tick().sample(
                axi.rvalid, axi.rdata, axi.rlast, axi.rresp, axi.rid
            )
            assert held is None or (valid and beat == held), "R changed before it was taken"
            held = beat if valid and not ready else None
            if valid and ready:
                address, beats, identifier, response = self.read_bursts[0]
                at = address + self.beats * self.beat
                self.beats += 1
                if response == OKAY:
                    assert beat[0] == int.from_bytes(self.content[at : at + self.beat], "little"), f"{at:#x}"
                assert beat[1:] == [int(self.beats == beats), response, identifier]
                if self.beats == beats:
                    self.read_bursts.pop(0)
                    self.beats = 0

    async def drain(self, ctx):
        while self.read_bursts:
            await ctx.tick()

    async def word(self, ctx, address: int, value: int | None = None) -> tuple[int, int]:
        """One access of the link: data and error."""
        port = self.dut.requests
        ctx.set(port.requests.payload, {"write": int(value is not None), "address": address, "data": value or 0})
        ctx.set(port.requests.valid, 1)
        await ctx.tick().until(port.requests.ready)
        ctx.set(port.requests.valid, 0)
        *_, reply = await ctx.tick().sample(port.reply).until(port.reply_valid)
        if value is not None and not reply.error:
            self.content[address : address + 4] = value.to_bytes(4, "little")
        return reply.data, reply.error

    def run(self, *benches):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self.listen, background=True)
        for bench in benches:
            simulator.add_testbench(bench)
        simulator.run()


@pytest.mark.parametrize("axi_bits", [32, 64, 128])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_everything_at_once(axi_bits: int, stall: float):
    bench = Bench(axi_bits, axi_bits, stall)
    filled: list[bool] = []

    async def writer(ctx):
        for _ in range(25):
            assert await bench.write(ctx, *bench.burst(0)) == OKAY
        filled.append(True)

    async def reader(ctx):
        for _ in range(25):
            await bench.ask(ctx, *bench.burst(1))
        await bench.drain(ctx)
        while not filled:
            await ctx.tick()
        for address in range(0, KIB * 1024, 256 * bench.beat):
            await bench.ask(ctx, address, min(256, (KIB * 1024 - address) // bench.beat))
        await bench.drain(ctx)

    async def link(ctx):
        while not filled:
            await ctx.tick().repeat(bench.rng.randint(1, 9))
            address = 2 * PAGE + 4 * bench.rng.randrange(PAGE // 4)
            await bench.word(ctx, address, bench.rng.randrange(1 << 32))
            address = 2 * PAGE + 4 * bench.rng.randrange(PAGE // 4)
            expected = int.from_bytes(bench.content[address : address + 4], "little")
            assert await bench.word(ctx, address) == (expected, 0)

    async def fill(ctx):
        """Page 1 has contents before anyone reads it: the benches below start when this one is through."""
        for address in range(PAGE, 2 * PAGE, 4 * 61):
            await bench.word(ctx, address, bench.rng.randrange(1 << 32))
        ready.append(True)

    ready: list[bool] = []

    def later(testbench):
        async def wait(ctx):
            while not ready:
                await ctx.tick()
            await testbench(ctx)

        return wait

    bench.run(fill, later(writer), later(reader), later(link))
    assert filled


@pytest.mark.parametrize("kib", [KIB, 16])
def test_beyond_the_end(kib: int):
    bench = Bench(64, kib=kib)
    end = kib * 1024

    async def testbench(ctx):
        assert await bench.write(ctx, end - 64, 8) == OKAY
        for address in (end, end + PAGE, 1 << 20, (1 << 32) - 64):
            assert await bench.write(ctx, address, 8) == SLVERR
            await bench.ask(ctx, address, 3, SLVERR)
            assert (await bench.word(ctx, address))[1] == 1
            assert (await bench.word(ctx, address, 1))[1] == 1
        assert await bench.write(ctx, 0, 2, burst=0) == SLVERR
        assert await bench.write(ctx, 0, 2, burst=2) == SLVERR
        assert await bench.write(ctx, 0, 2, size=2) == SLVERR
        await bench.ask(ctx, 0, 2, SLVERR, burst=2)
        await bench.ask(ctx, 0, 2, SLVERR, size=2)
        for address in range(0, end, 2048):
            await bench.ask(ctx, address, 256)
        await bench.drain(ctx)

    bench.run(testbench)


def test_a_beat_per_cycle_and_the_latencies():
    bench = Bench(128)
    axi = bench.dut.axi
    reads, writes = [], []

    async def watch(ctx):
        cycle = 0
        while True:
            *_, asked, r, w, b = await ctx.tick().sample(
                axi.arvalid & axi.arready, axi.rvalid, axi.wvalid & axi.wready, axi.bvalid
            )
            reads.extend([("ar", cycle)] * asked + [("r", cycle)] * r)
            writes.extend([("w", cycle)] * w + [("b", cycle)] * b)
            cycle += 1

    async def reader(ctx):
        for n in range(8):
            await bench.ask(ctx, 256 * n, 16)
        await bench.drain(ctx)

    async def writer(ctx):
        await bench.write(ctx, PAGE, 16)

    simulator = Simulator(bench.dut)
    simulator.add_clock(1e-6)
    for background in (watch, bench.listen):
        simulator.add_testbench(background, background=True)
    for testbench in (reader, writer):
        simulator.add_testbench(testbench)
    simulator.run()
    beats = [cycle for kind, cycle in reads if kind == "r"]
    assert beats == list(range(beats[0], beats[0] + 128))
    assert beats[0] - reads[0][1] == OnChipMemory.READ_LATENCY
    last = [cycle for kind, cycle in writes if kind == "w"][-1]
    assert next(cycle for kind, cycle in writes if kind == "b") - last == OnChipMemory.WRITE_LATENCY


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("kib", [0, 2, 6, -4])
def test_sizes(kib: int):
    with pytest.raises(ValueError, match=f"memory_kib: {kib} is not a multiple of 4"):
        OnChipMemory(kib, 32)
    gc.collect()  # of the component that did not come to be, while its warning is ignored
