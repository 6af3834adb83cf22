"""Damaged models and programs, networks without end, full disks: one line, an exit status, and nothing half-written."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tilewright.cli import errors, files
from tilewright.examples import digits
from tilewright.hw.params import parse_array
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite

from ..models import ModelBuilder
from ..onnx_models import QdqBuilder
from ..program_files import join, split
from .conftest import Tilewright

Fails = Callable[..., str]

COMMANDS = (
    ("check",),
    ("compile", "--array", "4x4", "-o", "out"),
    ("run", "--array", "4x4", "--engine", "golden", "--json", "r.json", "--output", "y.npz"),
)
PROCESS = [sys.executable, "-c", "from tilewright.cli.main import main; main()"]
MEBIBYTES = 1024


def onnx_model() -> bytes:
    builder = QdqBuilder()
    image = builder.activation((1, 3, 6, 6), 0.05, 3)
    weights = builder.weights(np.arange(-54, 54).reshape(4, 3, 3, 3).astype(np.int8), 0.02)
    return builder.build(builder.quantized(builder.node("Conv", image, weights), 0.2, -128))


def program() -> bytes:
    return compile_model(read_tflite(digits.MODEL), parse_array("4x4")).to_bytes()


CONTENTS = {"net.tflite": digits.MODEL.read_bytes, "net.onnx": onnx_model, "net.twp": program}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("name", CONTENTS)
def test_damaged_files(fails: Fails, tmp_path: Path, name: str, command: tuple[str, ...]):
    content = CONTENTS[name]()
    half, path = len(content) // 2, tmp_path / name
    for damaged in (content[:half], content[:5], content[:half] + b"\xff" * 64 + content[half + 64 :], content[half:]):
        path.write_bytes(damaged)
        line = fails(2, command[0], name, *command[1:])
        assert line.isprintable() and len(line) < 400
        assert list(tmp_path.iterdir()) == [path]


def test_a_program_that_nobody_has_compiled(fails: Fails, tmp_path: Path):
    head, *rest = split(program())
    (tmp_path / "net.twp").write_bytes(join([head.replace(b'"macs": ', b'"macs": -'), *rest]))
    for command in COMMANDS:
        assert "negative macs" in fails(2, command[0], "net.twp", *command[1:])


def absurd_model() -> bytes:
    """An image of four pixels, resized to 16 million rows."""
    builder = ModelBuilder()
    image = builder.input((1, 2, 2, 1), 0.5)
    size = builder.constant(np.array([16_000_000, 2], np.int32))
    output = builder.tensor((1,), 0.5)
    return builder.build(builder.operator("RESIZE_BILINEAR", [image, size], output, schema.ResizeBilinearOptionsT()))


def limited(words: tuple[str, ...], folder: Path, **limits: int) -> tuple[int, str, int]:
    """Run a command as a process of its own: its status, its standard error, and its MiB of memory at most."""

    def limit() -> None:
        for name, most in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))

    command = [*PROCESS, *words]
    with (folder.parent / "errors").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said, preexec_fn=limit)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return process.returncode, said.read(), usage.ru_maxrss // 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_network_without_end(folder: Path, command: tuple[str, ...]):
    (folder / "net.tflite").write_bytes(absurd_model())
    status, said, peak = limited((command[0], "net.tflite", *command[1:]), folder, CPU=30)
    error, hint = said.splitlines()
    assert status == errors.Status.UNSUPPORTED
    assert error.startswith("error: unsupported: RESIZE_BILINEAR at operator 0 (tensor 't2'): ") and "elements" in error
    assert hint.startswith("hint: ")
    assert peak < MEBIBYTES


def test_a_limit_on_the_size_of_files(folder: Path):
    status, said, _ = limited(("compile", "digits", "--array", "4x4", "-o", "deep/er"), folder, FSIZE=1000, CPU=60)
    assert (status, said) == (2, "error: cannot write deep/er/digits.twp: file too large\n")
    assert not list(folder.iterdir())


def test_a_device_that_is_full(fails: Fails):
    command = ("run", "digits", "--array", "4x4", "--engine", "golden")
    for option in ("--json", "--output"):
        assert fails(2, *command, option, "/dev/full") == "cannot write /dev/full: the disk is full"


@pytest.mark.parametrize("command", [("generate", "--array", "4x4"), ("compile", "digits", "--array", "4x4")])
def test_an_interrupt_between_two_files(
    tilewright: Tilewright, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    true_fill, filled = files._fill, []

    def fill(*arguments: Any) -> None:
        if filled:
            raise KeyboardInterrupt
        filled.append(arguments)
        true_fill(*arguments)

    monkeypatch.setattr(files, "_fill", fill)
    result = tilewright(*command, "-o", "out")
    assert result.exit_code == errors.Status.INTERRUPTED
    assert result.stderr.splitlines()[-1] == "error: interrupted"
    assert not list(tmp_path.iterdir())
