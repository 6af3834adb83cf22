"""Program files, their verifier, and the listing."""

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tilewright.hw.disassemble import disassemble
from tilewright.hw.isa import Base, Mode, Opcode
from tilewright.hw.params import parse_array
from tilewright.hw.program import (
    AcceleratorRun,
    HostStep,
    HostTensor,
    LayerInfo,
    Program,
    ProgramError,
    decode,
    encode,
    minimum_period,
    resolve_wait,
    tile_rows,
    verify_program,
)

from ..sim.assembler import Assembler, random_layer, random_residual


def example(array: str = "4x4", depthwise: bool = False) -> Program:
    """LOAD, WEIGHTS, COMPUTE, STORE, END; with every table filled."""
    rng = np.random.default_rng(0)
    assembler = Assembler(parse_array(array))
    source, target = assembler.image(4, 4, 5), assembler.image(4, 4, 5, bank=1)
    assembler.load(source)
    layer = random_layer(rng, (3, 3), 1 if depthwise else 5, 5, pads=(1, 1), depthwise=depthwise)
    assembler.layer(layer, source, target)
    assembler.store(target)
    layers = (
        LayerInfo("conv", "CONV_2D", "accelerator", 3600, "y", None, 1, 2),
        LayerInfo("relu", "RELU", "accelerator", 0, "y", "conv"),
        LayerInfo("softmax", "SOFTMAX", "host", 0, "p"),
    )
    return dataclasses.replace(
        assembler.end(),
        model="example",
        model_inputs=("x",),
        model_outputs=("p",),
        scratch_bytes=64,
        layers=layers,
        host_tensors=(
            HostTensor("p", (1, 80), "int8", 1 / 256, -128),
            HostTensor("c", (2,), "int16", data=b"\1\2\3\4"),
            HostTensor("none", (0,), "int8", data=b""),
        ),
        steps=(AcceleratorRun(), HostStep("SOFTMAX", ("y", "c"), ("p",), {"beta": 0.1, "axes": (1, 2)})),
    )


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    program = example()
    verify_program(program)
    path = tmp_path / "example.twp"
    program.save(path)
    assert Program.load(path) == program
    assert Program.from_bytes(program.to_bytes()) == program
    assert [file.name for file in tmp_path.iterdir()] == ["example.twp"]
    assert Program.load(path).steps[1] == HostStep("SOFTMAX", ("y", "c"), ("p",), {"beta": 0.1, "axes": [1, 2]})


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "example.twp"
    example().save(path)
    before = path.read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        example("8x4").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_truncation_and_every_altered_byte_is_found() -> None:
    data = example().to_bytes()
    rng = np.random.default_rng(0)
    for size in {*range(40), *rng.integers(0, len(data), 60).tolist(), len(data) - 1}:
        with pytest.raises(ProgramError) as error:
            Program.from_bytes(data[:size])
        assert "\n" not in str(error.value)
    for at in {*range(60), *rng.integers(0, len(data), 200).tolist(), len(data) - 1}:
        with pytest.raises(ProgramError) as error:
            Program.from_bytes(data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :])
        assert "\n" not in str(error.value)
    with pytest.raises(ProgramError, match="altered: checksum of the file"):
        Program.from_bytes(data + b"\0")


def test_messages(tmp_path: Path) -> None:
    data = example().to_bytes()
    path = tmp_path / "foreign.bin"
    path.write_bytes(b"TFL3" * 10)
    with pytest.raises(ProgramError, match=r"foreign\.bin: not a Tilewright program$"):
        Program.load(path)
    with pytest.raises(ProgramError, match=r"^not a Tilewright program$"):
        Program.from_bytes(b"")
    with pytest.raises(ProgramError, match=r"^the program is truncated$"):
        Program.from_bytes(data[:-1])
    with pytest.raises(ProgramError, match=r"^the program has format version 2; this Tilewright reads version 1$"):
        Program.from_bytes(data[:8] + struct.pack("<I", 2) + data[12:])
    at = data.index(encode(Opcode.END, wait_load=1, wait_compute=1, wait_store=1))
    with pytest.raises(ProgramError, match=r"^the program is altered: checksum of section CODE$"):
        Program.from_bytes(data[:at] + b"\2" + data[at + 1 :])


def test_regions() -> None:
    program = example()
    assert program.region_bytes(Base.PROGRAM) == 5 * 64
    assert program.region_bytes(Base.INPUT) == program.region_bytes(Base.OUTPUT) == 80
    assert program.region_bytes(Base.WEIGHTS) == len(program.weights)
    assert program.region_bytes(Base.SCRATCH) == 64


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


def test_the_verifier_wants_one_end_and_nothing_left() -> None:
    program = example()
    code = program.instructions
    cases: list[tuple[bytes, str]] = [
        (code[:-64], "the last instruction is not END"),
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
    with pytest.raises(ProgramError, match="exactly one run"):
        verify_program(dataclasses.replace(program, steps=()))


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


LISTING = """\
; example for 4x4, 5 instructions, 432 bytes of weights
; in  x 1x4x4x5 int8 input+0x0
; out y 1x4x4x5 int8 output+0x0
    0 L1    LOAD                      input+0x0 1 x 80 bytes, pitch 0 -> @0:0 row 8 4x4x5
; CONV_2D conv
    1       WEIGHTS                   weights+0x0 432 bytes, 2 blocks of 9 constants, 9 x (1 x 4 + 1) rows
    2 C1    COMPUTE L1                dense 4x4 blocks 2 passes 3x3x2 rows 4/1; stride 1,1 tap 1,1; in \
@3:65526 row 8 x 2 tap 2; at -1,-1 of 4x4 pad -23; out @1:8 row 8 x 2; zero -3 -106..123
; = y 1x4x4x5 @1:8 row 8 x 2
    3 S1    STORE   L1 C1             @1:8 row 8 4x4x5 -> output+0x0 1 x 80 bytes, pitch 0
    4       END     L1 C1 S1
"""


def test_listing() -> None:
    assert disassemble(example()) == LISTING


def test_listing_of_tables_and_modes() -> None:
    rng = np.random.default_rng(0)
    assembler = Assembler(parse_array("16x16"))
    source, target = assembler.image(4, 4, 5), assembler.image(4, 4, 5, bank=2)
    assembler.load(source)
    layer = random_layer(rng, (3, 3), 1, 5, pads=(1, 1), depthwise=True, **random_residual(rng))
    assembler.layer(layer, source, target, residual=target)
    text = disassemble(assembler.end())
    assert "weights+0x0 2048 bytes, residual tables" in text
    assert "depthwise group 3 period 4 4x4 blocks 1 passes 1x1x1 rows 9;" in text
    assert "; residual @2:" in text
