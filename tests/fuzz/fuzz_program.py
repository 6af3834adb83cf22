"""Fuzz the reader of programs, and what runs them: ``python -m tests.fuzz.fuzz_program -runs=10000``.

The tables and the instructions are changed and the checksums made right again, or else hardly a file would be read.
What passes all checks is predicted and interpreted, if it takes little work; there an `InterpreterError` is in order.
"""

import contextlib
import json
import random
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(
    enable_loader_override=False, include=["tilewright.hw", "tilewright.sim", "tilewright.mapper", "tilewright.cli"]
):
    from tilewright.cli.compile import memory_map
    from tilewright.cli.inputs import random_cases
    from tilewright.cli.run import input_specs
    from tilewright.cli.session import Session
    from tilewright.hw.disassemble import disassemble
    from tilewright.hw.encoding import decode, encode
    from tilewright.hw.isa import INSTRUCTION_BYTES, Opcode
    from tilewright.hw.legality import verify_program
    from tilewright.hw.params import Parameters, parse_array
    from tilewright.hw.program import Program, ProgramError
    from tilewright.mapper.compile import compile_model
    from tilewright.mapper.host_steps import verify_host_steps
    from tilewright.mapper.tflite import read_tflite
    from tilewright.sim.interpreter import InterpreterError

from ..program_files import join, split
from .mutations import damage
from .seeds import models
from .target import fuzz

_MOST_STEPS = 1 << 18


def read(content: bytes) -> None:
    """Read a program as `tilewright run` does, and run it."""
    program = Program.from_bytes(content)
    verify_program(program)
    verify_host_steps(program)
    disassemble(program)
    memory_map(program)
    specs = input_specs(program)
    if _work(program) > _MOST_STEPS or any(np.dtype(spec.dtype).kind not in "iu" for spec in specs):
        return
    session = Session(program, program.params)
    session.golden(random_cases(specs).cases[0])


def _work(program: Program) -> int:
    """Steps of the array, bytes that are moved, and elements on the host."""
    work = sum(int(np.prod(tensor.shape)) for tensor in (*program.inputs, *program.outputs, *program.host_tensors))
    for opcode, fields in program.decoded():
        if opcode is Opcode.COMPUTE:
            work += fields["blocks"] * fields["taps_y"] * fields["taps_x"] * fields["channels"] * max(
                32, fields["out_rows"] * fields["out_cols"]
            )
        elif opcode in (Opcode.LOAD, Opcode.STORE):
            work += fields["runs"] * fields["run_bytes"]
        elif opcode is Opcode.WEIGHTS:
            work += fields["bytes"]
    return work


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage the tables, the instructions or the data, and make the checksums right."""
    head, code, weights, host = split(data)
    for _ in range(rng.randint(1, 2)):
        match rng.randrange(4):
            case 0 | 1:
                values = json.loads(head)
                damage(values, rng)
                with contextlib.suppress(Exception):  # Otherwise no other parameters would be read.
                    values["fingerprint"] = f"{Parameters.from_json(json.dumps(values['params'])).fingerprint:016x}"
                head = json.dumps(values).encode()
            case 2:
                code = _other_code(code, rng)
            case _:
                weights, host = (atheris.Mutate(blob, len(blob)) if blob else blob for blob in (weights, host))
    return join([head, code, weights, host])


def _other_code(code: bytes, rng: random.Random) -> bytes:
    """Another value in a field of an instruction, or instructions in another order."""
    parts = [code[at : at + INSTRUCTION_BYTES] for at in range(0, len(code), INSTRUCTION_BYTES)]
    at = rng.randrange(len(parts))
    if rng.random() < 0.15:
        damage(parts, rng)
        return b"".join(part if isinstance(part, bytes) else b"" for part in parts)
    opcode, fields = decode(parts[at])
    values: dict[str, Any] = dict(fields)
    name = rng.choice(list(values))
    values[name] = int(values[name]) + rng.choice((1, -1, 2, 16, 100, 1000, 4000, -int(values[name])))
    parts[at] = encode(opcode, **values)
    return b"".join(parts)


def programs() -> list[bytes]:
    """The seeds' programs, for small arrays."""
    arrays = ("4x4", "8x8", "8x4")
    graphs = [read_tflite(model) for model in models()]
    return [
        compile_model(graph, parse_array(arrays[number % len(arrays)])).to_bytes() for number, graph in enumerate(graphs)
    ]


if __name__ == "__main__":
    fuzz(read, (ProgramError, InterpreterError), programs(), mutate)
