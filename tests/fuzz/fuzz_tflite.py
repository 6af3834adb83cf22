"""Fuzz the reader of `.tflite` files, and the mapper with what it reads: ``python -m tests.fuzz.fuzz_tflite -runs=10000``.

Most mutations are of the schema's objects, written again as a whole file.
"""

import contextlib
import random

import atheris
import flatbuffers
from ai_edge_litert import schema_py_generated as schema

with atheris.instrument_imports(
    enable_loader_override=False, include=["tilewright.mapper", "ai_edge_litert.schema_py_generated"]
):
    from tilewright.mapper.errors import ModelError, UnsupportedError
    from tilewright.mapper.tflite import read_tflite

from .graph import compile_some, survey_some
from .mutations import damage
from .seeds import models
from .target import fuzz


def read(content: bytes) -> None:
    """Read a file, in part and as a whole; compile some."""
    with contextlib.suppress(ModelError, UnsupportedError):  # An operator without any output has no stand-in.
        survey_some(read_tflite(content, partial=True), content)
    compile_some(read_tflite(content), content)


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
