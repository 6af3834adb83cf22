"""The feeder alone: for known words, what each array row and pixel bus gets, and when."""

import random
from collections.abc import Iterator

import pytest
from tilewright.hw.feeder import LEAD_LIMIT, Feeder
from tilewright.hw.isa import Mode
from tilewright.hw.scratchpad import Scratchpad

from .test_axi import simulate

PORTS = 4
SHAPES = [(4, 4), (8, 4), (4, 8)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
IDLE = {"mode": Mode.DENSE}


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _lane(lane: dict[str, int]) -> tuple[int, ...]:
    """Datum, swap, and, with pixel buses, the number of the bus to take, counted from 1 (0: the datum)."""
    plain = lane["data"], lane["swap"]
    return plain if "pixel" not in lane else (*plain, lane["group"] + 1 if lane["pixel"] else 0)


def _run(rows: int, cols: int, steps: list[tuple[dict, list[bytes]]], *, groups: int = PORTS, packed: bool = True):
    """Issue a step per cycle, its words Scratchpad.LATENCY later. Returns the lanes and the pixels of every cycle."""
    dut = Feeder(rows=rows, cols=cols, ports=PORTS, groups=groups, packed=packed)
    lanes, pixels = [], []

    async def testbench(ctx):
        for cycle in range(len(steps) + Feeder.LATENCY + LEAD_LIMIT + rows + 1):
            step = dict(steps[cycle][0]) if cycle < len(steps) else IDLE
            group, skip = step.pop("group", 0), step.pop("skip", 0)
            bases = [skip - n * group for n in range(PORTS)]
            reached = [sum(1 << r for r in range(rows) if base + r >= 0) for base in bases[1:]]
            ctx.set(dut.step, step | {"bases": bases, "reached": reached})
            if 0 <= cycle - Scratchpad.LATENCY < len(steps):
                for port, word in zip(dut.words, steps[cycle - Scratchpad.LATENCY][1], strict=True):
                    ctx.set(port, int.from_bytes(word, "little"))
            lanes.append([_lane({name: ctx.get(lane[name]) for name in lane.shape().members}) for lane in dut.lanes])
            if groups:
                pixels.append([list(ctx.get(bus)) for bus in dut.pixels])
            await ctx.tick()

    simulate(dut, [testbench])
    return lanes, pixels


@shapes
@pytest.mark.parametrize("features", [False, True], ids=["plain", "all"])
def test_dense(shape: tuple[int, int], features: bool) -> None:
    """R bytes of the first port's word; pads outside the image; zero in unused rows whatever the memory holds."""
    rows, cols = shape
    rng = random.Random(rows)
    steps, expected = [], []
    for _ in range(60):
        sub = rng.randrange(cols // rows) if cols > rows else 0
        used, inside, pad = rng.choice((1, rows, rng.randint(1, rows))), rng.random() < 0.6, rng.randrange(-128, 128)
        words = [rng.randbytes(max(shape)) for _ in range(PORTS)]
        swap = rng.random() < 0.3
        steps.append((dict(
            mode=Mode.DENSE, swap=swap, rows=used, sub=sub, pad=pad, inside=rng.getrandbits(PORTS - 1) << 1 | inside,
            # What belongs to other modes is whatever the pass before left there.
            x=rng.randrange(-9, 9), width=rng.randrange(20), group=rng.randrange(1, 5), fresh=rng.random() < 0.5,
        ), words))  # fmt: skip
        row_bytes = [_signed(byte) if inside else pad for byte in words[0][sub * rows :][:used]] + [0] * (rows - used)
        expected.append([(byte, swap, 0) if features else (byte, swap) for byte in row_bytes])
    lanes, _ = _run(rows, cols, steps, groups=PORTS if features else 0, packed=features)
    assert lanes[Feeder.LATENCY :][: len(steps)] == expected


@shapes
def test_depthwise_choices_and_pixels(shape: tuple[int, int]) -> None:
    """Taps inside the image choose their group's bus, others the pad; pixels lag the wave by lead + g * group."""
    rows, cols = shape
    rng = random.Random(cols)
    steps: list[tuple[dict, list[bytes]]] = []
    expected, shown = {}, {}
    idle = [bytes(max(shape))] * PORTS
    lead = group = 0
    for _ in range(12):
        groups = rng.randint(1, min(PORTS, rows))
        former_lead, former_group = lead, group
        lead, group = rng.choice((0, LEAD_LIMIT, rng.randint(0, LEAD_LIMIT))), rng.randint(1, rows // groups)
        gap = max(0, former_lead - lead) + (rows if former_group > group else 0)  # docs/architecture.md
        steps += [(IDLE, idle)] * gap
        sub = rng.randrange(rows // cols) if rows > cols else 0
        width, pad = rng.randint(1, 9), rng.randrange(-128, 128)
        x = rng.randint(-5, 3)
        for n in range(rng.randint(1, 10)):
            inside, pixel = rng.getrandbits(PORTS), rng.random() < 0.7
            words = [rng.randbytes(max(shape)) for _ in range(PORTS)]
            now = len(steps) + Feeder.LATENCY
            steps.append((dict(
                mode=Mode.DEPTHWISE, swap=n == 0, rows=groups * group, groups=groups, group=group, sub=sub,
                inside=inside, pad=pad, x=x + n, width=width, lead=lead, pixel=pixel,
            ), words))  # fmt: skip
            expected[now] = []
            for r in range(rows):
                g, column = divmod(r, group)
                used = r < groups * group
                tap = used and 0 <= x + n + column < width and inside >> g & 1
                expected[now].append((pad if used else 0, n == 0, g + 1 if tap else 0))
            for g in range(groups):
                if pixel and inside >> g & 1:
                    shown[now + lead + g * group, g] = [_signed(byte) for byte in words[g][sub * cols :][:cols]]
    lanes, pixels = _run(rows, cols, steps)
    assert {cycle: lanes[cycle] for cycle in expected} == expected
    assert {(cycle, g): pixels[cycle][g] for cycle, g in shown} == shown


def _packed_pass(rng: random.Random, rows: int, vector: int) -> Iterator[tuple[dict, list[bytes], list[int] | None]]:
    """Steps of one chunk over some output rows: step, words, and the byte of each array row (None: no wave)."""
    group = rng.choice((1, vector, rng.randint(1, vector)))
    skip = rng.randrange(group)
    used = min(rng.choice((rows, rng.randint(1, rows))), PORTS * group - skip)
    width, x_step, pad = rng.randint(1, 5 * vector), rng.randint(1, vector), rng.randrange(-128, 128)
    start = rng.choice((rng.randint(-vector, 0), rng.randint(0, width), vector))
    for out_row in range(3):
        image = [rng.randbytes(-(-width // vector) * vector) for _ in range(PORTS)]
        inside = rng.getrandbits(PORTS) | rng.getrandbits(PORTS)
        before = None
        for n in range(rng.randint(1, 8)):
            x = start + n * x_step
            index = (x + vector - 1) // vector  # of the vector that holds the last byte of a window of V
            primes = [True, False] if n == 0 and x > 0 and x % vector else [False]
            for prime in primes:
                at = index - prime
                step = dict(
                    mode=Mode.PACKED, swap=n == 0 and out_row == 0 and not prime, rows=used, inside=inside, pad=pad,
                    x=x, width=width, group=group, skip=skip, window=1,
                    fresh=rng.random() < 0.5 if before is None else at != before,
                )  # fmt: skip
                here = slice(at * vector, (at + 1) * vector)
                words = [row[here] if at >= 0 and here.stop <= len(row) else rng.randbytes(vector) for row in image]
                before = at
                values = []
                for r in range(rows):
                    kernel_row, byte = divmod(skip + r, group)
                    if r >= used:
                        values.append(0)
                    elif 0 <= x + byte < width and inside >> kernel_row & 1:
                        values.append(_signed(image[kernel_row][x + byte]))
                    else:
                        values.append(pad)
                yield step, words, None if prime else values


@shapes
@pytest.mark.parametrize("groups", [0, PORTS])
def test_packed_windows_and_pads(shape: tuple[int, int], groups: int) -> None:
    """Tap t of a chunk is byte t mod group of kernel row t / group, wherever in a vector the window starts."""
    rows, cols = shape
    rng = random.Random(groups)
    steps: list[tuple[dict, list[bytes]]] = []
    expected = {}
    for _ in range(20):
        for step, words, values in _packed_pass(rng, rows, max(shape)):
            if values is not None:
                tail = (0,) if groups else ()
                expected[len(steps) + Feeder.LATENCY] = [(value, step["swap"], *tail) for value in values]
            steps.append((step, words))
        noise = [rng.randbytes(max(shape)) for _ in range(PORTS)]
        steps += [(IDLE, noise)] * rng.randrange(3)
    lanes, _ = _run(rows, cols, steps, groups=groups)
    for cycle, values in expected.items():
        assert lanes[cycle] == values, steps[cycle - Feeder.LATENCY][0]
