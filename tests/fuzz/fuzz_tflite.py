"""Fuzz the reader of `.tflite` files, and the mapper with what it reads: ``python -m tests.fuzz.fuzz_tflite -runs=10000``.

One in eight of the files that are read is compiled for a small array and, if there is little to compute, interpreted and
compared with the operators. Most mutations are of the schema's objects, written again as a whole file.
"""

import contextlib
import random
import zlib

import atheris
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

with atheris.instrument_imports(
    enable_loader_override=False, include=["tilewright.mapper", "ai_edge_litert.schema_py_generated"]
):
    from tilewright.cli.inputs import random_cases
    from tilewright.cli.run import input_specs
    from tilewright.cli.session import Session
    from tilewright.hw.params import parse_array
    from tilewright.mapper.compile import compile_model
    from tilewright.mapper.errors import ModelError, UnsupportedError
    from tilewright.mapper.macs import count_macs
    from tilewright.mapper.tflite import read_tflite

from .mutations import damage
from .seeds import models
from .target import fuzz

_ARRAYS = tuple(parse_array(name) for name in ("4x4", "8x8", "8x4", "16x16"))
_SHARE = 8
_MOST_ELEMENTS = 1 << 14
_MOST_MACS = 1 << 18


def read(content: bytes) -> None:
    """Read a file; compile some, and run them if they are small and take no floats."""
    with contextlib.suppress(ModelError, UnsupportedError):  # An operator without any output has no stand-in.
        read_tflite(content, partial=True)
    graph = read_tflite(content)
    drawn = zlib.crc32(content)
    if drawn % _SHARE:
        return
    elements = sum(tensor.size for tensor in graph.tensors.values())
    macs = sum(count_macs(operator, graph.tensors) for operator in graph.operators)
    params = _ARRAYS[drawn // _SHARE % len(_ARRAYS)]
    if elements > _MOST_ELEMENTS or macs > _MOST_MACS or len(graph.operators) > 40:
        compile_model(graph, params)
        return
    session = Session(graph, params)
    specs = input_specs(session.program)
    if all(np.dtype(spec.dtype).kind in "iu" for spec in specs):
        differences = session.golden(random_cases(specs).cases[0]).differences
        if any(count for tensors in differences.values() for count in tensors.values()):
            raise AssertionError(f"the program computes something else: {differences}")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage the schema's objects one to three times."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    for _ in range(rng.randint(1, 3)):
        damage(model, rng)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    fuzz(read, (ModelError, UnsupportedError), models(), mutate)
