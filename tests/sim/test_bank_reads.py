"""The banks that the array reads in each cycle, against loops over the taps of each step."""

import random

import pytest
from tilewright.hw.isa import Mode
from tilewright.hw.params import Parameters
from tilewright.sim.bank_reads import BankReads

PARAMS = Parameters(rows=8, cols=8)


def _fields(rng: random.Random, mode: Mode) -> dict:
    fields = dict(
        mode=mode, taps_y=rng.randint(1, 3), taps_x=rng.randint(1, 3), channels=1, out_rows=rng.randint(1, 4),
        out_cols=rng.randint(1, 5), rows=8, last_rows=8, group=0, period=0, bank=rng.randrange(4), y=rng.randint(-3, 3),
        x=rng.randint(-3, 12), height=rng.randint(1, 9), width=rng.randint(1, 9), stride_y=rng.randint(1, 3),
        stride_x=rng.randint(1, 3), tap_y_rows=rng.randint(1, 3), tap_x_cols=rng.randint(1, 3), residual=0,
        res_bank=rng.randrange(4),
    )  # fmt: skip
    match mode:
        case Mode.DENSE:
            fields |= dict(channels=rng.randint(1, 3), residual=rng.randrange(2))
        case Mode.DEPTHWISE:
            fields["group"] = rng.randint(2, 8)
            fields["rows"] = fields["last_rows"] = fields["group"] * rng.randint(1, min(4, 8 // fields["group"]))
            fields["period"] = fields["out_cols"] * fields["stride_x"] + rng.randrange(3)
        case Mode.PACKED:
            fields["group"] = rng.randint(3, 8)
            fields["last_rows"] = rng.randint(1, 8)
    return fields


def _expected(f: dict) -> list[list[set[int]]]:
    """For each pass the banks read in each cycle: the image rows under the taps, wherever they are inside."""
    passes = []
    for n in range(f["taps_y"] * f["taps_x"] * f["channels"]):
        tap_y, tap_x = n // f["channels"] // f["taps_x"], n // f["channels"] % f["taps_x"]
        last = n == f["taps_y"] * f["taps_x"] * f["channels"] - 1
        x = f["x"] + tap_x * f["tap_x_cols"]
        taps = range(tap_y * f["rows"], tap_y * f["rows"] + f["last_rows" if tap_y == f["taps_y"] - 1 else "rows"])
        cycles = []
        for row in range(f["out_rows"]):
            for step in range(f["period"] if f["mode"] is Mode.DEPTHWISE else f["out_cols"]):
                match f["mode"]:
                    case Mode.DENSE:
                        lines, columns = {tap_y * f["tap_y_rows"]}, [x + step * f["stride_x"]]
                    case Mode.DEPTHWISE:
                        lines = {tap_y * f["tap_y_rows"] + tap // f["group"] for tap in range(f["rows"])}
                        columns = [max(x, 0) + step]
                    case Mode.PACKED:
                        lines, columns = {tap // f["group"] for tap in taps}, [0]
                below = {line + row * f["stride_y"] for line in lines}
                inside = any(0 <= column < f["width"] for column in columns)
                banks = {(f["bank"] + line) % 4 for line in below if inside and 0 <= f["y"] + line < f["height"]}
                if f["mode"] is Mode.PACKED and step == 0 and x > 0 and x % 8:
                    cycles.append(banks)
                operand = (f["res_bank"] + row) % 4
                if last and f["residual"] and operand in banks:
                    cycles.append({operand})
                elif last and f["residual"]:
                    banks = banks | {operand}
                cycles.append(banks)
        passes.append(cycles)
    return passes


@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.name.lower())
def test_every_pass(mode: Mode) -> None:
    rng = random.Random(mode.value)
    for _ in range(40):
        fields = _fields(rng, mode)
        reads = BankReads(fields, PARAMS)
        for number, cycles in enumerate(_expected(fields)):
            for cycle, banks in enumerate(cycles):
                assert {bank for bank in range(4) if reads.taken(number, cycle, bank)} == banks, (fields, number, cycle)
            assert not any(reads.taken(number, cycle, bank) for cycle in (-1, len(cycles)) for bank in range(4))
