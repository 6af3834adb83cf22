"""Registers: the table, the bus, the pulses, the C header."""

import random
import shutil
import subprocess

import pytest
from tilewright.hw import isa
from tilewright.hw.counters import Category
from tilewright.hw.registers import MAGIC, OFFSETS, REGISTERS, Access, Registers, c_header

from .test_axi import simulate

FINGERPRINT = 0xFEDCBA9876543210
OKAY, SLVERR = 0, 2


async def write(ctx, bus, offset, word, strobes=15, rng=None):
    """Write with address and data in any order. Returns the response."""
    rng = rng or random.Random(0)
    ctx.set(bus.awaddr, offset)
    ctx.set(bus.wdata, word)
    ctx.set(bus.wstrb, strobes)
    waits = {"aw": rng.randrange(4), "w": rng.randrange(4)}
    while waits:
        for channel in waits:
            ctx.set(getattr(bus, f"{channel}valid"), waits[channel] <= 0)
        aw, w = (await ctx.tick().sample(bus.awready, bus.wready))[-2:]
        ready = {"aw": aw, "w": w}
        for channel in list(waits):
            if waits[channel] <= 0 and ready[channel]:
                ctx.set(getattr(bus, f"{channel}valid"), 0)
                del waits[channel]
            else:
                waits[channel] -= 1
    wait = rng.randrange(4)
    while True:
        ctx.set(bus.bready, wait <= 0)
        *_, valid, response = await ctx.tick().sample(bus.bvalid, bus.bresp)
        if valid and wait <= 0:
            ctx.set(bus.bready, 0)
            return response
        wait -= 1


async def read(ctx, bus, offset, rng=None):
    """Returns (word, response)."""
    rng = rng or random.Random(0)
    ctx.set(bus.araddr, offset)
    ctx.set(bus.arvalid, 1)
    while not (await ctx.tick().sample(bus.arready))[-1]:
        pass
    ctx.set(bus.arvalid, 0)
    wait, held = rng.randrange(4), None
    while True:
        ctx.set(bus.rready, wait <= 0)
        *_, valid, word, response = await ctx.tick().sample(bus.rvalid, bus.rdata, bus.rresp)
        assert held is None or (valid and held == (word, response))
        held = (word, response) if valid else None
        if valid and wait <= 0:
            ctx.set(bus.rready, 0)
            return word, response
        wait -= 1


def test_table_is_sound():
    offsets = [register.offset for register in REGISTERS]
    assert len(set(offsets)) == len(offsets) == len(OFFSETS)
    assert all(offset % 4 == 0 and offset < 4096 for offset in offsets)
    names = [
        "MAGIC", "VERSION", "FINGERPRINT_LO", "FINGERPRINT_HI", "CONTROL", "STATUS", "ERROR", "ERROR_PC",
        "ERROR_DETAIL", "WATCHDOG", "CYCLES_LO", "CYCLES_HI", "COUNTER_ACTIVE", "COUNTER_WAIT_WEIGHTS",
        "COUNTER_WAIT_INPUT", "COUNTER_WAIT_OUTPUT", "COUNTER_WAIT_TOKENS", "COUNTER_IDLE", "TOKENS_LOAD",
        "TOKENS_COMPUTE", "TOKENS_STORE", "INSTRUCTIONS",
    ]  # fmt: skip
    assert set(names) <= set(OFFSETS)
    assert {f"BASE_{base.name}" for base in isa.Base} <= set(OFFSETS)


def test_reads_every_register():
    dut = Registers(FINGERPRINT)
    shown = {
        "MAGIC": MAGIC, "VERSION": 1, "FINGERPRINT_LO": 0x76543210, "FINGERPRINT_HI": 0xFEDCBA98, "STATUS": 5,
        "ERROR": 7,
        "ERROR_PC": 123456, "ERROR_DETAIL": 0xABCDEF, "CYCLES_LO": 0x89ABCDEF, "CYCLES_HI": 0x1234567,
        "INSTRUCTIONS": 99,
        "TOKENS_LOAD": 11, "TOKENS_COMPUTE": 22, "TOKENS_STORE": 33,
    } | {f"COUNTER_{category.name}": 1000 + category.value for category in Category}  # fmt: skip

    async def testbench(ctx):
        rng = random.Random(1)
        ctx.set(dut.status, {"busy": 1, "done": 0, "error": 1})
        ctx.set(dut.error, isa.ErrorCode.NO_PROGRESS)
        ctx.set(dut.error_pc, 123456)
        ctx.set(dut.error_detail, 0xABCDEF)
        ctx.set(dut.cycles, 0x123456789ABCDEF)
        ctx.set(dut.instructions, 99)
        ctx.set(dut.tokens, {"load": 11, "compute": 22, "store": 33})
        for category in Category:
            ctx.set(dut.counters[category.value], 1000 + category.value)
        for register in REGISTERS:
            word, response = await read(ctx, dut.bus, register.offset, rng)
            if register.access is Access.WRITE:
                assert response == SLVERR
            else:
                assert (word, response) == (shown.pop(register.name, 0), OKAY), register.name
            if register.name == "CYCLES_LO":
                ctx.set(dut.cycles, 0)  # the high half was kept
        assert not shown

    simulate(dut, [testbench])


def test_halves_of_the_cycles_are_of_one_moment():
    """Whichever cycle the low half is read in, while it runs over."""
    dut = Registers(FINGERPRINT)
    start = (7 << 32) - 8

    async def count(ctx):
        for cycles in range(start, start + 1000):
            ctx.set(dut.cycles, cycles)
            await ctx.tick()

    async def testbench(ctx):
        rng = random.Random(3)
        seen = []
        while not seen or seen[-1] < 7 << 32:
            low, _ = await read(ctx, dut.bus, OFFSETS["CYCLES_LO"], rng)
            high, _ = await read(ctx, dut.bus, OFFSETS["CYCLES_HI"], rng)
            seen.append(high << 32 | low)
        assert seen == sorted(seen) and start <= seen[0] and seen[-1] < start + 1000

    for delay in range(8):
        start = (7 << 32) - delay
        simulate(dut, [testbench], background=[count])


def test_writes_and_strobes():
    dut = Registers(FINGERPRINT)

    async def testbench(ctx):
        rng = random.Random(2)
        kept = {}
        for register in REGISTERS:
            if register.access is Access.READ_WRITE:
                kept[register] = rng.getrandbits(32)
                assert await write(ctx, dut.bus, register.offset, kept[register], rng=rng) == OKAY
            elif register.access is Access.READ:
                assert await write(ctx, dut.bus, register.offset, rng.getrandbits(32), rng=rng) == SLVERR
        for register in kept:
            word, strobes = rng.getrandbits(32), rng.randrange(16)
            assert await write(ctx, dut.bus, register.offset, word, strobes, rng) == OKAY
            mask = sum(255 << 8 * n for n in range(4) if strobes >> n & 1)
            kept[register] = kept[register] & ~mask | word & mask
            assert await read(ctx, dut.bus, register.offset, rng) == (kept[register], OKAY)
        for register, word in kept.items():
            assert await read(ctx, dut.bus, register.offset, rng) == (word, OKAY)
        values = {register.name: word for register, word in kept.items()}
        assert ctx.get(dut.watchdog) == values["WATCHDOG"]
        assert ctx.get(dut.program_length) == values["PROGRAM_LENGTH"]
        for base in isa.Base:
            assert ctx.get(dut.bases[base.value]) == values[f"BASE_{base.name}"]

    simulate(dut, [testbench])


def test_unknown_offsets_are_refused():
    dut = Registers(FINGERPRINT)

    async def testbench(ctx):
        rng = random.Random(2)
        for offset in [0x2C, 0x44, 0x80, 0x100, 0x800, 0xFFC]:
            assert offset not in OFFSETS.values()
            assert (await read(ctx, dut.bus, offset, rng))[1] == SLVERR
            assert await write(ctx, dut.bus, offset, 3, rng=rng) == SLVERR

    simulate(dut, [testbench])


@pytest.mark.parametrize(
    "word, strobes, pulses", [(1, 15, (1, 0)), (2, 15, (0, 1)), (3, 1, (1, 1)), (3, 14, (0, 0)), (0, 15, (0, 0))]
)
def test_control_pulses_once(word, strobes, pulses):
    dut = Registers(FINGERPRINT)
    seen = [0, 0]

    async def testbench(ctx):
        assert await write(ctx, dut.bus, OFFSETS["CONTROL"], word, strobes) == OKAY
        await ctx.tick().repeat(5)

    async def watch(ctx):
        while True:
            start, reset = (await ctx.tick().sample(dut.start, dut.reset))[-2:]
            seen[0] += start
            seen[1] += reset

    simulate(dut, [testbench], [watch])
    assert tuple(seen) == pulses


def test_c_header(tmp_path):
    header = c_header(FINGERPRINT)
    for register in REGISTERS:
        assert f"#define TILEWRIGHT_{register.name} 0x{register.offset:03x} " in header
    assert "#define TILEWRIGHT_ERROR_NO_PROGRESS 7\n" in header
    assert "#define TILEWRIGHT_FINGERPRINT_VALUE 0xfedcba9876543210ULL\n" in header
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "no C compiler; Verilator needs one, too"
    source = tmp_path / "check.c"
    source.write_text(
        header
        + f'_Static_assert(TILEWRIGHT_BASE_SCRATCH == {OFFSETS["BASE_SCRATCH"]}, "");\n'
        + f'_Static_assert(TILEWRIGHT_MAGIC_VALUE == {MAGIC} && TILEWRIGHT_STATUS_ERROR == 4, "");\n'
    )
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", "-pedantic", "-fsyntax-only", str(source)], check=True)
