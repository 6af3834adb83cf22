"""Help, version, `check` and `compile`."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from tilewright.examples import digits
from tilewright.hw.params import parse_array
from tilewright.hw.program import Program
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite

from .conftest import Tilewright

COMMANDS = ["check", "generate", "compile", "run", "synth"]


def test_version(tilewright: Tilewright):
    result = tilewright("--version")
    assert (result.exit_code, result.stdout) == (0, f"tilewright {version('tilewright')}\n")


def test_help_lists_what_there_is(tilewright: Tilewright):
    result = tilewright("--help")
    assert result.exit_code == 0
    for text in (*COMMANDS, "MODEL is", "TARGET is", "Exit status"):
        assert text in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_of_commands(tilewright: Tilewright, command: str, option: str):
    result = tilewright(command, option)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: tilewright {command} ")
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_check(tilewright: Tilewright):
    result = tilewright("check", "digits", "--json", "check.json")
    assert result.exit_code == 0
    assert "10 of 11 operators run on the accelerator" in result.stdout
    report = json.loads(Path("check.json").read_text())
    assert report["runs"]
    host = [layer for layer in report["layers"] if layer["where"] == "host"]
    assert [layer["op"] for layer in host] == ["SOFTMAX"]
    assert host[0]["reason"]


def test_check_takes_programs(tilewright: Tilewright):
    tilewright("compile", "digits", "--array", "4x4", "-o", "out")
    result = tilewright("check", "out/digits.twp")
    assert result.exit_code == 0
    assert "10 of 11 operators run on the accelerator" in result.stdout


def test_compile_writes_what_the_mapper_makes(tilewright: Tilewright):
    result = tilewright("compile", "digits", "--array", "8x16", "-o", "deep/out")
    assert result.exit_code == 0
    assert sorted(path.name for path in Path("deep/out").iterdir()) == [
        "digits.memory.txt",
        "digits.schedule.txt",
        "digits.twp",
    ]
    program = Program.load("deep/out/digits.twp")
    assert program == compile_model(read_tflite(digits.MODEL), parse_array("8x16"))
    assert "COMPUTE" in Path("deep/out/digits.schedule.txt").read_text()
    memory = Path("deep/out/digits.memory.txt").read_text()
    for tensor in (*program.inputs, *program.outputs, *program.tensors):
        assert tensor.name in memory


def test_compile_is_repeatable_and_takes_its_own_program(tilewright: Tilewright):
    tilewright("compile", "digits", "--array", "4x4", "-o", "a")
    tilewright("compile", "digits", "--array", "4x4", "-o", "b")
    tilewright("compile", "a/digits.twp", "--array", "4x4", "-o", "c")
    programs = [Path(folder, "digits.twp").read_bytes() for folder in "abc"]
    assert programs[0] == programs[1] == programs[2]
