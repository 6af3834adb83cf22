"""The verifier of programs, and what it knows of fields."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from tilewright.hw.encoding import decode, encode
from tilewright.hw.isa import Base, Mode, Opcode, Pool
from tilewright.hw.legality import WEIGHTS_BETWEEN, minimum_period, resolve_wait, tile_rows, verify_program
from tilewright.hw.params import parse_array
from tilewright.hw.program import Program, ProgramError

from ..sim.assembler import Assembler, random_layer, random_residual
from .example import example


def change(program: Program, index: int, **fields: Any) -> Program:
    """The program with fields of one instruction changed."""
    code = [program.instructions[at : at + 64] for at in range(0, len(program.instructions), 64)]
    opcode, old = decode(code[index])
    code[index] = encode(opcode, **(old | fields))
    return dataclasses.replace(program, instructions=b"".join(code))


@pytest.mark.parametrize(
    ("index", "fields", "message"),
    [
        (0, {"wait_load": 1}, "wait_load: waits for 1, but only 0 came before"),
        (2, {"wait_store": 7}, "wait_store: waits for 7, but only 0 came before"),
        (3, {"wait_compute": 65535}, "wait_compute: waits for 65535, but only 1 came before"),
        (0, {"base": Base.PROGRAM}, "base: PROGRAM holds no data"),
        (0, {"base": Base.SCRATCH}, "offset: bytes 0 to 80 are not in SCRATCH of 64 bytes"),
        (0, {"runs": 0}, "runs: 0 is not at least 1"),
        (0, {"run_bytes": 79}, "run_bytes: runs hold 79 bytes, the image 80"),
        (0, {"run_bytes": 40, "runs": 2, "run_pitch": -1}, "offset: bytes -1 to 40 are not in INPUT of 80 bytes"),
        (0, {"address": 8190}, "address: the image ends at unit 8198 of a bank of 8192"),
        (3, {"base": Base.WEIGHTS}, "base: WEIGHTS is read-only"),
        (1, {"bytes": 40}, "bytes: 40, but the stream has"),
        (1, {"offset": 16}, "offset: bytes 16 to"),
        (1, {"offset": 8}, "offset: 8 is not a multiple of 16"),
        (1, {"rows": 5}, "rows: 5 is more than 4"),
        (2, {"last_rows": 0}, "last_rows: 0 is not at least 1"),
        (2, {"minimum": 5, "maximum": 4}, "minimum: 5 is more than maximum, 4"),
        (2, {"last_rows": 2}, "the weight stream brings other tiles than the passes take"),
        (2, {"blocks": 3}, "the weight stream is empty"),
        (2, {"residual": 1}, "residual: no TABLES came before"),
        (2, {"out_rows": 200}, "out_rows: 800 pixels in 18 passes exceed the accumulator's depth of 512"),
        (2, {"mode": Mode.DEPTHWISE}, "channels: 2 in depthwise mode"),
        (2, {"mode": Mode.PACKED}, "channels: 2 in packed mode"),
    ],
)  # fmt: skip
def test_the_verifier_names_instruction_and_field(index: int, fields: dict[str, Any], message: str) -> None:
    program = example()
    opcode = ("LOAD", "WEIGHTS", "COMPUTE", "STORE", "END")[index]
    with pytest.raises(ProgramError) as error:
        verify_program(change(program, index, **fields))
    assert str(error.value).startswith(f"instruction {index} ({opcode}): {message}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group": 2}, "group: 3 rows are not 1 to 4 groups of 2"),
        ({"group": 0}, "group: 0 is not at least 1"),
        ({"period": 3}, "period: 3 is less than 4"),
        ({"x": -16}, "x: lead of 16 is more than 15"),
        ({"rows": 4}, "last_rows: 3 is not rows, 4, in depthwise mode"),
    ],
)
def test_the_verifier_knows_depthwise_mode(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=rf"^instruction 2 \(COMPUTE\): {message}"):
        verify_program(change(example(depthwise=True), 2, **fields))


def test_the_verifier_counts_pixel_buses() -> None:
    program = example(depthwise=True)
    verify_program(program)
    fewer = dataclasses.replace(program.params, pixel_buses=2)
    with pytest.raises(ProgramError, match=r"^instruction 2 \(COMPUTE\): group: 3 rows are not 1 to 2 groups of 1"):
        verify_program(dataclasses.replace(change(program, 2, group=1), params=fewer))


def test_the_verifier_bounds_a_single_pass_with_fewer_lanes() -> None:
    """Its results wait in a queue of the accumulator's depth; with all lanes they wait nowhere, and something else is wrong."""
    program = change(example(), 2, taps_y=1, taps_x=1, channels=1, out_rows=200)
    fewer = dataclasses.replace(program.params, lanes=2, pooling=False)
    with pytest.raises(ProgramError, match="out_rows: 800 pixels in 1 passes exceed the accumulator's depth of 512"):
        verify_program(dataclasses.replace(program, params=fewer))
    with pytest.raises(ProgramError, match="the weight stream brings other tiles"):
        verify_program(program)


POOLED = {"pool": Pool.MAX, "pool_rows": 2, "pool_cols": 2}
MEAN = {"pool": Pool.AVERAGE}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (POOLED | {"pool_rows": 0}, "pool_rows: 0 is not at least 1"),
        (POOLED | {"pool_rows": 5}, "pool_rows: 4 results are not whole windows of 5"),
        (POOLED | {"pool_cols": 3}, "pool_cols: 4 results are not whole windows of 3"),
        (POOLED | {"pool_cols": 1}, "pool_cols: 1 with windows of 2 rows"),
        (POOLED | {"pool_rows": 1, "pool_cols": 1, "out_rows": 1, "out_cols": 65}, "pool_cols: 65 windows side by side"),
        (MEAN | {"out_rows": 1, "out_cols": 513, "taps_y": 1, "taps_x": 1, "channels": 1}, "pool: the mean of 513 pixels"),
        (MEAN | {"taps_y": 1, "taps_x": 1, "channels": 1}, "pool: 0 cycles between the results of two blocks"),
        (MEAN | {"taps_y": 1, "taps_x": 3, "channels": 1, "out_rows": 1, "out_cols": 2}, "pool: 4 cycles between"),
    ],
)
def test_the_verifier_knows_pools(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=rf"^instruction 2 \(COMPUTE\): {message}"):
        verify_program(change(example(), 2, **fields))
    with pytest.raises(ProgramError, match=r"^instruction 2 \(COMPUTE\): pool: the accelerator has no `pooling`"):
        params = dataclasses.replace(example().params, pooling=False)
        verify_program(dataclasses.replace(change(example(), 2, **fields), params=params))


def test_the_verifier_wants_a_wait_behind_a_mean() -> None:
    rng = np.random.default_rng(0)
    assembler = Assembler(parse_array("4x4"))
    source = assembler.image(2, 2, 4)
    assembler.load(source)
    for _ in range(2):
        layer = random_layer(rng, (1, 1), 4, 4)
        assembler.layer(layer, source, assembler.image(2, 2, 4), waits={"wait_compute": 0})
    program = assembler.end()
    verify_program(program)
    first, second = (n for n, (opcode, _) in enumerate(program.decoded()) if opcode is Opcode.COMPUTE)
    averaged = change(program, first, **MEAN)
    message = rf"^instruction {second} \(COMPUTE\): wait_compute: the average pool before it is number 1$"
    with pytest.raises(ProgramError, match=message):
        verify_program(averaged)
    verify_program(change(averaged, second, wait_compute=1))


def test_the_verifier_wants_one_end_and_nothing_left() -> None:
    program = example()
    code = program.instructions
    cases: list[tuple[bytes, str]] = [
        (code[:-64], "instruction 3, the last of a run, is not END"),
        (code + code[-64:], r"instruction 5 \(END\): comes after END"),
        (code[:128] + code[-64:], r"instruction 2 \(END\): wait_compute"),
        (code + b"\1", "instructions: 321 bytes are not a multiple of 64"),
        (code[:64] + b"\0" * 64 + code[128:], "instruction 1: opcode: 0 is not an Opcode"),
    ]
    for instructions, message in cases:
        with pytest.raises(ProgramError, match=message):
            verify_program(dataclasses.replace(program, instructions=instructions))
    end = encode(Opcode.END, wait_load=1, wait_compute=0, wait_store=0)
    with pytest.raises(ProgramError, match="2 blocks of the weight stream are left over"):
        verify_program(dataclasses.replace(program, instructions=code[:128] + end))
    with pytest.raises(ProgramError, match="no run has the instructions from 0 on"):
        verify_program(dataclasses.replace(program, steps=()))


def interleaved(between: int) -> Program:
    """Layers of 1 x 1, all WEIGHTS before the first COMPUTE: `between` others stand between it and its own."""
    rng = np.random.default_rng(0)
    assembler = Assembler(parse_array("4x4"))
    source = assembler.image(1, 1, 4)
    assembler.load(source)
    for _ in range(1 + between):
        layer = random_layer(rng, (1, 1), 4, 4)
        assembler.layer(layer, source, assembler.image(1, 1, 4), waits={"wait_compute": 0})
    assembler.code.sort(key=lambda code: decode(code)[0] is Opcode.COMPUTE)
    return assembler.end()


def test_the_verifier_knows_how_many_streams_a_gate_holds() -> None:
    verify_program(interleaved(WEIGHTS_BETWEEN))
    message = r"instruction 4 \(COMPUTE\): 2 other WEIGHTS stand between it and its own, more than 1$"
    with pytest.raises(ProgramError, match=message):
        verify_program(interleaved(WEIGHTS_BETWEEN + 1))


@pytest.mark.parametrize("option", ["depthwise", "packed", "residual"])
def test_the_verifier_knows_what_was_left_out(option: str) -> None:
    rng = np.random.default_rng(0)
    assembler = Assembler(dataclasses.replace(parse_array("4x4"), **{option: False}))
    source, target = assembler.image(2, 1, 4), assembler.image(2, 4, 1)
    assembler.load(source)
    extra: dict[str, Any] = {option: True} if option != "residual" else random_residual(rng)
    layer = random_layer(rng, (1, 1), 1, 1, **extra)
    assembler.layer(layer, source, target, residual=source if option == "residual" else None)
    with pytest.raises(ProgramError, match=option):
        verify_program(assembler.end())


def test_waits_are_modulo_65536() -> None:
    assert resolve_wait(3, 70000) == 65539
    assert resolve_wait(70000 % 65536, 70000) == 70000
    assert resolve_wait(65535, 65536 + 5) == 65535
    for wait, earlier in ((1, 0), (6, 5), (40000, 5), (70001 % 65536, 70000)):
        with pytest.raises(ValueError, match=f"waits for {wait}, but only {earlier} came before"):
            resolve_wait(wait, earlier)


@pytest.mark.parametrize(
    ("out_cols", "stride_x", "group", "x", "width", "taps_x", "period"),
    [
        (5, 1, 3, -1, 5, 1, 5),  # SAME, stride 1: no cycle for the pads
        (3, 1, 3, 0, 5, 1, 5),  # VALID: all five pixels pass
        (3, 2, 3, -1, 5, 1, 5),
        (3, 2, 3, 0, 6, 1, 6),  # the pad is on the right
        (1, 1, 3, -3, 2, 1, 1),  # no tap inside
        (4, 1, 2, -1, 4, 2, 4),  # two segments: columns -1.. and 1..
    ],
)
def test_minimum_period(
    out_cols: int, stride_x: int, group: int, x: int, width: int, taps_x: int, period: int
) -> None:
    fields = {"out_cols": out_cols, "stride_x": stride_x, "group": group, "x": x, "width": width, "taps_x": taps_x}
    assert minimum_period(fields | {"tap_x_cols": group}) == period


def test_tile_rows() -> None:
    fields = {"mode": Mode.DENSE, "rows": 4, "last_rows": 1, "channels": 3, "taps_y": 1, "taps_x": 2}
    assert tile_rows(fields) == (4, 4, 1, 4, 4, 1)
    packed = fields | {"mode": Mode.PACKED, "channels": 1, "taps_y": 3}
    assert tile_rows(packed | {"taps_x": 1}) == (4, 4, 1)
    assert tile_rows(packed | {"last_rows": 4}) == (4,) * 6
