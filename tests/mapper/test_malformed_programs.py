"""Programs whose checksums are right and whose contents are not: always a `ProgramError` of one line."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tilewright.hw.encoding import decode, encode
from tilewright.hw.isa import INSTRUCTION_BYTES, Opcode
from tilewright.hw.legality import verify_program
from tilewright.hw.params import parse_array
from tilewright.hw.program import Program, ProgramError
from tilewright.mapper.compile import compile_model
from tilewright.mapper.host_steps import verify_host_steps
from tilewright.mapper.tflite import read_tflite

from ..models import VALID, ModelBuilder
from ..program_files import join, split

Head = dict[str, Any]


@pytest.fixture(scope="module")
def content() -> bytes:
    """A program with a layer on the accelerator, and a SOFTMAX on the host."""
    builder = ModelBuilder()
    image = builder.input((1, 4, 4, 3), 0.5, -3)
    weights = builder.constant(np.ones((5, 1, 1, 3), np.int8), 0.25)
    options = schema.Conv2DOptionsT(padding=VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    features = builder.operator("CONV_2D", [image, weights], builder.tensor((1, 4, 4, 5), 0.5), options)
    output = builder.tensor((1, 4, 4, 5), 1 / 256, -128, name="answer")
    model = builder.build(builder.operator("SOFTMAX", [features], output, schema.SoftmaxOptionsT(beta=1.0)))
    return compile_model(read_tflite(model), parse_array("4x4")).to_bytes()


def read(content: bytes) -> Program:
    """Read a program as the commands do."""
    program = Program.from_bytes(content)
    verify_program(program)
    verify_host_steps(program)
    return program


def other_head(content: bytes, change: Callable[[Head], object]) -> bytes:
    """The file with other tables."""
    head, *rest = split(content)
    values = json.loads(head)
    change(values)
    return join([json.dumps(values).encode(), *rest])


def put(table: str, name: str, value: Any) -> Callable[[Head], object]:
    """Another value in the first row of a table."""
    return lambda head: head[table][0].update({name: value})


def host(name: str, value: Any) -> Callable[[Head], object]:
    """Another parameter of the host's operator."""
    return lambda head: head["steps"][-1]["parameters"].update({name: value})


def test_the_unchanged_program_is_read(content: bytes):
    assert len(read(content).steps) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head.clear(), "missing 'fingerprint'"),
        (lambda head: head.update(surprise=1), "unknown field 'surprise'"),
        (lambda head: head.pop("inputs"), "missing 1 required keyword-only argument: 'inputs'"),
        (lambda head: head.update(inputs=None), "inputs: expected tuple"),
        (lambda head: head.update(inputs=[7]), "inputs: expected an object, got int"),
        (lambda head: head.update(model="../../up"), "is not a name of a file"),
        (lambda head: head.update(model="x" * 999), "a name of 999 characters"),
        (lambda head: head.update(scratch_bytes=1 << 40), "scratch_bytes: 1099511627776 are not 0 to"),
        (lambda head: head.update(scratch_bytes=-1), "scratch_bytes: -1"),
        (lambda head: head.update(model_inputs=["none"]), "model_inputs: no table has 'none'"),
        (lambda head: head.update(steps=[]), "no run has the instructions from 0 on"),
        (lambda head: head["inputs"].append(head["inputs"][0]), "stands in them twice"),
        (lambda head: head["inputs"].append(head["inputs"][0] | {"name": "stray"}), "nothing defines 'stray'"),
        (lambda head: head["steps"][0].update(kind="walk"), "missing 'walk'"),
        (lambda head: head["steps"][0].update(count=1 << 80), "count: expected int"),
        (put("inputs", "shape", [1, -4, 4, 3]), r"inputs: tensor 't0': shape \[1, -4, 4, 3\]"),
        (put("inputs", "shape", [1, 4.0, 4, 3]), "shape: expected int, got '4.0'"),
        (put("inputs", "shape", [1] * 99), "99 dimensions"),
        (put("inputs", "shape", [1 << 40, 1 << 20]), "bytes are more than"),
        (put("inputs", "dtype", "object"), "dtype 'object' is not int8 or uint8"),
        (put("inputs", "scale", "1"), "scale: expected float"),
        (put("inputs", "scale", float("nan")), "scale: expected float, got 'nan'"),
        (put("inputs", "offset", 1 << 40), "offset 1099511627776 is not 0 to"),
        (put("inputs", "base", "NOWHERE"), "base: expected Base, got 'NOWHERE'"),
        (put("inputs", "base", "PROGRAM"), "base PROGRAM holds no data"),
        (put("tensors", "shape", [1, 4, 4, 1 << 30]), "is no image in"),
        (put("tensors", "last_instruction", 999), "instructions 0 to 999 of|instructions . to 999 of"),
        (put("layers", "where", "moon"), "where 'moon' is not accelerator or host"),
        (put("layers", "macs", -1), "negative macs"),
        (put("host_tensors", "dtype", "M8[s]"), "is none that the host knows"),
        (put("host_tensors", "data", 1 << 40), "data: 1099511627776 bytes of"),
        (put("host_tensors", "axis", 9), "scales along axis 9"),
        (lambda head: head["steps"][-1].update(op="CONV_3D"), "'CONV_3D' is no operator that the host knows"),
        (host("multiplier", "many"), "SOFTMAX: multiplier: expected int, got 'many'"),
        (host("output", "t0"), "its tensors are not those of its parameters"),
        (host("speed", 1), "unknown field 'speed'"),
    ],
)
def test_tables_that_cannot_be(content: bytes, change: Callable[[Head], object], message: str):
    with pytest.raises(ProgramError, match=message) as caught:
        read(other_head(content, change))
    assert str(caught.value).isprintable()


def test_a_deep_header(content: bytes):
    _, *rest = split(content)
    with pytest.raises(ProgramError, match="not understood"):
        read(join([b"[" * 100_000, *rest]))


@pytest.mark.parametrize(
    ("opcode", "fields", "message"),
    [
        (Opcode.LOAD, {"rows": 4095, "row_step": 0, "run_bytes": 4095 * 12, "runs": 1}, "is more than the memory of|bytes 0 to"),
        (Opcode.WEIGHTS, {"blocks": 4095, "groups": 65535, "tiles": 4095}, "tiles: .* in all are more than 2097152"),
        (Opcode.COMPUTE, {"out_rows": 4095, "out_cols": 4095}, "16769025 pixels are more than 262144"),
        (Opcode.COMPUTE, {"blocks": 4095, "channels": 4095}, "16769025 passes in all are more than 2097152"),
    ],
)
def test_instructions_without_end(content: bytes, opcode: Opcode, fields: dict[str, int], message: str):
    head, code, *rest = split(content)
    at = next(at for at in range(0, len(code), INSTRUCTION_BYTES) if decode(code[at:][:INSTRUCTION_BYTES])[0] is opcode)
    _, values = decode(code[at : at + INSTRUCTION_BYTES])
    code = code[:at] + encode(opcode, **(values | fields)) + code[at + INSTRUCTION_BYTES :]
    with pytest.raises(ProgramError, match=f"instruction {at // INSTRUCTION_BYTES} .{opcode.name}.: .*({message})"):
        read(join([head, code, *rest]))


def test_indices_outside_of_what_they_pick_from():
    builder = ModelBuilder()
    image = builder.input((1, 3, 5), 0.5)
    indices = builder.constant(np.array([2, 0], np.int32))
    options = schema.GatherOptionsT(axis=1)
    model = builder.build(builder.operator("GATHER", [image, indices], builder.tensor((1, 2, 5), 0.5), options))
    content = compile_model(read_tflite(model), parse_array("4x4")).to_bytes()
    assert [step.op for step in read(content).steps] == ["GATHER"]
    *rest, host_data = split(content)
    at = host_data.index(np.array([2, 0], np.int32).tobytes())
    for wrong in (3, -1, 9304633):
        other = host_data[:at] + np.int32(wrong).tobytes() + host_data[at + 4 :]
        with pytest.raises(ProgramError, match=r"step 0 \(GATHER\): an index is outside 0 to 2"):
            read(join([*rest, other]))
