"""The compute engine with its scratchpad, against a nested-loop convolution on plain integers.

The test plays the sequencer's other sides itself: it lays the image out in the banks, streams weight tiles with random stalls and
collects the totals.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.sim import Simulator
from tilewright.hw.compute import ComputeEngine
from tilewright.hw.isa import COMPUTE, Combine, Mode, Opcode
from tilewright.hw.params import BANKS, Parameters
from tilewright.hw.scratchpad import Scratchpad


class ComputeAndMemory(wiring.Component):
    """The engine, connected to a scratchpad."""

    def __init__(self, params: Parameters):
        super().__init__({})
        self.engine = ComputeEngine(params)
        self.scratchpad = Scratchpad(
            words=params.bank_words, vector=params.vector, units=params.units, ports=params.read_ports
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = self.engine
        m.submodules.scratchpad = self.scratchpad
        for mine, theirs in zip(self.engine.ports, self.scratchpad.ports, strict=True):
            wiring.connect(m, mine, theirs)
        m.d.comb += [to.eq(word) for word, to in zip(self.scratchpad.words, self.engine.words, strict=True)]
        return m


@dataclass
class Case:
    """A random convolution: geometry, data, and the plain answer."""

    params: Parameters
    mode: Mode
    rng: np.random.Generator
    tiles: list[np.ndarray] = field(default_factory=list)
    passes: int = 0

    def __post_init__(self):
        rng, params = self.rng, self.params
        while True:
            self.kh, self.kw = rng.integers(1, 6, 2)
            self.sy, self.sx = rng.integers(1, 4, 2)
            self.height, self.width = rng.integers(1, 9, 2)
            self.top, bottom = rng.integers(0, self.kh, 2)
            self.left, right = rng.integers(0, self.kw, 2)
            self.out_rows = int(self.height + self.top + bottom - self.kh) // int(self.sy) + 1
            self.out_cols = int(self.width + self.left + right - self.kw) // int(self.sx) + 1
            if self.out_rows > 0 and self.out_cols > 0:
                break
        self.depth = int(rng.integers(1, 5 if self.mode == Mode.PACKED else 13))
        self.filters = self.depth if self.mode == Mode.DEPTHWISE else int(rng.integers(1, 13))
        if self.mode == Mode.PACKED:
            self.sx = min(self.sx, params.vector // self.depth)
            self.out_cols = int(self.width + self.left + right - self.kw) // int(self.sx) + 1
        self.image = rng.integers(-128, 128, (self.height, self.width, self.depth))
        self.pad = int(rng.integers(-128, 128))
        self.weights = rng.integers(-128, 128, (self.kh, self.kw, self.depth, self.filters))
        if self.mode == Mode.DEPTHWISE:
            self.weights *= np.eye(self.depth, dtype=int)
        self.blocks = -(-self.filters // params.cols)
        self.bank = int(rng.integers(4))
        self.origin = int(rng.integers(8)) * params.units

    def answer(self) -> np.ndarray:
        """Totals in the order of results: blocks, output rows, output columns; [results, cols]."""
        out = np.zeros((self.out_rows, self.out_cols, self.blocks * self.params.cols), int)
        for oy, ox in np.ndindex(self.out_rows, self.out_cols):
            for ky, kx in np.ndindex(self.kh, self.kw):
                y, x = oy * self.sy + ky - self.top, ox * self.sx + kx - self.left
                inside = 0 <= y < self.height and 0 <= x < self.width
                pixel = self.image[y, x] if inside else np.full(self.depth, self.pad)
                out[oy, ox, : self.filters] += pixel @ self.weights[ky, kx]
        return np.concatenate([part.reshape(-1, self.params.cols) for part in np.split(out, self.blocks, axis=2)])

    def rows_in_memory(self) -> list[list[bytes]]:
        """The vectors of each image row: one run of bytes in packed mode, otherwise pixels filled up with noise."""
        vector = self.params.vector
        rows = []
        for row in self.image:
            pieces = [row.reshape(-1)] if self.mode == Mode.PACKED else row
            vectors = []
            for piece in pieces:
                filled = self.rng.integers(-128, 128, -(-len(piece) // vector) * vector)
                filled[: len(piece)] = piece
                vectors += [part.astype(np.int8).tobytes() for part in filled.reshape(-1, vector)]
            rows.append(vectors)
        return rows

    def instruction(self) -> dict:
        """The COMPUTE fields; fills in ``tiles`` on the way."""
        params, units = self.params, self.params.units
        words = len(self.rows_in_memory()[0])
        pixel = words // self.width * units  # units from a pixel to the next
        row_step = words * units
        first_row = self.bank - self.top
        address = self.origin + (first_row >> 2) * row_step
        fields = dict(
            mode=self.mode, blocks=self.blocks, out_rows=self.out_rows, out_cols=self.out_cols, row_step=row_step,
            stride_y=self.sy, stride_x=self.sx, y=-self.top, x=-self.left, height=self.height, width=self.width,
            pad=self.pad, bank=first_row & 3, channels=1,
        )  # fmt: skip
        weights = np.zeros((*self.weights.shape[:3], self.blocks * params.cols), int)
        weights[..., : self.filters] = self.weights
        blocks = np.split(weights, self.blocks, axis=3)
        match self.mode:
            case Mode.DENSE:
                channels = -(-self.depth // params.rows)
                fields |= dict(
                    taps_y=self.kh, taps_x=self.kw, channels=channels, rows=params.rows,
                    last_rows=self.depth - (channels - 1) * params.rows, x_step=self.sx * pixel, tap_x_step=pixel,
                    tap_y_rows=1, tap_x_cols=1, address=address - self.left * pixel,
                )  # fmt: skip
                for block in blocks:
                    for tap in block.reshape(-1, self.depth, params.cols):
                        self.tiles += [tap[k : k + params.rows] for k in range(0, self.depth, params.rows)]
            case Mode.DEPTHWISE:
                group = min(self.kw, params.rows)
                groups = min(params.pixel_buses, params.rows // group, self.kh)
                taps_y, taps_x = -(-self.kh // groups), -(-self.kw // group)
                reach = (self.out_cols - 1) * self.sx
                period = reach + 1
                for x in range(-self.left, -self.left + taps_x * group, group):
                    period = max(period, min(self.width - 1, x + reach + group - 1) - max(0, x) + 1)
                fields |= dict(
                    taps_y=taps_y, taps_x=taps_x, rows=groups * group, last_rows=groups * group, group=group,
                    period=period, x_step=pixel, tap_x_step=group * pixel, tap_y_rows=groups, tap_x_cols=group,
                    address=address - self.left * pixel,
                )  # fmt: skip
                for block in blocks:
                    taps = np.zeros((taps_y * groups, taps_x * group, params.cols), int)
                    taps[: self.kh, : self.kw] = block.sum(axis=2)
                    for ty, tx in np.ndindex(taps_y, taps_x):
                        part = taps[ty * groups : (ty + 1) * groups, tx * group : (tx + 1) * group]
                        self.tiles.append(part.reshape(-1, params.cols))
            case Mode.PACKED:
                segment = self.kw
                while segment * self.depth > params.vector:
                    segment = -(-segment // 2)
                taps_x = -(-self.kw // segment)
                group = segment * self.depth
                taps = self.kh * group
                rows = next(n for n in range(params.rows, 0, -1) if _kernel_rows(taps, n, group) <= BANKS)
                taps_y = -(-taps // rows)
                last = taps - (taps_y - 1) * rows if taps_x == 1 else rows
                fields |= dict(
                    taps_y=taps_y, taps_x=taps_x, rows=rows, last_rows=last, group=group, x_step=self.sx * self.depth,
                    tap_x_cols=group, x=-self.left * self.depth, width=self.width * self.depth, address=address,
                )  # fmt: skip
                for block in blocks:
                    for chunk, tx in np.ndindex(taps_y, taps_x):
                        part = np.zeros((self.kh, segment, self.depth, params.cols), int)
                        inside = block[:, tx * segment : (tx + 1) * segment]
                        part[:, : inside.shape[1]] = inside
                        flat = np.zeros((taps_y * rows, params.cols), int)
                        flat[:taps] = part.reshape(taps, params.cols)
                        here = rows if chunk < taps_y - 1 else last
                        self.tiles.append(flat[chunk * rows : chunk * rows + here])
        fields["address"] %= 1 << 16
        self.passes = len(self.tiles) // self.blocks
        return {name: value if isinstance(value, Mode) else int(value) for name, value in fields.items()}


def _kernel_rows(taps: int, rows: int, group: int) -> int:
    starts = range(0, taps, rows)
    return max((start % group + min(rows, taps - start) + group - 1) // group for start in starts)


def _run(case: Case, stall: float) -> tuple[np.ndarray, int]:
    """Totals [results, cols] and the number of cycles with a wave."""
    dut = ComputeAndMemory(case.params)
    engine, scratchpad = dut.engine, dut.scratchpad
    fields = case.instruction()
    totals = []
    active = 0
    ended = False

    async def weights(ctx):
        for tile in case.tiles:
            for n, row in enumerate(tile[::-1]):
                while case.rng.random() < stall:
                    await ctx.tick()
                ctx.set(engine.tiles.payload.data, int.from_bytes(row.astype(np.int8).tobytes(), "little"))
                ctx.set(engine.tiles.payload.last, n == len(tile) - 1)
                ctx.set(engine.tiles.valid, 1)
                await ctx.tick().until(engine.tiles.ready)
                ctx.set(engine.tiles.valid, 0)

    async def main(ctx):
        nonlocal active, ended
        units = case.params.units
        for y, row in enumerate(case.rows_in_memory()):
            bank = case.bank + y
            word = (case.origin + (bank >> 2) * fields["row_step"]) // units
            for n, vector in enumerate(row):
                place = {"bank": bank & 3, "address": word + n, "data": int.from_bytes(vector, "little")}
                ctx.set(scratchpad.loads.payload, place)
                ctx.set(scratchpad.loads.valid, 1)
                await ctx.tick().until(scratchpad.loads.ready)
        ctx.set(scratchpad.loads.valid, 0)
        instruction = {"opcode": Opcode.COMPUTE, "combine": Combine.ADD, **fields}
        ctx.set(engine.instructions.payload, COMPUTE.const(instruction))
        ctx.set(engine.instructions.valid, 1)
        await ctx.tick().until(engine.instructions.ready)
        ctx.set(engine.instructions.valid, 0)
        for _ in range(50_000):
            await ctx.tick()
            active += ctx.get(engine.active)
            if ctx.get(engine.sums.valid):
                totals.append([ctx.get(total) for total in engine.sums.data])
                ended = ctx.get(engine.sums.end)
            if ended:
                return

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(main)
    simulator.add_testbench(weights, background=True)
    simulator.run()
    assert ended, f"no end within 50,000 cycles; {len(totals)} results"
    return np.array(totals), active


@pytest.mark.parametrize("shape", [(4, 4), (8, 4), (4, 8), (16, 4), (4, 16)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("seed", range(2))
def test_random_convolutions(mode, shape, seed):
    rng = np.random.default_rng([seed, mode.value, *shape])
    case = Case(Parameters(rows=shape[0], cols=shape[1], activation_kib=32, accumulator_depth=256), mode, rng)
    totals, active = _run(case, stall=0.3 * (seed % 2))
    np.testing.assert_array_equal(totals, case.answer())
    if mode != Mode.DEPTHWISE:
        assert active == case.blocks * case.passes * case.out_rows * case.out_cols
