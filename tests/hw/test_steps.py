"""The step walker: reads, waves and the distance between passes, against docs/architecture.md in plain Python."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from amaranth.lib import data
from tilewright.hw.accumulator import Accumulator
from tilewright.hw.feeder import LEAD_LIMIT
from tilewright.hw.isa import Combine, Mode
from tilewright.hw.params import BANKS
from tilewright.hw.passes import PASS
from tilewright.hw.steps import StepWalker

from .test_axi import put, simulate

ROWS, VECTOR, UNITS, WORDS = 8, 16, 2, 1 << 15  # the words take all addresses: none is cut
SPACE = 1 << 16


@dataclass
class Cycle:
    """What the walker shows in one cycle: ``reads`` by port, and the marks of the wave and its step if one starts."""

    reads: dict[int, tuple[int, int]]  # port: bank, word
    residual: tuple[int, int, int] | None = None  # bank, word, sub-vector
    wave: dict | None = None
    step: dict | None = None


def _cycles(said: dict, ports: int) -> Iterator[Cycle]:
    """The cycles of a pass."""
    mode, sx = said["mode"], said["stride_x"]
    depthwise, packed = mode == Mode.DEPTHWISE, mode == Mode.PACKED
    results = said["out_rows"] * said["out_cols"]
    result = 0

    def at(start: str, rows: int, moved: int) -> tuple[int, int]:
        """Bank and unit address, so many rows below the pass's first and ``moved`` units further."""
        prefix = start.removesuffix("address")
        bank = said[prefix + "bank"] + rows
        return bank % BANKS, (said[start] + bank // BANKS * said[prefix + "row_step"] + moved) % SPACE

    for oy in range(said["out_rows"]):
        down = oy * said["stride_y"]
        for i in range(said["steps"]):
            ox, rest = divmod(i, sx) if depthwise else (i, 0)
            is_result = rest == 0 and ox < said["out_cols"]
            x = said["x"] + (i if depthwise else i * (said["x_step"] if packed else sx))
            column = x + said["lead"]
            in_columns = 0 <= column < said["width"]
            inside = [0 <= said["y"] + down + p < said["height"] for p in range(ports)]
            index = (x + VECTOR - 1) // VECTOR
            places = [at("address", down + p, (index * UNITS if packed else i * said["x_step"])) for p in range(ports)]
            use = 1 if mode == Mode.DENSE else said["groups"]
            reads = {
                p: (places[p][0], places[p][1] // UNITS) for p in range(use) if inside[p] and (packed or in_columns)
            }
            if i == 0 and said["prime"]:
                early = [at("address", down + p, (index - 1) * UNITS) for p in range(ports)]
                yield Cycle({p: (early[p][0], early[p][1] // UNITS) for p in reads})
            residual = None
            if said["residual"] and is_result:
                bank, address = at("res_address", oy, ox * said["res_x_step"])
                residual = bank, address // UNITS, address % UNITS
                if 0 in reads and reads[0][0] == bank:
                    yield Cycle({}, residual)
                    residual = None
            result += is_result
            wave = dict(
                result=is_result, start=oy == 0 and i == 0, first=said["first"], last=said["last"],
                maximum=said["combine"] == Combine.MAX,
                block_end=said["last"] and is_result and result == results,
                end=said["end"] and is_result and result == results,
            )  # fmt: skip
            step = dict(swap=oy == 0 and i == 0, mode=mode, rows=said["rows"], pad=said["pad"], width=said["width"])
            if mode == Mode.DENSE:
                step["inside"] = inside[0] and in_columns
            else:
                bases = [said["skip"] - n * said["group"] for n in range(ports)]
                reached = [sum(1 << r for r in range(ROWS) if base + r >= 0) for base in bases[1:]]
                step |= dict(x=x, bases=bases, reached=reached, inside=sum(1 << p for p in range(ports) if inside[p]))
            if packed:
                step["window"] = 1
            else:
                step["window"] = 0
                if reads:
                    step["sub"] = places[0][1] % UNITS
            if depthwise:
                step |= dict(lead=said["lead"], groups=said["groups"], pixel=in_columns)
            yield Cycle(reads, residual, wave, step)


def _pass(rng: random.Random, mode: Mode, residual: bool, **fixed: int) -> dict:
    """A random pass that keeps to the rules."""
    said = dict(
        mode=mode, combine=rng.choice(list(Combine)), rows=rng.randint(1, ROWS), out_rows=rng.randint(1, 3),
        out_cols=rng.randint(1, 5), stride_x=rng.randint(1, 3), stride_y=rng.choice((1, 2, 3, 5)),
        row_step=rng.randrange(SPACE), x_step=rng.randrange(20), height=rng.randint(0, 8), width=rng.randint(0, 8),
        pad=rng.randrange(-128, 128), address=rng.randrange(SPACE), bank=rng.randrange(BANKS), y=rng.randint(-3, 3),
        x=rng.randint(-4, 4), lead=0, group=0, groups=1, skip=0, prime=0, first=rng.randrange(2), last=rng.randrange(2),
        end=0, residual=residual, res_address=rng.randrange(SPACE), res_bank=rng.randrange(BANKS),
        res_row_step=rng.randrange(SPACE), res_x_step=rng.randrange(20),
    )  # fmt: skip
    if said["last"]:
        said["end"] = rng.randrange(2)
    match mode:
        case Mode.DEPTHWISE:
            single = residual and rng.random() < 0.5
            groups = 1 if single else rng.randint(1, 3 if residual else 4)
            group = 1 if single else rng.randint(1, ROWS // groups)
            said |= dict(groups=groups, group=group, rows=groups * group, x=rng.randint(-LEAD_LIMIT, 3))
            if residual and not single:
                said |= dict(stride_y=1, res_bank=(said["bank"] + 3) % BANKS)
        case Mode.PACKED:
            said |= dict(
                width=rng.randint(1, 60), x=rng.choice((0, VECTOR, rng.randint(-20, 40))),
                x_step=rng.randint(1, VECTOR), group=rng.randint(1, VECTOR), residual=0, groups=rng.randint(1, BANKS),
            )  # fmt: skip
            said["skip"] = rng.randrange(said["group"])
            said["prime"] = said["x"] > 0 and said["x"] % VECTOR != 0
    said |= fixed
    said["steps"] = said["out_cols"]
    if mode == Mode.DEPTHWISE:
        said["lead"] = max(0, -said["x"])
        reach = (said["out_cols"] - 1) * said["stride_x"]
        last = min(said["width"] - 1, said["x"] + reach + said["group"] - 1)
        said["steps"] = max(reach + 1, last - max(0, said["x"]) + 1)
    said["pixel"] = said["x"] + said.get("lead", 0)
    return said | {"stride_y_step": said["stride_y"] // 4 * said["row_step"] % SPACE}


def _gaps(passes: list[dict]) -> list[int]:
    """What each pass says of its distance to the latest depthwise pass."""
    gaps, lead, group = [], 0, 0
    for said in passes:
        gap = 0
        if said["mode"] == Mode.DEPTHWISE:
            gap = max(0, lead - said["lead"]) + (ROWS if said["group"] < group else 0)
            lead, group = said["lead"], said["group"]
        gaps.append(gap)
    return gaps


def _walk(passes: list[dict], *, ports: int = 4, stall: float = 0.0, **features: bool) -> list[int]:
    """Walk the passes and compare every cycle. Returns the cycles in which they started."""
    rng = random.Random(len(passes))
    features = dict(depthwise=True, packed=True, residual=True) | features
    dut = StepWalker(rows=ROWS, vector=VECTOR, units=UNITS, words=WORDS, ports=ports, **features)
    starts: list[int] = []
    passes = [said | {"gap": gap} for said, gap in zip(passes, _gaps(passes), strict=True)]

    async def feed(ctx):
        await put(ctx, dut.passes, map(PASS.const, passes), random.Random(1), stall)

    async def watch(ctx):
        ctx.set(dut.room, 1)
        cycle = 0
        for n, said in enumerate(passes):
            begun = False
            for wanted in _cycles(said, ports):
                while True:
                    promised, here = rng.random() >= stall, rng.random() < 0.5
                    ctx.set(dut.tile_here, promised and here)
                    ctx.set(dut.tile_comes, promised and not here)
                    if begun or ctx.get(dut.active) or ctx.get(dut.res_en) or ctx.get(dut.step.window):
                        break
                    assert not any(ctx.get(port.en) for port in dut.ports)
                    assert not ctx.get(dut.wave.result) and not ctx.get(dut.step.swap) and not ctx.get(dut.step.pixel)
                    await ctx.tick()
                    cycle += 1
                if not begun:
                    starts.append(cycle)
                    begun = True
                _compare(ctx, dut, wanted, f"pass {n}, cycle {cycle - starts[-1]}: {said}")
                await ctx.tick()
                cycle += 1
        ctx.set(dut.tile_here, 1)
        for _ in range(5):
            assert not ctx.get(dut.active) and not ctx.get(dut.held) and not ctx.get(dut.wants_weights)
            await ctx.tick()

    simulate(dut, [watch], background=[feed])
    return starts


def _compare(ctx, dut: StepWalker, wanted: Cycle, where: str) -> None:
    reads = dict(wanted.reads)
    if wanted.residual:
        bank, word, sub = wanted.residual
        reads[len(dut.ports) - 1] = bank, word
        assert ctx.get(dut.res_sub) == sub, where
    shown = {p: ctx.get(port.place) for p, port in enumerate(dut.ports) if ctx.get(port.en)}
    assert {p: (place["bank"], place["address"]) for p, place in shown.items()} == reads, where
    assert len({bank for bank, _ in reads.values()}) == len(reads), f"two ports on one bank: {where}"
    assert ctx.get(dut.res_en) == (wanted.residual is not None), where
    assert ctx.get(dut.active) == (wanted.wave is not None), where
    assert ctx.get(dut.held) == (wanted.wave is None), where
    if wanted.wave:
        assert {name: ctx.get(dut.wave[name]) for name in wanted.wave} == wanted.wave, where
        said = {name: ctx.get(dut.step[name]) for name in wanted.step}
        shown = {name: list(value) if isinstance(value, data.Const) else value for name, value in said.items()}
        assert shown == wanted.step, where
    else:
        assert not ctx.get(dut.wave.result) and not ctx.get(dut.step.swap) and not ctx.get(dut.step.pixel), where


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("mode", "residual"), [
    (Mode.DENSE, False), (Mode.DENSE, True), (Mode.DEPTHWISE, False), (Mode.DEPTHWISE, True), (Mode.PACKED, False),
])  # fmt: skip
def test_reads_and_waves(mode: Mode, residual: bool, stall: float) -> None:
    """Every cycle of random passes: the ports' reads, the residual operand's, the wave's and the step's marks."""
    rng = random.Random(mode.value)
    _walk([_pass(rng, mode, residual) for _ in range(25)], stall=stall)


def test_modes_in_turns() -> None:
    """Nothing of a pass is left to the next."""
    rng = random.Random(9)
    _walk([_pass(rng, mode := rng.choice(list(Mode)), mode != Mode.PACKED and rng.random() < 0.5) for _ in range(40)])


@pytest.mark.parametrize("residual", [False, True])
def test_dense_alone(residual: bool) -> None:
    """A machine without the other modes has one port, and one more for the residual operand."""
    rng = random.Random(4)
    passes = [_pass(rng, Mode.DENSE, residual and rng.random() < 0.7) for _ in range(20)]
    _walk(passes, ports=1 + residual, depthwise=False, packed=False, residual=residual)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.DEPTHWISE], ids=["dense", "depthwise"])
@pytest.mark.parametrize("distance", range(BANKS))
def test_residual_in_the_activations_bank(mode: Mode, distance: int) -> None:
    """A step takes two cycles where the two operands meet in a bank, and one elsewhere (also in one pass)."""
    sizes = dict(out_rows=4, out_cols=5, height=9, width=9, stride_x=1, y=0, x=0, rows=1, group=1, groups=1, bank=1)
    rng = random.Random(distance)
    together = _pass(rng, mode, True, **sizes, stride_y=1, res_bank=(1 + distance) % BANKS)
    apart = _pass(rng, mode, True, **sizes, stride_y=2, res_bank=(1 + distance) % BANKS)
    after = _pass(rng, Mode.DENSE, False)
    first, second, third = _walk([together, apart, after])
    assert second - first == (40 if distance == 0 else 20)
    # Banks 1 + 2 n and 1 + distance + n meet in the one row with n = distance.
    assert third - second == 25


def _starts(passes: list[dict]) -> list[int]:
    """The earliest starts that the rules allow, after one at 0."""
    starts, end = [0], 0
    quiet_from = -(1 << 20)  # end of the latest depthwise pass
    for n, (said, gap) in enumerate(zip(passes, _gaps(passes), strict=True)):
        if n:
            start = max(end, starts[-1] + passes[n - 1]["prime"] + Accumulator.REUSE)
            if said["mode"] == Mode.DEPTHWISE:
                start = max(start, quiet_from + gap)
            starts.append(start)
        end = starts[-1] + sum(1 for _ in _cycles(said, 4))
        if said["mode"] == Mode.DEPTHWISE:
            quiet_from = end
    return starts


@pytest.mark.parametrize("seed", range(3))
def test_spacing_of_passes(seed: int) -> None:
    """Passes are kept apart by what the accumulator and the pixel delay need, and by no cycle more.

    A dense or packed pass between two depthwise ones counts towards their distance.
    """
    rng = random.Random(seed)
    modes = [rng.choice((Mode.DEPTHWISE, Mode.DEPTHWISE, Mode.DEPTHWISE, Mode.DENSE, Mode.PACKED)) for _ in range(40)]
    passes = [_pass(rng, mode, False, out_rows=1, out_cols=rng.randint(1, 3)) for mode in modes]
    starts = _walk(passes)
    assert [start - starts[0] for start in starts] == _starts(passes)


@pytest.mark.parametrize("out_cols", [1, 2])
def test_waves_of_primed_passes(out_cols: int) -> None:
    """The accumulator sees passes REUSE cycles apart, also if only the former one reads a vector ahead."""
    rng = random.Random(1)
    primed, plain = (_pass(rng, Mode.PACKED, False, out_rows=1, out_cols=out_cols, x=x, prime=x > 0) for x in (3, 0))
    starts = _walk([primed, plain])
    assert starts[1] - (starts[0] + 1) >= Accumulator.REUSE


@pytest.mark.parametrize(("before", "after", "gap"), [
    ((3, 2), (3, 2), 0),  # (lead, group)
    ((0, 2), (9, 2), 0),
    ((9, 2), (4, 2), 5),
    ((LEAD_LIMIT, 2), (0, 2), LEAD_LIMIT),
    ((3, 1), (3, 2), 0),
    ((3, 2), (3, 1), ROWS),
    ((LEAD_LIMIT, 2), (0, 1), LEAD_LIMIT + ROWS),
    ((2, 2), (5, 1), ROWS),
])  # fmt: skip
def test_distance_of_depthwise_passes(before: tuple[int, int], after: tuple[int, int], gap: int) -> None:
    rng = random.Random(gap)
    first, second = (
        _pass(rng, Mode.DEPTHWISE, False, x=-lead, group=group, groups=4, rows=4 * group, out_rows=2, out_cols=4)
        for lead, group in (before, after)
    )
    length = first["out_rows"] * first["steps"]
    one, two = _walk([first, second])
    assert two - one == length + gap


def test_weights_are_waited_for() -> None:
    """Without a promise no pass starts; then `wants_weights`, not `held`."""
    dut = StepWalker(
        rows=ROWS, vector=VECTOR, units=UNITS, words=WORDS, ports=4, depthwise=True, packed=True, residual=True
    )
    said = _pass(random.Random(2), Mode.DENSE, False, out_rows=1, out_cols=1)

    async def testbench(ctx):
        ctx.set(dut.room, 1)
        await ctx.tick().repeat(4)
        ctx.set(dut.passes.payload, PASS.const(said))
        ctx.set(dut.passes.valid, 1)
        for _ in range(6):
            assert not ctx.get(dut.passes.ready) and not ctx.get(dut.active)
            assert ctx.get(dut.wants_weights) and not ctx.get(dut.held)
            await ctx.tick()
        ctx.set(dut.tile_here, 1)
        assert ctx.get(dut.passes.ready)
        await ctx.tick()
        ctx.set(dut.passes.valid, 0)
        assert ctx.get(dut.active) and ctx.get(dut.step.swap) and not ctx.get(dut.wants_weights)
        await ctx.tick()
        assert not ctx.get(dut.active)

    simulate(dut, [testbench])


@pytest.mark.parametrize("last", [0, 1])
def test_room_is_waited_for(last: int) -> None:
    """Without room for its results a block's last pass does not start, any other does."""
    dut = StepWalker(
        rows=ROWS, vector=VECTOR, units=UNITS, words=WORDS, ports=4, depthwise=True, packed=True, residual=True
    )
    said = _pass(random.Random(2), Mode.DENSE, False, out_rows=1, out_cols=1, last=last, end=0)

    async def testbench(ctx):
        await ctx.tick().repeat(4)
        ctx.set(dut.tile_here, 1)
        ctx.set(dut.passes.payload, PASS.const(said))
        ctx.set(dut.passes.valid, 1)
        for _ in range(last * 6):
            assert not ctx.get(dut.passes.ready) and not ctx.get(dut.active)
            assert ctx.get(dut.held) and not ctx.get(dut.wants_weights)
            await ctx.tick()
        ctx.set(dut.room, last)
        assert ctx.get(dut.passes.ready)
        await ctx.tick()
        ctx.set(dut.passes.valid, 0)
        ctx.set(dut.room, 0)
        assert ctx.get(dut.active)

    simulate(dut, [testbench])
