"""`synth` with scripts in the tools' place, and `--board` as a target."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tilewright.hw.params import parse_array
from tilewright.hw.presets import PRESETS, Preset

from ..hw.test_synth import NEXTPNR, PACK, YOSYS
from .conftest import Tilewright

SMALL = replace(parse_array("4x4"), target="ecp5", dsp_blocks=20)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small board, and tools that answer at once."""
    preset = Preset(
        name="small", board="ulx3s-85f", device="LFE5U-85F-6BG381C", params=SMALL, frequency=80, memory_kib=32
    )
    monkeypatch.setitem(PRESETS, "small", preset)
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, script in (("yosys", YOSYS), ("nextpnr-ecp5", NEXTPNR), ("ecppack", PACK), ("openFPGALoader", "exit 0")):
        (folder / name).write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo 1.0; exit; fi\n{script}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return "small"


def test_a_bitstream(tilewright: Tilewright, small: str) -> None:
    """The board's design, as the tools got it, its bitstream, the demo's program for it, and what is said of them."""
    result = tilewright("synth", "--board", small, "--seeds", 2, "-o", "out", "--flash")
    assert result.exit_code == 0, result.output
    names = ["constraints.lpf", "design.v", "digits.twp", "report.json", "report.md", "small.bit"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    figures = json.loads(Path("out/report.json").read_text())
    assert (figures["design"], figures["timing_met"], figures["target_mhz"]) == ("board", True, 80)
    assert (figures["array_lut4"], figures["lut4_per_mac"]) == (0, 7.7)
    assert figures["command"] == "tilewright synth --board small --seeds 2"
    for kind, name in (("bitstream", "small.bit"), ("program", "digits.twp"), ("verilog", "design.v")):
        assert figures["sha256"][kind] == hashlib.sha256(Path("out", name).read_bytes()).hexdigest()
        assert f"- `{name}`: SHA-256 {figures['sha256'][kind]}" in Path("out/report.md").read_text()
    assert Path("out/small.bit").read_text() == "seed 2\n"
    text = Path("out/design.v").read_text()
    assert "EHXPLLL" in text and "MULT18X18D" in text
    assert 'LOCATE COMP "clk"' in Path("out/constraints.lpf").read_text()
    assert tilewright("run", "out/digits.twp", "--board", small, "--engine", "golden").exit_code == 0
    assert "the board runs it" in result.stdout


def test_a_missed_clock(fails: Callable[..., str], small: str) -> None:
    """Figures, and no bitstream."""
    assert fails(2, "synth", "--board", small, "--clock", 100, "-o", "out") == (
        "no bitstream: 99.5 MHz of 100 MHz; give --clock or more --seeds"
    )
    assert not Path("out/small.bit").exists()
    assert not json.loads(Path("out/report.json").read_text())["timing_met"]
    assert "there is no bitstream" in Path("out/report.md").read_text()


def test_figures(tilewright: Tilewright, small: str) -> None:
    result = tilewright("synth", "--board", small, "--seeds", 2, "--alone", "-o", "out", "--json", "r.json")
    assert result.exit_code == 0, result.output
    figures = json.loads(Path("r.json").read_text())
    assert figures == json.loads(Path("out/report.json").read_text())
    assert (figures["device"], figures["array"], figures["fmax_mhz"]) == ("LFE5U-85F-6BG381C", [4, 4], 100.5)
    assert (figures["lut4"], figures["ff"], figures["dsp"], figures["bram"]) == (123, 45, 6, 0)
    assert figures["seeds"] == {"1": 99.5, "2": 100.5}
    assert figures["command"] == "tilewright synth --board small --seeds 2 --alone"
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
    alone = fails(2, "synth", "--board", small, "--alone", "--flash")
    assert alone == "--alone and --flash: without the board there is no bitstream"
    slow = fails(2, "synth", "--board", small, "--clock", 1)
    assert slow == "--clock: the PLL makes no 1 MHz of 25 MHz"
    (tmp_path / "tools" / "openFPGALoader").write_text("#!/bin/sh\necho no cable; exit 1\n")
    flash = fails(2, "synth", "--board", small, "--flash")
    assert flash == "no board programmed: openFPGALoader ended with status 1: no cable"
    (tmp_path / "tools" / "nextpnr-ecp5").write_text("#!/bin/sh\n[ $1 = --version ] && echo 1 || { echo ERROR: full; exit 1; }\n")
    assert fails(2, "synth", "--board", small, "-o", "out") == "nextpnr-ecp5 failed with exit status 1: full"
    assert not Path("out").exists()
