"""PostProcessor against docs/architecture.md on plain Python integers: values, addresses, order, latency, promises."""

import gc
import random
import warnings
from dataclasses import dataclass, field
from itertools import product

import pytest
from amaranth.sim import Simulator
from tilewright.hw.isa import Pool, Rounding
from tilewright.hw.pool import Pooling
from tilewright.hw.postprocess import CONTEXT, CONTEXTS, RING_BLOCKS, PostProcessor


@dataclass
class Instruction:
    """A COMPUTE instruction's fields, per block its constants, and per result the sums and residual bytes."""

    fields: dict[str, int]
    blocks: list[dict[str, list[int]]] = field(default_factory=list)
    sums: list[list[list[int]]] = field(default_factory=list)  # [block][result][col]
    operands: list[list[list[int]]] = field(default_factory=list)


def clamp(x, minimum, maximum):
    return max(minimum, min(maximum, x))


def ordered(rng):
    return rng.choice([(-128, 127), tuple(sorted((rng.randint(-128, 127), rng.randint(-128, 127))))])


def random_pool(rng, rows, cols):
    """Pool fields for a block of results; every other one has none."""
    pool = rng.choice([Pool.NONE, Pool.NONE, Pool.MAX, Pool.AVERAGE])
    fields = {"pool": pool, "pool_rows": 0, "pool_cols": 0, "pool_multiplier": 0, "pool_shift": 0}
    if pool is Pool.MAX:
        wide = rng.choice([n for n in range(1, cols + 1) if cols % n == 0])
        high = rng.choice([n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or wide > 1)])
        fields |= {"pool_rows": high, "pool_cols": wide}
    elif pool is Pool.AVERAGE:
        fields |= {"pool_multiplier": rng.randint(0, 2**17 // (rows * cols)), "pool_shift": rng.randrange(4)}
    return fields


def random_instruction(rng, cols, residual, pooling=False):
    minimum, maximum = ordered(rng)
    res_minimum, res_maximum = ordered(rng)
    out_rows, out_cols, blocks = rng.choice([(1, 1, 1), (1, 1, 3), (5, 1, 1), (1, 7, 2), (6, 3, 1), (2, 6, 2)])
    instruction = Instruction({
        "rounding": rng.choice(list(Rounding)), "zero_point": rng.randint(-128, 127), "minimum": minimum,
        "maximum": maximum, "residual": int(residual and rng.random() < 0.6), "res_tie": rng.choice([0, 1, rng.randrange(64)]),
        "res_offset": rng.randint(-(2**20), 2**20), "res_shift": rng.randint(12, 20),
        "res_zero_point": rng.randint(-128, 127), "res_minimum": res_minimum, "res_maximum": res_maximum,
        "out_cols": out_cols, "out_address": rng.choice([0, 2**16 - 3, rng.randrange(2**16)]),
        "out_bank": rng.randrange(4), "out_row_step": rng.choice([1, 40, 2**16 - 5, rng.randrange(2**16)]),
        "out_x_step": rng.choice([1, 3, 2**16 - 1, rng.randrange(2**16)]),
    })  # fmt: skip
    if pooling:
        instruction.fields |= random_pool(rng, out_rows, out_cols)
    for _ in range(blocks):
        instruction.blocks.append({
            "bias": [rng.randint(-(2**31), 2**31 - 1) for _ in range(cols)],
            "multiplier": [rng.randint(0, 2**31 - 1) for _ in range(cols)],
            "shift": [rng.randint(0, 62) for _ in range(cols)],
        })  # fmt: skip
        constants = instruction.blocks[-1]
        sums, operands = [], []
        for _ in range(out_rows * out_cols):
            row = []
            for col in range(cols):
                near = rng.randint(-300, 300) * 2 ** constants["shift"][col] // max(1, constants["multiplier"][col])
                x = rng.choice([near, rng.randint(-(2**31), 2**31 - 1)]) - constants["bias"][col]
                row.append((x + 2**31) % 2**32 - 2**31)
            sums.append(row)
            operands.append([rng.randrange(256) for _ in range(cols)])
        instruction.sums.append(sums)
        instruction.operands.append(operands)
    return instruction


def expected_writes(program, tables, *, cols, vector, units):
    """(bank, word address, mask, bytes that the mask selects, last of its instruction, number of the sum, cycles later)."""
    unit = vector // units
    number = 0
    for instruction in program:
        f = instruction.fields
        for k, (constants, sums, operands) in enumerate(
            zip(instruction.blocks, instruction.sums, instruction.operands, strict=True)
        ):
            pairs = zip(sums, operands, strict=True)
            results = [[result(f, constants, tables, n, a[n], b[n]) for n in range(cols)] for a, b in pairs]
            for oy, ox, n, values in pooled(f, results):
                address = f["out_address"] + ((f["out_bank"] + oy) >> 2) * f["out_row_step"]
                address = (address + ox * f["out_x_step"] + k * (cols // unit)) % 2**16
                end = k == len(instruction.sums) - 1 and n == len(sums) - 1
                mask = (1 << units) - 1 if cols == vector else 1 << address % units
                later = Pooling.mean_latency(cols) if f.get("pool") is Pool.AVERAGE else 0
                yield (f["out_bank"] + oy) % 4, address // units, mask, values, end, number + n, later
            number += len(sums)


def pooled(f, results):
    """(row, column, number of its last result, vector) of each pixel that is written of a block."""
    columns = f["out_cols"]
    match f.get("pool", Pool.NONE):
        case Pool.NONE:
            for n, values in enumerate(results):
                yield *divmod(n, columns), n, values
        case Pool.MAX:
            high, wide = f["pool_rows"], f["pool_cols"]
            for oy, ox in product(range(len(results) // columns // high), range(columns // wide)):
                window = [(oy * high + y) * columns + ox * wide + x for y, x in product(range(high), range(wide))]
                yield oy, ox, window[-1], [max(channel) for channel in zip(*(results[n] for n in window), strict=True)]
        case Pool.AVERAGE:
            shift = 16 + f["pool_shift"]
            totals = [sum(channel) for channel in zip(*results, strict=True)]
            yield 0, 0, len(results) - 1, [(total * f["pool_multiplier"] + 2 ** (shift - 1)) >> shift for total in totals]


def result(f, constants, tables, col, total, operand):
    x = (total + constants["bias"][col] + 2**31) % 2**32 - 2**31
    product, shift = x * constants["multiplier"][col], constants["shift"][col]
    if f["rounding"] == Rounding.SINGLE:
        y = (product + (2**shift >> 1)) >> shift
    else:
        first, second = min(shift, 31), max(shift - 31, 0)
        y = (product + (2**first >> 1)) >> first
        if second:
            y = (y + 2 ** (second - 1) - (y < 0)) >> second
    value = clamp(f["zero_point"] + y, f["minimum"], f["maximum"])
    if f["residual"]:
        pair = tables[0][value % 256] + tables[1][operand]
        index = pair + f["res_offset"] - (f["res_tie"] if pair < 0 else 0)
        value = clamp(f["res_zero_point"] + (index >> f["res_shift"]), f["res_minimum"], f["res_maximum"])
    return value


def constant_vectors(program):
    """(plane, bytes as a number) in the order of the weight stream."""
    for instruction in program:
        for block in instruction.blocks:
            planes = [[bias >> 8 * n & 255 for bias in block["bias"]] for n in range(4)]
            planes += [[multiplier >> 8 * n & 255 for multiplier in block["multiplier"]] for n in range(4)]
            planes.append(block["shift"])
            yield from ((n, int.from_bytes(bytes(plane), "little")) for n, plane in enumerate(planes))


class Bench:
    """Drives a PostProcessor with a program; collects (cycle, write, done) and the cycles of sums."""

    def __init__(self, dut, cols, program, tables, rng, gaps, parts=1):
        self.parts, self.lanes = parts, cols // parts
        self.dut, self.cols, self.program, self.tables, self.rng, self.gaps = dut, cols, program, tables, rng, gaps
        self.residual = hasattr(dut, "residuals")  # absent without the hardware
        self.contexts_pushed = 0
        self.blocks_pushed = 0
        self.mean_before = False  # then nothing may come until it is written
        self.sum_cycles = []
        self.done_cycles = []
        self.writes = []
        self.faults = 0
        self.cycle = 0

    async def stall(self, ctx):
        while self.rng.random() < self.gaps:
            await ctx.tick()

    async def load_tables(self, ctx):
        ctx.set(self.dut.tables.valid, 1)
        for index in range(256):
            ctx.set(self.dut.tables.payload, {"index": index, "a": self.tables[0][index], "b": self.tables[1][index]})
            assert ctx.get(self.dut.tables.ready)
            await ctx.tick()
        ctx.set(self.dut.tables.valid, 0)

    async def push_contexts(self, ctx):
        for instruction in self.program:
            await self.stall(ctx)
            ctx.set(self.dut.contexts.payload, CONTEXT.const(instruction.fields))
            ctx.set(self.dut.contexts.valid, 1)
            await ctx.tick().until(self.dut.contexts.ready)
            ctx.set(self.dut.contexts.valid, 0)
            self.contexts_pushed += 1

    async def push_constants(self, ctx):
        complete = 0  # blocks, a cycle ago
        for plane, word in constant_vectors(self.program):
            if complete:
                await ctx.tick()
                self.blocks_pushed += complete
            await self.stall(ctx)
            ctx.set(self.dut.constants.payload, {"plane": plane, "data": word})
            ctx.set(self.dut.constants.valid, 1)
            await ctx.tick().until(self.dut.constants.ready)
            ctx.set(self.dut.constants.valid, 0)
            complete = plane == 8
        await ctx.tick()
        self.blocks_pushed += complete

    async def push_sums(self, ctx):
        if self.residual:
            await self.load_tables(ctx)
        block = 0
        operands = self.operands()
        ahead = 0  # residual vectors pushed beyond the sums
        for number, instruction in enumerate(self.program):
            for k, sums in enumerate(instruction.sums):
                # Wait until the constants and the context are there, as the sequencer does.
                while self.contexts_pushed <= number or self.blocks_pushed <= block:
                    await ctx.tick()
                block += 1
                for _ in range(Pooling.mean_latency(self.cols) if self.mean_before else 0):
                    ahead += await self.cycle_with(ctx, None, operands, False)
                self.mean_before = instruction.fields.get("pool") is Pool.AVERAGE
                for n, row in enumerate(sums):
                    while self.rng.random() < self.gaps:
                        ahead += await self.cycle_with(ctx, None, operands, ahead < 20 and self.rng.random() < 0.5)
                    for part in range(self.parts):
                        last = part == self.parts - 1
                        ctx.set(self.dut.sums.part, part)
                        ctx.set(self.dut.sums.data, row[part * self.lanes : (part + 1) * self.lanes])
                        ctx.set(self.dut.sums.block_end, last and n == len(sums) - 1)
                        ctx.set(self.dut.sums.end, last and n == len(sums) - 1 and k == len(instruction.sums) - 1)
                        needed = instruction.fields["residual"] and ahead == 0
                        more = needed or (ahead < 20 and self.rng.random() < 0.5)
                        ahead += await self.cycle_with(ctx, row, operands, more)
                    self.sum_cycles.append(self.cycle - 1)
                    ahead -= instruction.fields["residual"]
        for _ in range(self.dut.latency(True) + Pooling.mean_latency(self.cols) + 2):
            await self.cycle_with(ctx, None, iter(()), False)

    def operands(self):
        for instruction in self.program:
            if instruction.fields["residual"]:
                for block in instruction.operands:
                    yield from block

    async def cycle_with(self, ctx, row, operands, push):
        """One cycle; returns how many residual vectors were pushed in it."""
        operand = next(operands, None) if push else None
        if self.residual:
            ctx.set(self.dut.residuals.valid, operand is not None)
        if operand is not None:
            ctx.set(self.dut.residuals.data, int.from_bytes(bytes(operand), "little"))
        ctx.set(self.dut.sums.valid, row is not None)
        await ctx.tick()
        ctx.set(self.dut.sums.valid, 0)
        if self.residual:
            ctx.set(self.dut.residuals.valid, 0)
        return int(operand is not None)

    async def watch(self, ctx):
        dut = self.dut
        async for values in ctx.tick().sample(
            dut.writes.valid, dut.writes.bank, dut.writes.address, dut.writes.data, dut.writes.mask, dut.done, dut.fault
        ):
            _, _, valid, bank, address, word, mask, done, fault = values
            if valid:
                self.writes.append((self.cycle, bank, address, word, mask, done))
            if done:
                self.done_cycles.append(self.cycle)
            self.faults += fault
            self.cycle += 1


def run(bench):
    simulator = Simulator(bench.dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench.watch, background=True)  # first: it counts the cycles
    for testbench in (bench.push_contexts, bench.push_constants, bench.push_sums):
        simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize(
    ("cols", "units", "narrow", "residual", "pooling", "parts"),
    [
        (4, 1, False, True, True, 1), (16, 1, False, True, True, 1), (4, 8, True, True, True, 1), (8, 4, False, True, False, 1),
        (4, 1, False, False, False, 1), (4, 1, False, False, True, 1), (8, 1, False, True, False, 2),
        (8, 2, True, False, False, 4),
    ],
)  # fmt: skip
def test_writes_what_the_definition_says(cols, units, narrow, residual, pooling, parts, gaps):
    """``narrow``: a vector holds ``units`` results; otherwise it is one result of ``units`` units."""
    rng = random.Random(f"{cols} {units} {gaps}")
    vector = cols * units if narrow else cols
    program = [random_instruction(rng, cols, residual, pooling) for _ in range(max(24, 300 // cols))]
    tables = [[rng.randint(-(2**25), 2**25) for _ in range(256)] for _ in range(2)]
    address_bits = 16 - (units - 1).bit_length()
    dut = PostProcessor(
        cols=cols, vector=vector, units=units, address_bits=address_bits, residual=residual,
        pooling=pooling, lanes=cols // parts,
    )  # fmt: skip
    bench = Bench(dut, cols, program, tables, rng, gaps, parts)
    run(bench)

    expected = list(expected_writes(program, tables, cols=cols, vector=vector, units=units))
    assert len(bench.writes) == len(expected)
    assert bench.faults == 0
    for write, want in zip(bench.writes, expected, strict=True):
        cycle, bank, address, word, mask, done = write
        want_bank, want_address, want_mask, values, end, number, later = want
        assert (bank, address, mask, done) == (want_bank, want_address, want_mask, end)
        assert word == int.from_bytes(bytes(value % 256 for value in values) * (vector // cols), "little")
        assert cycle == bench.sum_cycles[number] + PostProcessor.latency(residual) + later
    last = -1
    for instruction, done in zip(program, bench.done_cycles, strict=True):
        last += sum(map(len, instruction.sums))
        later = Pooling.mean_latency(cols) if instruction.fields.get("pool") is Pool.AVERAGE else 0
        assert done == bench.sum_cycles[last] + PostProcessor.latency(residual) + later


def test_back_to_back_instructions_have_no_bubble():
    rng = random.Random(5)
    program = [random_instruction(rng, 4, True) for _ in range(CONTEXTS)]
    for instruction in program:
        instruction.blocks, instruction.sums = instruction.blocks[:1], [instruction.sums[0][:1]]
        instruction.operands = [instruction.operands[0][:1]]
    tables = [[rng.randint(-(2**25), 2**25) for _ in range(256)] for _ in range(2)]
    bench = Bench(PostProcessor(cols=4, vector=4, units=1, address_bits=16), 4, program, tables, rng, 0.0)
    run(bench)

    cycles = [cycle for cycle, *_ in bench.writes]
    assert cycles == list(range(cycles[0], cycles[0] + CONTEXTS))
    expected = expected_writes(program, tables, cols=4, vector=4, units=1)
    assert [word for *_, word, _, _ in bench.writes] == [
        int.from_bytes(bytes(value % 256 for value in values), "little") for _, _, _, values, *_ in expected
    ]


def test_ring_and_contexts_hold_as_many_as_they_say():
    dut = PostProcessor(cols=4, vector=4, units=1, address_bits=16, residual=False)

    async def testbench(ctx):
        ctx.set(dut.contexts.valid, 1)
        for n in range(CONTEXTS):
            assert ctx.get(dut.contexts.ready), n
            await ctx.tick()
        assert not ctx.get(dut.contexts.ready)
        ctx.set(dut.contexts.valid, 0)
        ctx.set(dut.constants.valid, 1)
        for n in range(9 * RING_BLOCKS):
            ctx.set(dut.constants.payload.plane, n % 9)
            assert ctx.get(dut.constants.ready), n
            await ctx.tick()
        assert not ctx.get(dut.constants.ready)
        ctx.set(dut.constants.valid, 0)
        ctx.set(dut.sums.valid, 1)
        ctx.set(dut.sums.block_end, 1)
        ctx.set(dut.sums.end, 1)
        await ctx.tick()
        ctx.set(dut.sums.valid, 0)
        assert ctx.get(dut.constants.ready)
        assert not ctx.get(dut.contexts.ready)
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.contexts.ready)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("missing", ["context", "constants", "residual", "none", "room"])
def test_fault_reports_a_broken_promise(missing):
    dut = PostProcessor(cols=4, vector=4, units=1, address_bits=16, depth=16)
    faults = []

    async def testbench(ctx):
        if missing != "context":
            ctx.set(dut.contexts.payload.residual, 1)
            ctx.set(dut.contexts.valid, 1)
            await ctx.tick()
            ctx.set(dut.contexts.valid, 0)
        for plane in range(9 if missing != "constants" else 8):
            ctx.set(dut.constants.payload.plane, plane)
            ctx.set(dut.constants.valid, 1)
            await ctx.tick()
        ctx.set(dut.constants.valid, 0)
        if missing != "residual":
            ctx.set(dut.residuals.valid, 1)
            await ctx.tick().repeat(20 if missing == "room" else 1)
            ctx.set(dut.residuals.valid, 0)
        ctx.set(dut.sums.valid, 1)
        ctx.set(dut.sums.end, 1)
        await ctx.tick()
        ctx.set(dut.sums.valid, 0)
        await ctx.tick().repeat(30)

    async def watch(ctx):
        async for _, _, fault in ctx.tick().sample(dut.fault):
            faults.append(fault)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    assert any(faults) == (missing != "none")


def test_columns_must_fill_a_vector_or_a_unit():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Amaranth's, of a component that was never used
        with pytest.raises(ValueError, match="cols: 8"):
            PostProcessor(cols=8, vector=16, units=4, address_bits=10)
        gc.collect()
