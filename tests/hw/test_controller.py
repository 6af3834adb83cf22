"""Controller: programs in memory, engines played by the test, every error; and the life cycle around it."""

import random
from collections import deque

import pytest
from tilewright.hw import isa
from tilewright.hw.controller import DETAIL, ENGINES, Controller, Fetcher, Lifecycle
from tilewright.hw.isa import Base, ErrorCode, Opcode

from .test_axi import Memory, simulate, take
from .test_load import SIZE, Bench

PROGRAM = 0x0FC0  # the second instruction is on another page
QUEUES = {"load": "loads", "weights": "weights", "compute": "computes", "store": "stores"}

TRANSFER = {"base": Base.INPUT, "run_bytes": 4, "runs": 1, "rows": 1, "width": 1, "channels": 4}
LEGAL = {
    "load": TRANSFER | {"opcode": Opcode.LOAD, "row_step": 8, "address": 16, "run_pitch": -5},
    "store": TRANSFER | {"opcode": Opcode.STORE, "base": Base.SCRATCH, "offset": 2**32 - 1},
    "weights": {
        "opcode": Opcode.WEIGHTS, "base": Base.WEIGHTS, "offset": 64, "bytes": 80, "stream": isa.Stream.TILES,
        "blocks": 1,
        "groups": 1, "tiles": 1, "rows": 8, "last_rows": 1,
    },
    "tables": {"opcode": Opcode.WEIGHTS, "base": Base.WEIGHTS, "bytes": isa.TABLE_BYTES, "stream": isa.Stream.TABLES},
    "compute": {
        "opcode": Opcode.COMPUTE, "mode": isa.Mode.DENSE, "blocks": 1, "taps_y": 1, "taps_x": 1, "channels": 2,
        "out_rows": 1,
        "out_cols": 1, "rows": 8, "last_rows": 1, "stride_y": 1, "stride_x": 1, "y": -1, "residual": 1,
    },
}  # fmt: skip
LEGAL["depthwise"] = LEGAL["compute"] | {"mode": isa.Mode.DEPTHWISE, "channels": 1, "group": 3, "period": 4}
LEGAL["packed"] = LEGAL["compute"] | {"mode": isa.Mode.PACKED, "channels": 1, "group": 16, "residual": 0}
LEGAL["maximum"] = LEGAL["compute"] | {"pool": isa.Pool.MAX, "pool_rows": 1, "pool_cols": 1}
LEGAL["average"] = LEGAL["compute"] | {"pool": isa.Pool.AVERAGE}
END = {"opcode": Opcode.END}
POOL_BIT = isa.COMPUTE["pool"].offset


def encode(fields):
    """An instruction's 64 bytes; `raw` sets bits that the format does not name."""
    fields = dict(fields)
    raw = fields.pop("raw", 0)
    opcode = fields["opcode"]
    bits = isa.FORMATS[opcode].const(fields).as_bits()
    return (bits | raw).to_bytes(64, "little")


def controller(beat_bytes=16, **features):
    """For 8 rows, 16 columns: a vector is two units."""
    return Controller(8, 16, beat_bytes, **features)


class Machine:
    """A controller with a program in memory, and the engines played by test benches."""

    def __init__(self, dut, program, seed=0, latency=(20, 20), stall=0.0, faults=(), work=(1, 30)):
        self.dut, self.program, self.stall, self.work = dut, program, stall, work
        self.memory = Memory(SIZE, seed, faults)
        for n, instruction in enumerate(program):
            word = instruction if isinstance(instruction, bytes) else encode(instruction)
            self.memory.bytes[PROGRAM + 64 * n : PROGRAM + 64 * n + 64] = word
        self.bench = Bench(dut.read, self.memory, random.Random(seed), latency, stall)
        self.taken = {name: [] for name in QUEUES}
        self.counts = dict.fromkeys(("load", "compute", "store"), 0)
        self.seed = seed

    def engine(self, name):
        """Takes instructions and finishes each after a random time."""

        async def bench(ctx):
            rng, dut = random.Random(f"{self.seed} {name}"), self.dut
            while True:
                ctx.set(dut.idle[name], 1)
                await take(
                    ctx, getattr(dut, QUEUES[name]), self.taken[name], rng, self.stall, len(self.taken[name]) + 1
                )
                ctx.set(dut.idle[name], 0)
                for _ in range(rng.randint(*self.work)):  # `repeat` objects to being left by a simulation's end
                    await ctx.tick()
                ctx.set(dut.finished[name], 1)
                await ctx.tick()
                ctx.set(dut.finished[name], 0)
                if name in self.counts:
                    self.counts[name] += 1
                    ctx.set(dut.counts[name], self.counts[name])

        return bench

    async def run(self, ctx, length=0, most=4000):
        """Start and wait for the end or an error. Returns the cycles of `busy`."""
        dut = self.dut
        ctx.set(dut.program, PROGRAM + 13)  # the low bits do not count
        ctx.set(dut.length, length)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.busy)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for cycle in range(most):
            assert not (ctx.get(dut.done) and ctx.get(dut.busy))
            if not ctx.get(dut.busy):
                return cycle
            await ctx.tick()
        raise AssertionError(f"busy for {most} cycles")

    def simulate(self, testbench, engines=tuple(QUEUES)):
        simulate(self.dut, [testbench], [self.bench.serve, *map(self.engine, engines)])


def random_program(rng, count):
    issued = dict.fromkeys(("load", "compute", "store"), 0)
    program = []
    for _ in range(count):
        name = rng.choice(list(LEGAL))
        waits = {f"wait_{engine}": rng.randint(0, n) for engine, n in issued.items()}
        program.append(LEGAL[name] | waits)
        opcode = program[-1]["opcode"].name.lower()
        if opcode in issued:
            issued[opcode] += 1
    return [*program, END | {f"wait_{engine}": n for engine, n in issued.items()}]


@pytest.mark.parametrize("beat_bytes", [4, 8, 16])
@pytest.mark.parametrize("latency, stall", [((20, 20), 0.0), ((1, 30), 0.4)])
def test_runs_programs(beat_bytes, latency, stall):
    dut = controller(beat_bytes)
    rng = random.Random(f"{beat_bytes} {stall}")
    program = random_program(rng, 40)
    machine = Machine(dut, program, 1, latency, stall)

    async def testbench(ctx):
        await machine.run(ctx, rng.choice([0, len(program)]))
        assert ctx.get(dut.done) and not ctx.get(dut.halt) and ctx.get(dut.error) == ErrorCode.NONE
        assert ctx.get(dut.instructions) == len(program) - 1

    machine.simulate(testbench)
    for name, taken in machine.taken.items():
        expected = [i for i in program if i["opcode"].name.lower() == name]
        assert len(taken) == len(expected)
        for payload, fields in zip(taken, expected, strict=True):
            assert payload == isa.FORMATS[fields["opcode"]].const(fields)


def test_end_waits_for_everything():
    """For tokens, for an engine that says it is not idle, and for the last fetch; then it is done."""
    dut = controller()
    machine = Machine(dut, [LEGAL["store"], END | {"wait_store": 2}])

    async def testbench(ctx):
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(200)
        assert ctx.get(dut.busy)
        ctx.set(dut.counts.store, 2)
        ctx.set(dut.idle.weights, 0)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.busy)
        ctx.set(dut.idle.weights, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.done) and not ctx.get(dut.busy)

    machine.simulate(testbench)


def test_fetch_runs_ahead_but_not_past_the_program():
    dut = controller()
    program = [LEGAL["compute"]] * 30 + [END]
    machine = Machine(dut, program, work=(200, 200))
    dispatched = []

    async def testbench(ctx):
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.length, 9)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(190)
        dispatched.append(ctx.get(dut.instructions))

    machine.simulate(testbench)
    assert dispatched[0] == 1  # with the engine
    assert len(machine.bench.beats_at) == 4 * 9


def bad(name, **fields):
    return pytest.param(name, fields, id=f"{name}-" + "-".join(f"{k}={v}" for k, v in fields.items()))


ZEROS = {
    "load": ("run_bytes", "runs", "rows", "width", "channels"),
    "weights": ("bytes", "blocks", "groups", "tiles", "rows", "last_rows"),
    "compute": (
        "blocks",
        "taps_y",
        "taps_x",
        "channels",
        "out_rows",
        "out_cols",
        "rows",
        "last_rows",
        "stride_y",
        "stride_x",
    ),
}


@pytest.mark.parametrize("name, fields", [
    *(bad(name, **{field: 0}) for name, fields in ZEROS.items() for field in fields),
    *(bad(name, raw=1 << bit) for name in ("load", "store", "weights", "compute") for bit in (4, 15, 511)),
    *(bad(name, raw=7 << 64) for name in ("load", "weights")),  # base
    bad("load", address=17), bad("store", row_step=7),
    bad("weights", rows=9), bad("weights", last_rows=9), bad("weights", bytes=88), bad("weights", offset=8),
    bad("weights", raw=3 << 127), bad("tables", bytes=1024),
    bad("compute", rows=9), bad("compute", last_rows=9), bad("compute", raw=3 << 64),
    bad("depthwise", group=9), bad("depthwise", group=0), bad("depthwise", period=0), bad("depthwise", channels=2),
    bad("packed", group=17), bad("packed", group=0), bad("packed", channels=2), bad("packed", residual=1),
    bad("maximum", pool_rows=0), bad("maximum", pool_cols=0), bad("compute", raw=3 << POOL_BIT),
])  # fmt: skip
def test_refuses_illegal_fields(name, fields):
    dut = controller()
    machine = Machine(dut, [LEGAL["load"], LEGAL[name] | fields, END])

    async def testbench(ctx):
        await machine.run(ctx)
        assert ctx.get(dut.halt) and not ctx.get(dut.done)
        assert ctx.get(dut.error) == ErrorCode.ILLEGAL_FIELD
        assert ctx.get(dut.error_pc) == 1 == ctx.get(dut.instructions)

    machine.simulate(testbench)
    assert sum(map(len, machine.taken.values())) == 1


@pytest.mark.parametrize("features, name", [
    ({"depthwise": False}, "depthwise"), ({"packed": False}, "packed"), ({"residual": False}, "compute"),
    ({"residual": False}, "tables"), ({"pooling": False}, "maximum"), ({"pooling": False}, "average"),
])  # fmt: skip
def test_refuses_absent_features(features, name):
    dut = controller(**features)
    machine = Machine(dut, [LEGAL[name], END])

    async def testbench(ctx):
        await machine.run(ctx)
        assert ctx.get(dut.error) == ErrorCode.ILLEGAL_FIELD

    machine.simulate(testbench)


@pytest.mark.parametrize("opcode", [0, 6, 15])
def test_refuses_unknown_opcodes(opcode):
    dut = controller()
    machine = Machine(dut, [LEGAL["load"], LEGAL["store"], opcode.to_bytes(64, "little")])

    async def testbench(ctx):
        await machine.run(ctx)
        assert ctx.get(dut.error) == ErrorCode.ILLEGAL_OPCODE and ctx.get(dut.error_pc) == 2

    machine.simulate(testbench)


def test_refuses_a_program_without_end():
    dut = controller()
    machine = Machine(dut, [LEGAL["load"], LEGAL["store"], END])

    async def testbench(ctx):
        await machine.run(ctx, length=2)
        assert ctx.get(dut.error) == ErrorCode.PROGRAM_END and ctx.get(dut.error_pc) == 2

    machine.simulate(testbench)


@pytest.mark.parametrize("instruction", [0, 1, 2, 3])
def test_fetch_error_counts_only_if_reached(instruction):
    dut = controller()
    machine = Machine(dut, [LEGAL["load"], LEGAL["store"], END], faults={PROGRAM + 64 * instruction + 20})

    async def testbench(ctx):
        await machine.run(ctx)
        if instruction == 3:  # behind END
            assert ctx.get(dut.done)
        else:
            assert ctx.get(dut.error) == ErrorCode.FETCH_BUS and ctx.get(dut.error_pc) == instruction

    machine.simulate(testbench)


@pytest.mark.parametrize("fault, code", [
    ("load", ErrorCode.LOAD_BUS), ("weights", ErrorCode.WEIGHTS_BUS), ("store", ErrorCode.STORE_BUS),
])  # fmt: skip
def test_bus_errors_name_the_oldest_instruction(fault, code):
    dut = controller()
    program = [LEGAL[name] for name in ("load", "weights", "compute", "store") for _ in range(3)] + [
        END | {"wait_store": 3}
    ]
    machine = Machine(dut, program, work=(40, 40))

    async def testbench(ctx):
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        finished = 0
        while finished < 1:
            finished += (await ctx.tick().sample(dut.finished[fault]))[-1]
        await ctx.tick().repeat(10)
        ctx.set(dut.faults[fault], 1)
        await ctx.tick()
        ctx.set(dut.faults[fault], 0)
        assert ctx.get(dut.halt) and not ctx.get(dut.busy)
        assert ctx.get(dut.error) == code
        assert ctx.get(dut.error_pc) == 3 * list(QUEUES).index(fault) + 1
        number = ctx.get(dut.instructions)
        await ctx.tick().repeat(200)
        assert ctx.get(dut.error) == code and ctx.get(dut.instructions) == number and not ctx.get(dut.done)

    machine.simulate(testbench)


def test_watchdog_error_keeps_the_details():
    dut = controller()
    machine = Machine(dut, [LEGAL["compute"] | {"wait_load": 1}] * 9)
    waiting = {name: {"load": int(name == "compute"), "compute": 0, "store": 0} for name in QUEUES}

    async def testbench(ctx):
        for name in QUEUES:
            ctx.set(dut.idle[name], 1)
        ctx.set(dut.program, PROGRAM)
        ctx.set(dut.waiting, waiting)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.computes.ready, 1)
        await ctx.tick().until(dut.computes.valid)
        ctx.set(dut.computes.ready, 0)
        await ctx.tick().repeat(150)
        ctx.set(dut.faults.no_progress, 1)
        await ctx.tick()
        ctx.set(dut.faults.no_progress, 0)
        ctx.set(dut.waiting.compute.load, 0)
        await ctx.tick()
        assert ctx.get(dut.error) == ErrorCode.NO_PROGRESS
        detail = DETAIL.from_bits(ctx.get(dut.error_detail) & (1 << DETAIL.size) - 1)
        only = {name: int(name == "compute") for name in QUEUES}
        assert detail.busy == ENGINES.const(only) and detail.full == ENGINES.const(only)
        assert detail.waiting == DETAIL["waiting"].shape.const(waiting)
        assert detail.end.as_bits() == 0

    machine.simulate(testbench, engines=())


def test_fetcher_gives_an_instruction_every_few_cycles():
    dut = Fetcher(16)
    bench = Bench(dut.read, Memory(SIZE, 3), random.Random(0))
    got = []

    async def testbench(ctx):
        ctx.set(dut.program, 0x400)
        ctx.set(dut.run, 1)
        assert await take(ctx, dut.instructions, got, random.Random(0), count=40) <= 30 + 40 * 5
        ctx.set(dut.run, 0)
        ctx.set(dut.instructions.ready, 1)
        await ctx.tick().repeat(100)
        assert ctx.get(dut.idle)

    simulate(dut, [testbench], [bench.serve])
    for n, payload in enumerate(got):
        assert payload.word.to_bytes(64, "little") == bench.memory.bytes[0x400 + 64 * n :][:64]


def test_lifecycle():
    dut = Lifecycle()
    log = deque()

    async def cycle(ctx, **inputs):
        for name in ("start", "reset", "busy", "failed", "quiet"):
            ctx.set(getattr(dut, name), inputs.get(name, 0))
        names = ("clear", "go", "running", "halt")
        values = (await ctx.tick().sample(*(getattr(dut, name) for name in names)))[-4:]
        log.append({name for name, value in zip(names, values, strict=True) if value})
        return log[-1]

    async def testbench(ctx):
        assert await cycle(ctx, quiet=1) == set()
        assert await cycle(ctx, start=1, quiet=1) == set()
        assert await cycle(ctx) == {"clear"}
        assert await cycle(ctx) == {"go", "running"}
        assert await cycle(ctx, busy=1, start=1) == {"running"}  # refused
        assert await cycle(ctx, busy=1) == {"running"}
        assert await cycle(ctx, failed=1) == set()
        assert await cycle(ctx, failed=1, start=1) == {"halt"}  # refused
        assert await cycle(ctx, failed=1, reset=1) == {"halt"}
        assert await cycle(ctx, failed=1) == {"halt"}
        assert await cycle(ctx, failed=1, quiet=1) == {"halt"}
        assert await cycle(ctx, failed=1) == {"halt"}
        assert await cycle(ctx) == {"halt", "clear"}
        assert await cycle(ctx) == {"halt"}
        assert await cycle(ctx, start=1) == set()
        assert await cycle(ctx) == {"clear"}
        assert await cycle(ctx, reset=1, quiet=1) == {"go", "running"}  # quiet before: does not count
        assert await cycle(ctx, busy=1) == set()
        assert await cycle(ctx, busy=1, quiet=1) == {"halt"}
        assert await cycle(ctx, busy=1, quiet=1) == {"halt"}  # for a whole cycle
        assert await cycle(ctx, busy=1) == {"halt"}
        assert await cycle(ctx) == {"halt", "clear"}
        assert await cycle(ctx) == {"halt"}
        assert await cycle(ctx, start=1) == set()
        assert await cycle(ctx, reset=1) == {"clear"}
        assert await cycle(ctx) == set()
        assert await cycle(ctx) == {"halt"}

    simulate(dut, [testbench])
