"""Bursts and the read channel. Also the other sides of the buses and streams, for the tests next door."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator
from tilewright.hw.axi import BURST_BEATS, AXI4Signature, BurstSplitter, ReadChannel

OKAY, SLVERR = 0, 2


def simulate(dut, benches, background=(), cycles=20000):
    """Run until all `benches` are through. Fails if they are not after so many cycles."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    for bench in benches:
        simulator.add_testbench(bench)
    assert any(not simulator.advance() for _ in range(2 * cycles)), f"not through after {cycles} cycles"


async def put(ctx, stream, payloads, rng, stall=0.0):
    """Offer the payloads one after the other, holding each until it is taken."""
    for payload in payloads:
        while rng.random() < stall:
            await ctx.tick()
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        while not (await ctx.tick().sample(stream.ready))[-1]:
            pass
        ctx.set(stream.valid, 0)


async def take(ctx, stream, into, rng, stall=0.0, count=None):
    """Collect payloads (`count` of them, or for ever); check that none is withdrawn. Returns the cycles it took."""
    held, cycles = None, 0
    while count is None or len(into) < count:
        ready = rng.random() >= stall
        ctx.set(stream.ready, ready)
        *_, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        cycles += 1
        bits = payload if isinstance(payload, int) else payload.as_bits()
        assert held is None or (valid and bits == held), "a payload changed before it was taken"
        held = bits if valid and not ready else None
        if valid and ready:
            into.append(payload)
    ctx.set(stream.ready, 0)
    return cycles


def check_burst(address, length, size, burst, beat_bytes):
    """An incrementing burst of whole, aligned beats inside one 4 KiB page."""
    assert burst == 1
    assert 1 << size == beat_bytes
    assert address % beat_bytes == 0
    assert address // 4096 == (address + (length + 1) * beat_bytes - 1) // 4096


class Memory:
    """External memory of `size` bytes that repeats; beats that touch `faults` (byte addresses) answer SLVERR."""

    def __init__(self, size, seed, faults=()):
        self.bytes = bytearray(random.Random(seed).randbytes(size))
        self.faults = set(faults)
        self.read_bursts, self.write_bursts = [], []
        self.in_flight = 0  # read bursts accepted and not answered to the last beat

    def response(self, address, count):
        return SLVERR if any(address <= fault < address + count for fault in self.faults) else OKAY

    async def serve_reads(self, ctx, axi, rng, latency=(1, 20), stall=0.0):
        """Answer in order; a burst's first beat comes `latency` cycles after its address, at the earliest."""
        beat_bytes = len(axi.rdata) // 8
        beats, cycle, held, offered = deque(), 0, None, False
        while True:
            ready = rng.random() >= stall
            ctx.set(axi.arready, ready)
            if not offered and beats and beats[0][0] <= cycle and rng.random() >= stall:
                _, word, last, response = beats[0]
                ctx.set(axi.rdata, word)
                ctx.set(axi.rlast, last)
                ctx.set(axi.rresp, response)
                offered = True
            ctx.set(axi.rvalid, offered)
            *_, valid, address, length, size, burst, taken = await ctx.tick().sample(
                axi.arvalid, axi.araddr, axi.arlen, axi.arsize, axi.arburst, axi.rready
            )
            assert held is None or (valid and (address, length) == held), "AR changed before it was taken"
            held = (address, length) if valid and not ready else None
            if offered and taken:
                self.in_flight -= beats.popleft()[2]
                offered = False
            if valid and ready:
                check_burst(address, length, size, burst, beat_bytes)
                self.read_bursts.append((cycle, address, length + 1))
                self.in_flight += 1
                delay = rng.randint(*latency)
                for index in range(length + 1):
                    at = address + index * beat_bytes
                    word = int.from_bytes(
                        bytes(self.bytes[(at + n) % len(self.bytes)] for n in range(beat_bytes)), "little"
                    )
                    beats.append((cycle + delay, word, int(index == length), self.response(at, beat_bytes)))
            cycle += 1

    async def serve_writes(self, ctx, axi, rng, latency=(1, 20), stall=0.0, data_first=False):
        """Answer in order; with `data_first` an address is taken only when there is data."""
        beat_bytes = len(axi.wdata) // 8
        addresses, beats, answers, cycle, held, offered = deque(), deque(), deque(), 0, [None, None], False
        while True:
            ready = [rng.random() >= stall, rng.random() >= stall]
            if data_first:
                ready[0] = ready[0] and bool(beats or ctx.get(axi.wvalid))
            ctx.set(axi.awready, ready[0])
            ctx.set(axi.wready, ready[1])
            if not offered and answers and answers[0][0] <= cycle:
                ctx.set(axi.bresp, answers[0][1])
                offered = True
            ctx.set(axi.bvalid, offered)
            *_, valid, address, length, size, burst, word_valid, word, strobes, last, taken = await ctx.tick().sample(
                axi.awvalid, axi.awaddr, axi.awlen, axi.awsize, axi.awburst, axi.wvalid, axi.wdata, axi.wstrb,
                axi.wlast,
                axi.bready,
            )  # fmt: skip
            now = [(address, length) if valid else None, (word, strobes, last) if word_valid else None]
            for channel in range(2):
                assert held[channel] is None or now[channel] == held[channel], "AW or W changed before it was taken"
                held[channel] = None if ready[channel] else now[channel]
            if offered and taken:
                answers.popleft()
                offered = False
            if valid and ready[0]:
                check_burst(address, length, size, burst, beat_bytes)
                self.write_bursts.append((cycle, address, length + 1))
                addresses.append((address, length + 1))
            if word_valid and ready[1]:
                beats.append((word, strobes, last))
            while addresses and len(beats) >= addresses[0][1]:
                address, count = addresses.popleft()
                answer = OKAY
                for index in range(count):
                    word, strobes, last = beats.popleft()
                    assert last == (index == count - 1)
                    answer |= self.response(address + index * beat_bytes, beat_bytes)
                    for byte in range(beat_bytes):
                        if strobes >> byte & 1:
                            self.bytes[(address + index * beat_bytes + byte) % len(self.bytes)] = word >> 8 * byte & 255
                answers.append((cycle + rng.randint(*latency), answer))
            self.unanswered = len(addresses) + len(answers)
            self.loose_beats = len(beats)
            cycle += 1


def random_runs(rng, total_limit=1500):
    """A transfer: address, bytes of a run, runs, pitch; runs never reach below 0."""
    run_bytes = rng.choice([1, 2, 3, 4, 7, 16, rng.randint(1, 64), rng.randint(1, total_limit)])
    runs = rng.randint(1, max(1, min(20, total_limit // run_bytes)))
    pitch = rng.choice([run_bytes, run_bytes + rng.randint(0, 300), rng.randint(-2000, 2000)])
    address = rng.choice([4096 - rng.randint(0, 40), rng.randint(0, 1 << 16), 8192]) + (1 << 20)
    return {"address": address, "run_bytes": run_bytes, "runs": runs, "run_pitch": pitch}


def run_addresses(transfer):
    """Every byte address of a transfer, run by run."""
    starts = [transfer["address"] + n * transfer["run_pitch"] for n in range(transfer["runs"])]
    return [range(start, start + transfer["run_bytes"]) for start in starts]


@pytest.mark.parametrize("beat_bytes", [4, 8, 16])
def test_splitter_covers_every_run(beat_bytes):
    dut = BurstSplitter(beat_bytes)
    rng = random.Random(beat_bytes)
    transfers = [random_runs(rng) for _ in range(60)]
    expected = []
    for transfer in transfers:
        for run in run_addresses(transfer):
            expected += range(run[0] // beat_bytes, run[-1] // beat_bytes + 1)
    beats, lasts, got = [], 0, []

    async def sink(ctx):
        nonlocal lasts
        while len(beats) < len(expected):
            await take(ctx, dut.bursts, got, rng, 0.3, count=len(got) + 1)
            burst = got[-1].burst
            assert 1 <= burst.beats <= BURST_BEATS
            check_burst(burst.address, burst.beats - 1, (beat_bytes - 1).bit_length(), 1, beat_bytes)
            beats.extend(range(burst.address // beat_bytes, burst.address // beat_bytes + burst.beats))
            lasts += got[-1].last
        assert lasts == len(transfers)

    async def source(ctx):
        await put(ctx, dut.transfers, transfers, random.Random(0), 0.3)

    simulate(dut, [source, sink])
    assert beats == expected


def test_splitter_gives_a_burst_per_cycle():
    dut = BurstSplitter(16)
    got = []

    async def source(ctx):
        await put(ctx, dut.transfers, [{"address": 5, "run_bytes": 3, "runs": 50, "run_pitch": 20}], random.Random(0))

    async def sink(ctx):
        assert await take(ctx, dut.bursts, got, random.Random(0), count=50) <= 53

    simulate(dut, [source, sink])


def client_bench(dut, index, rng, bursts, got, stall):
    """Request bursts and collect beats as (data, last, error)."""
    client = dut.clients[index]

    async def ask(ctx):
        await put(ctx, client.requests, bursts, rng, stall)

    async def listen(ctx):
        while len(got) < sum(burst["beats"] for burst in bursts):
            *_, valid, beat = await ctx.tick().sample(client.beat_valid, client.beat)
            if valid:
                got.append((beat.data, beat.last, beat.error))

    return ask, listen


@pytest.mark.parametrize("latency, stall", [((20, 20), 0.0), ((1, 1), 0.0), ((1, 30), 0.4)])
def test_read_channel_serves_all_clients(latency, stall):
    dut = ReadChannel(3, 32)
    rng = random.Random(f"{latency} {stall}")
    memory = Memory(1 << 14, 7, faults={0x123, 0x3001})
    plans = [
        [{"address": 4 * rng.randrange(4000) & ~127, "beats": rng.randint(1, 32)} for _ in range(25)] for _ in range(3)
    ]
    got = [[], [], []]

    async def memory_bench(ctx):
        await memory.serve_reads(ctx, dut.axi, random.Random(3), latency, stall)

    clients = [client_bench(dut, n, random.Random(n), plans[n], got[n], stall) for n in range(3)]
    simulate(dut, [bench for client in clients for bench in client], [memory_bench])
    for bursts, beats in zip(plans, got, strict=True):
        expected = []
        for burst in bursts:
            for n in range(burst["beats"]):
                at = burst["address"] + 4 * n
                word = int.from_bytes(memory.bytes[at : at + 4], "little")
                expected.append((word, int(n == burst["beats"] - 1), int(memory.response(at, 4) != OKAY)))
        assert beats == expected


def test_read_channel_is_fair_and_keeps_the_bus_busy():
    dut = ReadChannel(3, 32)
    memory = Memory(1 << 14, 7)
    beats_at = []

    async def memory_bench(ctx):
        await memory.serve_reads(ctx, dut.axi, random.Random(3), (20, 20))

    def ask(index):
        async def bench(ctx):
            await put(ctx, dut.clients[index].requests, [{"address": 1024 * index, "beats": 4}] * 20, random.Random(0))

        return bench

    async def listen(ctx):
        for cycle in range(20 * 4 * 3 + 30):
            *_, valid, ready = await ctx.tick().sample(dut.axi.rvalid, dut.axi.rready)
            assert ready
            if valid:
                beats_at.append(cycle)

    simulate(dut, [ask(0), ask(1), ask(2), listen], [memory_bench])
    assert len(beats_at) == 240
    assert beats_at[-1] - beats_at[0] == 239
    turns = [address // 1024 for _, address, _ in memory.read_bursts]
    assert turns == [turns[n % 3] for n in range(60)]
    assert sorted(turns[:3]) == [0, 1, 2]


def test_halt_drains_the_bus():
    dut = ReadChannel(2, 64)
    memory = Memory(1 << 12, 7)

    async def memory_bench(ctx):
        await memory.serve_reads(ctx, dut.axi, random.Random(3), (5, 30), 0.5)

    async def testbench(ctx):
        client = dut.clients[1]
        ctx.set(client.requests.payload, {"address": 64, "beats": 8})
        ctx.set(client.requests.valid, 1)
        await ctx.tick().repeat(30)
        assert not ctx.get(dut.quiet)
        ctx.set(dut.halt, 1)
        await ctx.tick()
        for _ in range(600):
            *_, valid, quiet = await ctx.tick().sample(client.beat_valid, dut.quiet)
            assert not valid
            if quiet:
                break
        await ctx.tick().repeat(20)
        assert ctx.get(dut.quiet)
        assert memory.in_flight == 0

    simulate(dut, [testbench], [memory_bench])


def test_signature_has_the_flat_names():
    members = AXI4Signature(128).members
    assert " ".join(members) == (
        "awid awaddr awlen awsize awburst awvalid awready wdata wstrb wlast wvalid wready bid bresp bvalid bready "
        "arid araddr arlen arsize arburst arvalid arready rid rdata rresp rlast rvalid rready"
    )
