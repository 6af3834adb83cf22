"""Fuzz the reader of `.onnx` files, and the mapper with what it reads: ``python -m tests.fuzz.fuzz_onnx -runs=10000``.

As `fuzz_tflite`; most mutations are of the protobuf's messages, written again as a whole file.
"""

import contextlib
import random

import atheris
import onnx

with atheris.instrument_imports(enable_loader_override=False, include=["tilewright.mapper"]):
    from tilewright.mapper.errors import ModelError, UnsupportedError
    from tilewright.mapper.onnx import read_onnx

from .graph import compile_some, survey_some
from .message import damage_message
from .onnx_seeds import onnx_models
from .target import fuzz


def read(content: bytes) -> None:
    """Read a file, in part and as a whole; compile some."""
    with contextlib.suppress(UnsupportedError):
        survey_some(read_onnx(content, partial=True), content)
    compile_some(read_onnx(content), content)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage one to three messages."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.randint(1, 3)):
        damage_message(model, rng)
    return model.SerializeToString()


if __name__ == "__main__":
    fuzz(read, (ModelError, UnsupportedError), onnx_models(), mutate)
