"""What the compact accelerator refuses, beside what every accelerator does."""

from dataclasses import replace

import numpy as np
import pytest
from tilewright.examples import digits
from tilewright.hw.encoding import decode, encode
from tilewright.hw.isa import INSTRUCTION_BYTES, Mode, Opcode
from tilewright.hw.legality import check_fields, verify_program
from tilewright.hw.presets import find_preset
from tilewright.hw.program import Program, ProgramError
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite

PARAMS = find_preset("icebreaker").params


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model(read_tflite(digits.MODEL), PARAMS)


def find(program: Program, opcode: Opcode, mode: Mode | None = None) -> tuple[int, dict]:
    """The first instruction of a kind: its number and fields."""
    for number, (found, fields) in enumerate(program.decoded()):
        if found is opcode and mode in (None, fields.get("mode")):
            return number, dict(fields)
    raise AssertionError(f"no {opcode}")


@pytest.mark.parametrize(
    ("mode", "changes", "message"),
    [
        (Mode.DEPTHWISE, {"out_rows": 43, "out_cols": 3, "taps_y": 1, "taps_x": 1}, "out_rows: 129 pixels exceed"),
        (Mode.DENSE, {"blocks": 256}, "blocks: 256 is not 0 to 255"),
        (Mode.DENSE, {"width": 256}, "width: 256 is not 0 to 255"),
        (Mode.DENSE, {"y": -257}, "y: -257 is not -256 to 255"),
        (Mode.DENSE, {"x": 255, "out_cols": 100, "out_rows": 1, "stride_x": 3, "taps_x": 1}, "x: the last position is 552"),
        (Mode.DENSE, {"stride_y": 5}, "stride_y: 5 is more than 4"),
        (Mode.DENSE, {"tap_y_rows": 5}, "tap_y_rows: 5 is more than 4"),
        (Mode.DENSE, {"rows": 4, "last_rows": 2}, "last_rows: 2 is not rows, 4"),
        (Mode.DEPTHWISE, {"rows": 2, "last_rows": 2}, "rows: 2 taps in a depthwise pass"),
        (Mode.DEPTHWISE, {"stride_x": 3, "out_cols": 1}, "stride_x: 3 is more than 2"),
    ],
)
def test_fields(program: Program, mode: Mode, changes: dict[str, int], message: str) -> None:
    _, fields = find(program, Opcode.COMPUTE, mode)
    check_fields(Opcode.COMPUTE, fields, PARAMS)
    with pytest.raises(ValueError, match=message):
        check_fields(Opcode.COMPUTE, fields | changes, PARAMS)


def instructions(program: Program) -> list[bytes]:
    return [program.instructions[at : at + INSTRUCTION_BYTES] for at in range(0, len(program.instructions), INSTRUCTION_BYTES)]


def test_program(program: Program) -> None:
    verify_program(program)
    with pytest.raises(ProgramError, match="need 65 KiB, and the compact accelerator has 64"):
        verify_program(replace(program, weights=program.weights.ljust(65 * 1024 - len(program.instructions), b"\0")))


def test_load_behind_compute(program: Program) -> None:
    """A LOAD in the midst of a run is one that the host cannot do."""
    code = instructions(program)
    load, _ = find(program, Opcode.LOAD)
    compute, _ = find(program, Opcode.COMPUTE)
    first = program.steps[0]
    assert load < compute < first.count
    moved = [*code[: compute + 1], code[load], *code[compute + 1 :]]
    steps = (replace(first, count=first.count + 1), *(
        replace(step, first=step.first + 1) if hasattr(step, "first") else step for step in program.steps[1:]
    ))  # fmt: skip
    with pytest.raises(ProgramError, match=r"\(LOAD\): it comes behind a COMPUTE"):
        verify_program(replace(program, instructions=b"".join(moved), steps=steps, tensors=(), layers=()))


def test_stream_that_is_not_used_up(program: Program) -> None:
    code = instructions(program)
    (one, _), (compute, _) = find(program, Opcode.WEIGHTS), find(program, Opcode.COMPUTE)
    assert decode(code[one + 2])[0] is Opcode.WEIGHTS
    code[compute], code[one + 2] = code[one + 2], code[compute]
    with pytest.raises(ProgramError, match="blocks of the weight stream before it are left"):
        verify_program(replace(program, instructions=b"".join(code)))


@pytest.mark.parametrize(
    ("vector", "value", "message"),
    [(8, 25, "shifts are"), (8, 63, "shifts are"), (2, 127, "a sum may be")],
)
def test_constants(program: Program, vector: int, value: int, message: str) -> None:
    """Shifts beyond the lanes', and a bias beyond the accumulator."""
    _, fields = find(program, Opcode.WEIGHTS)
    weights = np.frombuffer(program.weights, np.uint8).copy()
    weights[fields["offset"] + 4 * vector] = value
    with pytest.raises(ProgramError, match=message):
        verify_program(replace(program, weights=weights.tobytes()))


def test_encoding_is_shared(program: Program) -> None:
    """The compact accelerator has no instruction set of its own."""
    number, fields = find(program, Opcode.COMPUTE)
    assert encode(Opcode.COMPUTE, **fields) == instructions(program)[number]
