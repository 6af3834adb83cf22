"""Pooling against numpy: windows of all shapes, means of any count, unpooled instructions in between, gaps."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.sim import Simulator
from tilewright.hw.isa import Pool
from tilewright.hw.pool import Pooling
from tilewright.mapper.average import find_pool_average

COLS = 4


@dataclass
class Instruction:
    """Values [blocks, rows, columns, COLS], and what becomes of them."""

    values: np.ndarray
    pool: Pool
    window: tuple[int, int] = (0, 0)

    def results(self) -> list[np.ndarray]:
        """The vectors to be written, in order."""
        blocks, rows, columns, _ = self.values.shape
        if self.pool is Pool.NONE:
            return list(self.values.reshape(-1, COLS))
        if self.pool is Pool.AVERAGE:
            total, count = self.values.sum(axis=(1, 2)), rows * columns
            halves = total + np.where(total > 0, count // 2, -(count // 2))
            return list(np.sign(halves) * (abs(halves) // count))  # C truncates
        high, wide = self.window
        windows = self.values.reshape(blocks, rows // high, high, columns // wide, wide, COLS)
        return list(windows.max(axis=(2, 4)).reshape(-1, COLS))


class Bench:
    """Gives values, two cycles behind each other as the post-processor does, and collects what is to be written."""

    def __init__(self, program, rng, gaps):
        self.dut, self.program, self.rng, self.gaps = Pooling(COLS), program, rng, gaps
        self.results, self.done, self.faults, self.early = [], [], 0, []
        self.cycle = 0
        self.ends = []

    async def drive(self, ctx):
        dut, late = self.dut, None  # the values that were announced in the cycle before
        for instruction in self.program:
            blocks, rows, columns, _ = instruction.values.shape
            size = rows * columns
            for n, values in enumerate(instruction.values.reshape(-1, COLS)):
                idle = int(self.rng.random() < self.gaps) * int(self.rng.integers(1, 5))
                if n and n % size == 0 and instruction.pool is Pool.AVERAGE:
                    idle += Pooling.mean_latency(COLS)
                for _ in range(idle):
                    ctx.set(dut.valid, 0)
                    late = await self.tick(ctx, late)
                ctx.set(dut.valid, 1)
                ctx.set(dut.row_end, n % columns == columns - 1)
                ctx.set(dut.block_end, n % size == size - 1)
                ctx.set(dut.end, n == blocks * size - 1)
                ctx.set(dut.out_cols, columns)
                high, wide = instruction.window
                ctx.set(dut.window, {"pool": instruction.pool, "pool_rows": high, "pool_cols": wide})
                late = await self.tick(ctx, late)
                late = values, instruction
            ctx.set(dut.valid, 0)
            self.ends.append(self.cycle)
            if instruction.pool is Pool.AVERAGE:
                for _ in range(Pooling.mean_latency(COLS) + 1):
                    late = await self.tick(ctx, late)
        for _ in range(3):
            late = await self.tick(ctx, late)

    async def tick(self, ctx, late):
        """A cycle in which the announced values are there."""
        dut = self.dut
        if late is None:
            ctx.set(dut.values, self.rng.integers(-128, 128, COLS).tolist())
        else:
            values, instruction = late
            ctx.set(dut.values, values.tolist())
            if instruction.pool is Pool.AVERAGE:
                multiplier, shift = find_pool_average(instruction.values[0, :, :, 0].size)
                ctx.set(dut.factor, {"pool_multiplier": multiplier, "pool_shift": shift})
        announced = ctx.get(dut.valid) and ctx.get(dut.write)
        if ctx.get(dut.result_valid):
            self.results.append([ctx.get(result) for result in dut.results])
            self.early.append(self.announced)
        if ctx.get(dut.done):
            self.done.append((self.cycle, len(self.results)))
        self.announced = announced
        await ctx.tick()
        self.cycle += 1
        self.faults += ctx.get(dut.fault)

    def run(self):
        self.announced = 0
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self.drive)
        simulator.run()


def random_program(rng, count):
    program = []
    for _ in range(count):
        pool = Pool(int(rng.integers(3)))
        window = (0, 0)
        if pool is Pool.MAX:
            window = tuple(int(n) for n in rng.choice([1, 2, 3, 5], 2))
            window = (1 if window[1] == 1 else window[0], window[1])
        rows, columns = (int(rng.integers(1, 5)) * n if n else int(rng.integers(1, 9)) for n in window)
        low, high = sorted(rng.integers(-128, 128, 2)) if rng.random() < 0.3 else (-128, 127)
        values = rng.integers(low, high + 1, (int(rng.integers(1, 4)), rows, columns, COLS))
        program.append(Instruction(values, pool, window))
    return program


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_random_instructions(gaps):
    rng = np.random.default_rng(int(10 * gaps))
    program = random_program(rng, 60)
    bench = Bench(program, rng, gaps)
    bench.run()
    expected = [instruction.results() for instruction in program]
    assert bench.results == [vector.tolist() for vectors in expected for vector in vectors]
    assert bench.faults == 0
    assert [written for _, written in bench.done] == np.cumsum([len(vectors) for vectors in expected]).tolist()
    for (cycle, _), end, instruction in zip(bench.done, bench.ends, program, strict=True):
        assert cycle == end + (Pooling.mean_latency(COLS) if instruction.pool is Pool.AVERAGE else 0)
    means = [instruction.pool is Pool.AVERAGE for instruction, vectors in zip(program, expected, strict=True) for _ in vectors]
    assert bench.early == [not mean for mean in means]  # told a cycle ahead, but for means


@pytest.mark.parametrize(("rows", "columns", "window"), [(4, 128, (2, 2)), (3, 64, (1, 1)), (63, 63, (63, 63)), (2, 192, (1, 3))])
def test_the_widest_and_the_largest_windows(rows, columns, window):
    rng = np.random.default_rng(0)
    instruction = Instruction(rng.integers(-128, 128, (2, rows, columns, COLS)), Pool.MAX, window)
    bench = Bench([instruction], rng, 0.0)
    bench.run()
    assert bench.results == [vector.tolist() for vector in instruction.results()]


@pytest.mark.parametrize("count", [1, 2, 3, 48, 125, 511, 512])
def test_means_at_the_ends_of_the_range(count):
    rng = np.random.default_rng(count)
    ends = [np.full((count, 1, COLS), value) for value in (-128, 127)]
    values = np.stack([*ends, *rng.integers(-2, 2, (2, count, 1, COLS))])
    bench = Bench([Instruction(values, Pool.AVERAGE)], rng, 0.0)
    bench.run()
    assert bench.results == [vector.tolist() for vector in bench.program[0].results()]


def test_fault_reports_a_value_while_a_mean_is_on_its_way():
    rng = np.random.default_rng(0)
    instruction = Instruction(rng.integers(-128, 128, (1, 3, 3, COLS)), Pool.AVERAGE)
    faults = []
    for idle in range(Pooling.mean_latency(COLS) - 2, Pooling.mean_latency(COLS) + 2):
        bench = Bench([instruction], rng, 0.0)

        async def drive(ctx, bench=bench, idle=idle):
            dut = bench.dut
            ctx.set(dut.window, {"pool": Pool.AVERAGE, "pool_rows": 0, "pool_cols": 0})
            for valid in (1, *(0 for _ in range(idle)), 1, 0, 0):
                ctx.set(dut.valid, valid)
                ctx.set(dut.block_end, 1)
                await ctx.tick()
                bench.faults += ctx.get(dut.fault)

        bench.drive = drive
        bench.run()
        faults.append(bench.faults)
    assert faults == [1, 1, 0, 0]
