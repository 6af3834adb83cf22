"""The array as Yosys maps it onto each family's cells, against its own Verilog, in every cycle of random traffic."""

import json
from pathlib import Path

import pytest
from amaranth.hdl import Value
from amaranth.lib import wiring
from tilewright.hw.array import SystolicArray
from tilewright.hw.primitives import models
from tilewright.hw.verilog import convert
from tilewright.sim.verilator import Build, run_test

from .. import netlist

ROWS, COLS, GROUPS, BLOCKS = 4, 4, 4, 7
CYCLES = 5000
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


@pytest.mark.slow
@pytest.mark.parametrize("family", netlist.FAMILIES)
def test_array(family: str, tmp_path: Path) -> None:
    rtl_text = convert(array(family), "array")
    cells = netlist.synthesize(tmp_path, family, rtl_text, "array")
    block = {"ecp5": "MULT18X18D", "ice40": "SB_MAC16", "gowin": "MULT9X9"}[family]
    assert netlist.count_cells(cells)[block] == (BLOCKS if family != "ice40" else -(-BLOCKS // 2))
    (tmp_path / "array.v").write_text(rtl_text)
    (tmp_path / "netlist.v").write_text(netlist.simulated(family, cells.replace("module array(", "module netlist(")))

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
    sources = (tmp_path / "bench.v", tmp_path / "array.v", tmp_path / "netlist.v", *models(family))
    executable = Build(sources=sources, top="bench").executable()
    answer = tmp_path / "answer.json"
    module = Path(__file__).parents[1] / "hw" / "multiplier_cocotb.py"
    run_test(executable, module=module, folder=tmp_path, environment={"MULTIPLIER_ANSWER": str(answer)}, timeout=600)
    assert json.loads(answer.read_text()) == {family: 0}
