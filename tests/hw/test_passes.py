"""The pass walker against the loops of docs/architecture.md, written down in plain Python."""

import random
from collections.abc import Iterator
from itertools import product

import pytest
from tilewright.hw.isa import COMPUTE, Combine, Mode, Opcode
from tilewright.hw.passes import PassWalker

from .test_axi import put, simulate, take

WORD = 1 << 16
COPIED = (
    "mode", "combine", "out_rows", "out_cols", "stride_x", "stride_y", "row_step", "x_step", "height", "width", "pad",
)  # fmt: skip


def _passes(ins: dict, rows: int, cols: int) -> Iterator[dict]:
    """What each pass of an instruction says, in order."""
    unit, vector = min(rows, cols), max(rows, cols)
    mode = ins["mode"]
    passes = list(product(range(ins["taps_y"]), range(ins["taps_x"]), range(ins["channels"])))
    for block, (n, (ty, tx, k)) in product(range(ins["blocks"]), enumerate(passes)):
        x = ins["x"] + tx * ins["tap_x_cols"]
        lead, skip = 0, 0
        used = ins["rows"]
        match mode:
            case Mode.DENSE:
                down = ty * ins["tap_y_rows"]
                moved = tx * ins["tap_x_step"] + k * (rows // unit)
                used = ins["last_rows"] if k == ins["channels"] - 1 else used
            case Mode.DEPTHWISE:
                down = ty * ins["tap_y_rows"]
                lead = max(0, -x)
                moved = tx * ins["tap_x_step"] + block * (cols // unit) + lead * ins["x_step"]
            case Mode.PACKED:
                down, skip = divmod(ty * ins["rows"], ins["group"])
                moved = 0
                used = ins["last_rows"] if ty == ins["taps_y"] - 1 else used
        said = {name: ins[name] for name in COPIED}
        said |= dict(
            rows=used, skip=skip, lead=lead, x=x, y=ins["y"] + down, bank=(ins["bank"] + down) % 4,
            address=(ins["address"] + moved + (ins["bank"] + down) // 4 * ins["row_step"]) % WORD,
            stride_y_step=ins["stride_y"] // 4 * ins["row_step"] % WORD,
            first=n == 0, last=n == len(passes) - 1, end=n == len(passes) - 1 and block == ins["blocks"] - 1,
            residual=ins["residual"] and n == len(passes) - 1,
            res_address=(ins["res_address"] + block * (cols // unit)) % WORD, res_bank=ins["res_bank"],
            res_row_step=ins["res_row_step"], res_x_step=ins["out_x_step"],
            prime=mode == Mode.PACKED and x > 0 and x % vector != 0,
            steps=ins["period"] if mode == Mode.DEPTHWISE else ins["out_cols"],
        )  # fmt: skip
        if mode != Mode.DENSE:
            said["group"] = ins["group"]
        if mode == Mode.DEPTHWISE:
            said["groups"] = ins["rows"] // ins["group"]
        if mode == Mode.PACKED:
            said["groups"] = -(-(skip + used) // ins["group"])
        yield said


def _instruction(rng: random.Random, mode: Mode, rows: int, cols: int) -> dict:
    vector = max(rows, cols)
    fields = dict(
        opcode=Opcode.COMPUTE, mode=mode, combine=rng.choice(list(Combine)), blocks=rng.randint(1, 3),
        taps_y=rng.randint(1, 4), taps_x=rng.randint(1, 3), channels=1, out_rows=rng.randint(1, 4095),
        out_cols=rng.randint(1, 4095), period=rng.randint(1, 4095), bank=rng.randrange(4),
        tap_x_step=rng.randrange(WORD), tap_y_rows=rng.randrange(32), tap_x_cols=rng.randrange(64),
        stride_y=rng.randint(1, 15), stride_x=rng.randint(1, 15),
        y=rng.randint(-2048, 2047 - 31 * 3), x=rng.randint(-2048, 2047 - 63 * 2),
        height=rng.randrange(4096), width=rng.randrange(4096), pad=rng.randrange(-128, 128), residual=0,
        out_bank=rng.randrange(4), res_bank=rng.randrange(4),
    )  # fmt: skip
    fields |= {
        name: rng.choice((0, WORD - 1, rng.randrange(WORD)))
        for name in ("address", "row_step", "x_step", "out_address", "out_row_step", "out_x_step", "res_address", "res_row_step")
    }
    match mode:
        case Mode.DENSE:
            fields |= dict(
                channels=rng.randint(1, 4), rows=rows, last_rows=rng.randint(1, rows), residual=rng.randrange(2),
                group=rng.randrange(64),
            )  # fmt: skip
        case Mode.DEPTHWISE:
            groups = rng.randint(1, 4)
            group = rng.randint(1, rows // groups)
            fields |= dict(rows=groups * group, last_rows=groups * group, group=group, x=rng.randint(-15, 20))
            fields |= dict(residual=groups < 4 and rng.randrange(2))
        case Mode.PACKED:
            group = rng.choice((1, rows, vector, rng.randint(1, vector)))
            chunk = min(rows, 3 * group + 1)  # of at most four kernel rows, wherever it starts
            used = rng.choice((chunk, rng.randint(1, chunk)))
            last = rng.randint(1, used) if fields["taps_x"] == 1 else used
            fields |= dict(rows=used, last_rows=last, group=group, x_step=rng.randint(1, vector), tap_x_step=0)
    return fields


@pytest.mark.parametrize("shape", [(4, 4), (8, 4), (4, 16)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.name.lower())
def test_passes_and_addresses(mode: Mode, shape: tuple[int, int]) -> None:
    """Order, addresses and marks of all passes, of instructions back to back, at a random pace."""
    rows, cols = shape
    rng = random.Random(rows + mode.value)
    unit = min(rows, cols)
    dut = PassWalker(
        rows=rows, vector=max(rows, cols), reduction_units=rows // unit, block_units=cols // unit,
        depthwise=True, packed=True, residual=True,
    )  # fmt: skip
    instructions = [_instruction(rng, mode, rows, cols) for _ in range(12)]
    expected = [said for ins in instructions for said in _passes(ins, rows, cols)]
    lead = group = 0
    for said in expected:
        said["gap"] = 0
        said["pixel"] = said["x"] + said["lead"]
        if mode == Mode.DEPTHWISE:  # pixels of the pass before may still be on their way to the buses
            said["gap"] = max(0, lead - said["lead"]) + (rows if said["group"] < group else 0)
            lead, group = said["lead"], said["group"]
    seen: list = []

    async def feed(ctx):
        await put(ctx, dut.instructions, map(COMPUTE.const, instructions), random.Random(1), stall=0.3)

    async def drain(ctx):
        await take(ctx, dut.passes, seen, random.Random(2), stall=0.3, count=len(expected))
        assert not ctx.get(dut.busy)

    simulate(dut, [drain], background=[feed])
    for n, (said, wanted) in enumerate(zip(seen, expected, strict=True)):
        assert {name: said[name] for name in wanted} == wanted, f"pass {n}"


def test_pace_and_busy() -> None:
    """`busy` from the cycle after an instruction to its last pass; PACE cycles from pass to pass."""
    dut = PassWalker(rows=4, vector=4, reduction_units=1, block_units=1, depthwise=True, packed=True, residual=True)
    instruction = _instruction(random.Random(1), Mode.DENSE, 4, 4) | dict(blocks=2, taps_y=2, taps_x=3, channels=2)

    async def testbench(ctx):
        ctx.set(dut.instructions.payload, COMPUTE.const(instruction))
        ctx.set(dut.instructions.valid, 1)
        assert ctx.get(dut.instructions.ready) and not ctx.get(dut.busy)
        await ctx.tick()
        ctx.set(dut.instructions.valid, 0)
        ctx.set(dut.passes.ready, 1)
        while not ctx.get(dut.passes.valid):
            assert ctx.get(dut.busy)
            await ctx.tick()
        for n in range(24):
            assert ctx.get(dut.passes.valid) and ctx.get(dut.busy), f"pass {n}"
            assert ctx.get(dut.passes.payload.end) == (n == 23)
            await ctx.tick()
            for _ in range(dut.PACE - 1 if n < 23 else 0):
                assert not ctx.get(dut.passes.valid) and ctx.get(dut.busy)
                await ctx.tick()
        assert not ctx.get(dut.passes.valid) and not ctx.get(dut.busy)

    simulate(dut, [testbench])
