"""`synth` with scripts in the tools' place, and `--board` as a target."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tilewright.hw.params import parse_array
from tilewright.hw.presets import PRESETS, Preset

from ..hw.test_synth import NEXTPNR, YOSYS
from .conftest import Tilewright

SMALL = replace(parse_array("4x4"), target="ecp5", dsp_blocks=20)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small board, and tools that answer at once."""
    preset = Preset(name="small", board="Small", device="LFE5U-85F-6BG381C", params=SMALL, frequency=80)
    monkeypatch.setitem(PRESETS, "small", preset)
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, script in (("yosys", YOSYS), ("nextpnr-ecp5", NEXTPNR)):
        (folder / name).write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo 1.0; exit; fi\n{script}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return "small"


def test_figures(tilewright: Tilewright, small: str) -> None:
    result = tilewright("synth", "--board", small, "--seeds", 2, "-o", "out", "--json", "r.json")
    assert result.exit_code == 0, result.output
    figures = json.loads(Path("r.json").read_text())
    assert figures == json.loads(Path("out/synth.json").read_text())
    assert (figures["device"], figures["array"], figures["fmax_mhz"]) == ("LFE5U-85F-6BG381C", [4, 4], 100.5)
    assert (figures["lut4"], figures["ff"], figures["dsp"], figures["bram"]) == (123, 45, 6, 0)
    assert figures["seeds"] == {"1": 99.5, "2": 100.5}
    assert figures["command"] == "tilewright synth --board small --seeds 2"
    assert figures["tools"] == {"yosys": "1.0", "nextpnr-ecp5": "1.0"}
    tilewright("generate", "--board", small, "-o", "accelerator")
    accelerator = Path("accelerator/tilewright.v").read_text()
    assert Path("out/design.v").read_text().startswith(accelerator)
    assert "MULT18X18D" in accelerator and "CCU2C" in accelerator
    assert json.loads(Path("accelerator/tilewright.json").read_text())["verilog_sha256"] == figures["sha256"]["accelerator"]
    assert "7.7" in result.stdout and "100.5" in result.stdout


def test_a_board_is_a_target(tilewright: Tilewright, small: str) -> None:
    """A program for the array runs on the board, whose multipliers are others."""
    for name, target in (("array", ("--array", "4x4")), ("board", ("--board", small))):
        assert tilewright("compile", "digits", *target, "-o", name).exit_code == 0
    result = tilewright("run", "array/digits.twp", "--board", small, "--engine", "golden")
    assert result.exit_code == 0, result.output
    first, second = (Path(name, "digits.schedule.txt").read_text() for name in ("array", "board"))
    assert first == second


def test_errors(fails: Callable[..., str], small: str, tmp_path: Path) -> None:
    names = ", ".join(PRESETS)
    assert fails(2, "synth", "--board", "x") == f"--board: 'x' is not one of {names}"
    assert fails(2, "generate", "--board", "x", "-o", "o") == f"--board: 'x' is not one of {names}"
    both = fails(2, "generate", "--board", small, "--array", "4x4", "-o", "o")
    assert both == "--array, --board and --config: give one of them"
    (tmp_path / "tools" / "nextpnr-ecp5").write_text("#!/bin/sh\n[ $1 = --version ] && echo 1 || { echo ERROR: full; exit 1; }\n")
    assert fails(2, "synth", "--board", small, "-o", "out") == "nextpnr-ecp5 failed with exit status 1: full"
    assert not Path("out").exists()
