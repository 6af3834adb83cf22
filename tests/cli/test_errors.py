"""Every mistake of a user ends in one line and its exit status."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tilewright.cli import errors, files, run
from tilewright.examples import digits

from .conftest import Tilewright

Fails = Callable[..., str]


@pytest.mark.parametrize("array", ["7x9", "16", "16x", "axb", "16x16x16", "-4x4", "0x0", "64x64", "", "4 x4"])
def test_bad_array(fails: Fails, array: str):
    assert array in fails(2, "run", "digits", "--array", array)


def test_no_target(fails: Fails):
    assert "--array" in fails(2, "run", "digits")
    assert "--array" in fails(2, "compile", "digits", "-o", "out")
    assert "--array" in fails(2, "generate", "-o", "out")
    assert "one of them" in fails(2, "run", "digits", "--array", "4x4", "--config", "x.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--latency", "5"), "--latency and --bandwidth: this accelerator has no external memory"),
        (("--axi-bits", "64"), "--axi-bits: axi_bits: 64 with memory spram, which goes with 32 alone"),
    ],
)
def test_memory_of_the_compact_accelerator(fails: Fails, options: tuple[str, str], message: str):
    assert fails(2, "run", "digits", "--board", "icebreaker", *options) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("\xff", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("[]", "expected a JSON object"),
        ('{"rows": 4}', "cols: missing"),
        ('{"rows": 4, "cols": 5}', "cols: 5 is not one of"),
        ('{"rows": 4, "cols": 4, "speed": 9}', "speed: unknown"),
        ('{"rows": "4", "cols": 4}', "rows: '4' is not one of"),
        ('{"rows": 4, "cols": null}', "cols: None is not one of"),
    ],
)
def test_bad_config(fails: Fails, tmp_path: Path, content: str, message: str):
    (tmp_path / "target.json").write_bytes(content.encode("latin-1"))
    line = fails(2, "run", "digits", "--config", "target.json")
    assert line.startswith("target.json: ")
    assert message in line


def test_missing_config(fails: Fails):
    assert fails(2, "run", "digits", "--config", "gone.json") == "cannot read gone.json: no such file or directory"
    assert fails(2, "run", "digits", "--config", ".") == "cannot read .: is a directory"


@pytest.mark.parametrize("command", ["check", "compile", "run"])
def test_no_such_model(fails: Fails, command: str):
    target = [] if command == "check" else ["--array", "4x4"]
    folder = ["-o", "out"] if command == "compile" else []
    line = fails(2, command, "gone.tflite", *target, *folder)
    assert line == "cannot read gone.tflite: no such file or directory"
    assert "cannot read" in fails(2, command, "a\0b", *target, *folder)


def test_not_a_model(fails: Fails, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("Shopping list: eggs, flour, 16 multipliers")
    (tmp_path / "empty.tflite").touch()
    (tmp_path / "picture.tflite").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    assert "not a TensorFlow Lite model" in fails(2, "check", "notes.txt")
    assert "empty" in fails(2, "run", "empty.tflite", "--array", "4x4")
    assert "not a TensorFlow Lite model" in fails(2, "run", "picture.tflite", "--array", "4x4")
    assert "directory" in fails(2, "run", tmp_path, "--array", "4x4")
    assert fails(2, "check", "/dev/zero") == "cannot read /dev/zero: not a regular file"
    with (tmp_path / "large.tflite").open("wb") as file:
        file.truncate(1 << 40)
    assert "1,099,511,627,776 bytes are more than" in fails(2, "check", "large.tflite")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_truncated_model(fails: Fails, tmp_path: Path, share: float):
    content = digits.MODEL.read_bytes()
    (tmp_path / "part.tflite").write_bytes(content[: int(len(content) * share)])
    assert "part.tflite" in fails(2, "run", "part.tflite", "--array", "4x4", "--engine", "golden")


def test_truncated_or_altered_program(fails: Fails, tilewright: Tilewright, tmp_path: Path):
    assert tilewright("compile", "digits", "--array", "4x4", "-o", "out").exit_code == 0
    content = (tmp_path / "out" / "digits.twp").read_bytes()
    part = tmp_path / "part.twp"
    for size in (4, 9, 100, len(content) // 2, len(content) - 1):
        part.write_bytes(content[:size])
        assert "part.twp: the program is truncated" in fails(2, "run", "part.twp")
    altered = bytearray(content)
    altered[len(altered) // 2] ^= 1
    part.write_bytes(altered)
    assert "part.twp: the program is altered" in fails(2, "run", "part.twp")


def test_program_for_another_configuration(fails: Fails, tilewright: Tilewright, tmp_path: Path):
    tilewright("compile", "digits", "--array", "4x4", "-o", "out")
    line = fails(2, "run", "out/digits.twp", "--array", "8x8")
    assert "another configuration: 4x4" in line
    assert "8x8" in line
    line = fails(2, "run", "out/digits.twp", "--array", "4x4", "--axi-bits", "128")
    assert "axi_bits 32, not 128" in line
    assert "another configuration" in fails(2, "compile", "out/digits.twp", "--array", "8x8", "-o", "out")
    assert "--no-fuse" in fails(2, "run", "out/digits.twp", "--no-fuse")


def test_unknown_operator(fails: Fails, tilewright: Tilewright, unknown_operator: Path, tmp_path: Path):
    for arguments in (["check"], ["run", "--array", "4x4"], ["compile", "--array", "4x4", "-o", "out"]):
        line = fails(3, arguments[0], unknown_operator, *arguments[1:])
        assert line.startswith("unsupported: L2_NORMALIZATION at ")
    _, hint = tilewright("run", unknown_operator, "--array", "4x4").stderr.splitlines()
    assert hint.startswith("hint: ")
    tilewright("check", unknown_operator, "--json", "check.json")
    report = json.loads((tmp_path / "check.json").read_text())
    assert not report["runs"]
    assert report["unsupported"][0]["op"] == "L2_NORMALIZATION"


def test_model_that_does_not_fit(fails: Fails, too_large: Path):
    line = fails(3, "run", too_large, "--array", "16x16")
    assert "KiB" in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "digits", "--array", "4x4", "--engine", "board"],
        ["run", "digits", "--array", "4x4", "--engine", "magic"],
        ["run", "digits", "--array", "4x4", "--latency", "0"],
        ["run", "digits", "--array", "4x4", "--latency", "fast"],
        ["run", "digits", "--array", "4x4", "--bandwidth", "101"],
        ["run", "digits", "--array", "4x4", "--axi-bits", "48"],
        ["run", "digits", "--array"],
        ["run", "digits", "digits", "--array", "4x4"],
        ["compile", "digits", "--array", "4x4"],
        ["generate", "--array", "4x4"],
        ["check"],
        ["--quick"],
    ],
)
def test_bad_usage(fails: Fails, arguments: list[str]):
    assert "--help" in fails(2, *arguments)


def test_axi_bits_need_a_target(fails: Fails):
    assert "--axi-bits" in fails(2, "run", "digits", "--axi-bits", "64")


def test_no_output_from_the_cycle_model(fails: Fails):
    assert "--output" in fails(2, "run", "digits", "--array", "4x4", "--engine", "cycles", "--output", "y.npz")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 8, 8, 1), np.uint8), "the type is uint8"),
        (np.zeros((1, 8, 8, 1), np.float32), "the type is float32"),
        (np.zeros((1, 8, 8), np.int8), "the shape is [1, 8, 8]"),
        (np.zeros((1, 8, 9, 1), np.int8), "the shape is [1, 8, 9, 1]"),
        (np.zeros((0, 1, 8, 8, 1), np.int8), "the shape is [0, 1, 8, 8, 1]"),
        (np.int8(3), "the shape is []"),
    ],
)
def test_wrong_input(fails: Fails, tmp_path: Path, array: Any, message: str):
    np.save(tmp_path / "x.npy", array)
    line = fails(2, "run", "digits", "--array", "4x4", "--engine", "golden", "--input", "x.npy")
    assert line.startswith(f"x.npy: {message}, and input 'image' is int8[1, 8, 8, 1]")


def test_input_that_is_no_array(fails: Fails, tmp_path: Path):
    command = ["run", "digits", "--array", "4x4", "--engine", "golden", "--input"]
    assert fails(2, *command, "gone.npy") == "cannot read gone.npy: no such file or directory"
    (tmp_path / "text.npy").write_text("1 2 3")
    assert "not a .npy or .npz file" in fails(2, *command, "text.npy")
    (tmp_path / "empty.npy").touch()
    assert "not a .npy or .npz file" in fails(2, *command, "empty.npy")
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    (tmp_path / "part.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-3])
    assert "not a .npy or .npz file" in fails(2, *command, "part.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, None], object))
    assert "not a .npy or .npz file" in fails(2, *command, "objects.npy")
    np.savez(tmp_path / "y.npz", other=np.zeros(3))
    assert "has no input_0" in fails(2, *command, "y.npz")
    (tmp_path / "part.npz").write_bytes((tmp_path / "y.npz").read_bytes()[:-30])
    assert "not a .npy or .npz file" in fails(2, *command, "part.npz")


def test_several_inputs(fails: Fails, two_inputs: Path, tmp_path: Path):
    command = ["run", two_inputs, "--array", "4x4", "--engine", "golden", "--input"]
    image = np.zeros((1, 4, 4, 8), np.int8)
    np.save(tmp_path / "x.npy", image)
    assert "has 2 inputs" in fails(2, *command, "x.npy")
    np.savez(tmp_path / "x.npz", input_0=image)
    assert "has no input_1" in fails(2, *command, "x.npz")
    np.savez(tmp_path / "x.npz", input_0=image, input_1=np.stack([image, image]))
    assert "equally many cases" in fails(2, *command, "x.npz")


@pytest.mark.parametrize("option", ["--json", "--output"])
def test_output_that_cannot_be_written(fails: Fails, tmp_path: Path, option: str):
    command = ["run", "digits", "--array", "4x4", "--engine", "golden", option]
    (tmp_path / "file").touch()
    assert fails(2, *command, "file/r").startswith("cannot write file/r: not a directory")
    assert fails(2, *command, ".") == "cannot write .: it is a folder"
    assert fails(2, *command, "/proc/nothing/r").startswith("cannot write /proc/nothing/r: ")
    assert fails(2, *command, "n" * 300).startswith("cannot write nnn")
    assert fails(2, "compile", "digits", "--array", "4x4", "-o", "file").startswith("cannot write file")


def test_full_disk_leaves_nothing_behind(fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fill(file: object, content: object) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "r.json").write_text("old")
    monkeypatch.setattr(files, "_fill", fill)
    line = fails(2, "run", "digits", "--array", "4x4", "--engine", "golden", "--json", "r.json")
    assert line == "cannot write r.json: the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert (tmp_path / "r.json").read_text() == "old"


def test_interrupt_leaves_nothing_behind(tilewright: Tilewright, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fill(file: object, content: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_fill", fill)
    result = tilewright("run", "digits", "--array", "4x4", "--engine", "golden", "--json", "r.json")
    assert result.exit_code == errors.Status.INTERRUPTED
    assert [line for line in result.stderr.split("\n") if line and not line.endswith(" ...")] == ["error: interrupted"]
    assert not list(tmp_path.iterdir())


def test_mismatch(fails: Fails, tilewright: Tilewright, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    true_evaluate = run.Session.__init__.__globals__["evaluate"]

    def evaluate(*arguments: Any) -> dict[str, Any]:
        values = true_evaluate(*arguments)
        wrong = values["conv1"].copy()
        wrong.ravel()[:5] ^= 1
        return values | {"conv1": wrong}

    monkeypatch.setitem(run.Session.__init__.__globals__, "evaluate", evaluate)
    arguments = ["run", "digits", "--array", "4x4", "--engine", "golden", "--json", "r.json"]
    assert fails(4, *arguments) == "mismatch: 5 elements differ"
    assert "conv1: 5 elements" in tilewright(*arguments).stderr
    assert json.loads((tmp_path / "r.json").read_text())["mismatches"] == 5


def test_mistakes_of_tilewright_are_not_hidden():
    assert errors.explain(ValueError("what?")) is None
    assert errors.explain(AssertionError()) is None


def test_no_such_board(fails: Fails):
    assert "nowhere" in fails(2, "run", "digits", "--board", "nowhere")
