"""The serial line: every byte at odd divisors, on lines that are off in rate, noisy, broken, or read too late."""

import random

import pytest
from amaranth.sim import Simulator
from tilewright.hw.boards.uart import UARTReceiver, UARTTransmitter, divisor


def simulate(dut, *benches, background=()):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()


def send(dut, period, stop=1):
    """A sender whose bit lasts ``period`` cycles, a real number."""
    clock = 0.0
    cycle = 0

    async def bits(ctx, levels):
        nonlocal clock, cycle
        for level in levels:
            ctx.set(dut.line, level)
            clock += period
            await ctx.tick().repeat(round(clock) - cycle)
            cycle = round(clock)

    async def byte(ctx, value):
        await bits(ctx, [0, *(value >> n & 1 for n in range(8)), stop])

    return bits, byte


def collect(dut, got):
    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        while True:
            *_, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                got.append((payload.data, payload.error))

    return bench


@pytest.mark.parametrize("cycles", [4, 5, 7, 8, 27])
@pytest.mark.parametrize("off", [-0.02, 0.0, 0.02])
def test_receives(cycles: int, off: float):
    dut = UARTReceiver(cycles)
    rng = random.Random(cycles)
    values = [*rng.sample(range(256), 60), 0, 255, 0x55, 0xAA]
    got: list[tuple[int, int]] = []
    bits, byte = send(dut, cycles * (1 + off))

    async def bench(ctx):
        for value in values:
            await bits(ctx, [1] * rng.choice([0, 0, 1, 5]))
            await byte(ctx, value)
        await bits(ctx, [1, 1])

    simulate(dut, bench, background=[collect(dut, got)])
    assert got == [(value, 0) for value in values]


def test_a_low_stop_bit_is_an_error_and_the_next_byte_is_right():
    dut = UARTReceiver(6)
    got: list[tuple[int, int]] = []
    _, broken = send(dut, 6, stop=0)
    bits, byte = send(dut, 6)

    async def bench(ctx):
        await broken(ctx, 0x41)
        await bits(ctx, [0] * 30 + [1] * 3)  # a break is one byte, not three
        await byte(ctx, 0x42)
        await bits(ctx, [1])

    simulate(dut, bench, background=[collect(dut, got)])
    assert got == [(0x41, 1), (0x42, 0)]


def test_a_glitch_is_no_start_bit():
    dut = UARTReceiver(8)
    got: list[tuple[int, int]] = []
    bits, byte = send(dut, 8)

    async def bench(ctx):
        for _ in range(3):
            ctx.set(dut.line, 0)
            await ctx.tick().repeat(3)
            ctx.set(dut.line, 1)
            await ctx.tick().repeat(13)
        await byte(ctx, 0x99)
        await bits(ctx, [1])

    simulate(dut, bench, background=[collect(dut, got)])
    assert got == [(0x99, 0)]


def test_a_byte_that_replaces_another_says_so():
    dut = UARTReceiver(4)
    bits, byte = send(dut, 4)

    async def bench(ctx):
        for value in (1, 2):
            await byte(ctx, value)
        await bits(ctx, [1])
        payload = ctx.get(dut.o.payload)
        assert ctx.get(dut.o.valid)
        assert (payload.data, payload.error) == (2, 1)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        await byte(ctx, 3)
        await bits(ctx, [1])
        assert ctx.get(dut.o.payload).error == 0

    simulate(dut, bench)


@pytest.mark.parametrize("cycles", [4, 7, 10])
def test_transmits_without_gaps(cycles: int):
    dut = UARTTransmitter(cycles)
    values = [0x00, 0xFF, 0x53, 0xA5, 0x01]
    levels: list[int] = []

    async def source(ctx):
        ctx.set(dut.i.valid, 1)
        for value in values:
            ctx.set(dut.i.payload, value)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(12 * cycles)

    async def line(ctx):
        while True:
            *_, level = await ctx.tick().sample(dut.line)
            levels.append(level)

    simulate(dut, source, background=[line])
    start = levels.index(0)
    assert set(levels[:start]) == {1}
    expected = [bit for value in values for bit in (0, *(value >> n & 1 for n in range(8)), 1)]
    expected = [bit for bit in expected for _ in range(cycles)]
    assert levels[start : start + len(expected)] == expected
    assert set(levels[start + len(expected) :]) == {1}


def test_divisor():
    assert divisor(80e6, 1_000_000) == 80
    assert divisor(80e6, 3_000_000) == 27
    with pytest.raises(ValueError, match=r"baud: 3000000 leaves 2.7 of the 8 MHz clock's cycles per bit, not 4"):
        divisor(8e6, 3_000_000)
    with pytest.raises(ValueError, match=r"baud: 3000000 of a 16.4 MHz clock is 3280000, off by more than 2 %"):
        divisor(16.4e6, 3_000_000)
