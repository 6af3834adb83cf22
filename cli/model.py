"""MODEL: a `.tflite` or `.onnx` file, a program, or the word `digits`."""

import os
import stat
from pathlib import Path

from ..examples import digits
from ..hw.legality import verify_program
from ..hw.params import Parameters
from ..hw.program import Program
from ..mapper.host_steps import verify_host_steps
from ..mapper.ir import Graph
from ..mapper.onnx import read_onnx
from ..mapper.sizes import MOST_FILE_BYTES
from ..mapper.tflite import read_tflite
from .errors import CommandError, cannot_read

__all__ = ["check_target", "is_onnx", "open_model"]

_PROGRAM_START = b"\x89TWP"
_SHIPPED = {"digits": digits.MODEL}


def open_model(name: str, *, partial: bool = False) -> Graph | Program:
    """Read a model or a program; `partial` as in `read_tflite` and `read_onnx`. The file's name says which model it is.

    Raises `CommandError`, `ModelError`, `ProgramError` or `UnsupportedError`.
    """
    path = _SHIPPED.get(name) or Path(name)
    try:
        _check_file(path, path.stat())
        with path.open("rb") as file:
            start = file.read(len(_PROGRAM_START))
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):  # A zero byte in the name.
            raise CommandError(f"cannot read {name!r}: not a file name") from None
        raise cannot_read(path, error) from None
    try:
        if start != _PROGRAM_START:
            return (read_onnx if is_onnx(path) else read_tflite)(path, partial=partial)
        program = Program.load(path)
        verify_program(program)
        verify_host_steps(program)
        return program
    except OSError as error:
        raise cannot_read(path, error) from None


def _check_file(path: Path, found: os.stat_result) -> None:
    """Refuse what has no end, or more than memory should hold."""
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise CommandError(f"cannot read {path}: not a regular file")
    if found.st_size > MOST_FILE_BYTES:
        size, most = f"{found.st_size:,}", f"{MOST_FILE_BYTES:,}"
        raise CommandError(f"cannot read {path}: {size} bytes are more than {most}; export a smaller model")


def is_onnx(path: Path) -> bool:
    """Whether a file is an ONNX model by its name."""
    return path.suffix.lower() == ".onnx"


def check_target(name: str, program: Program, params: Parameters | None) -> None:
    """Refuse a program that was made for other parameters than the target's."""
    if params is None or program.params.fingerprint == params.fingerprint:
        return
    made, wanted = program.params, params
    if made.array == wanted.array:
        differ = [
            f"{field} {getattr(made, field)}, not {getattr(wanted, field)}"
            for field in made.__dataclass_fields__
            if getattr(made, field) != getattr(wanted, field)
        ]
        raise CommandError(f"{name}: the program was made for another configuration: {', '.join(differ)}")
    raise CommandError(
        f"{name}: the program was made for another configuration: {made.array} (fingerprint {made.fingerprint:016x}), "
        f"not {wanted.array} ({wanted.fingerprint:016x})"
    )
