"""Our models of the families' block RAMs: memories that Yosys maps onto them read what Amaranth's own memories read."""

import json
from pathlib import Path

import pytest
from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from tilewright.hw.verilog import convert
from tilewright.sim.verilator import Build, run_test

from .. import netlist

FAMILIES = {"ecp5": {"DP16KD": 4}, "gowin": {"SDPX9B": 2, "DPX9B": 2}}

# Random accesses, mostly to a few words; a word that is read while it is written is not compared, but has to be another one.
BENCH = """
module bench(input clk, output reg done, output reg [31:0] wrong_apart, wrong_met, wrong_late);
  reg [31:0] count = 0;
  reg [95:0] noise = 96'h123456789abcdef013579bdf;
  wire [9:0] write_address = {noise[4:2], 5'd0, noise[1:0]}, read_address = {noise[9:7], 5'd0, noise[6:5]};
  wire [3:0] write_lanes = noise[13:10];
  wire read_enable = noise[15:14] != 0;
  wire [35:0] data = noise[95:60];
  wire [103:0] expected, mapped;
  reg [103:0] late;
  localparam registered = REGISTERED;
  memories rtl(.clk, .rst(1'b0), .write_address, .read_address, .write_lanes, .read_enable, .data, .words(expected));
  netlist net(.clk, .rst(1'b0), .write_address, .read_address, .write_lanes, .read_enable, .data, .words(mapped));
  reg [2:0] met_now = 0, met_before = 0;  // by memory: the word read last was written at that time
  wire [2:0] met = registered ? met_before : met_now;
  wire [103:0] apart = {{32{!met[2]}}, {36{!met[1]}}, {36{!met[0]}}};
  initial {done, wrong_apart, wrong_met, wrong_late} = 0;
  always @(posedge clk) begin
    count <= count + 1;
    noise <= {noise[94:0], noise[95] ^ noise[93] ^ noise[48] ^ noise[46]} ^ (noise << 37);
    late <= expected;
    met_before <= met_now;
    if (read_enable) begin
      met_now[0] <= write_address[8:0] == read_address[8:0] && write_lanes != 0;
      met_now[1] <= write_address[8:0] == read_address[8:0] && write_lanes[0];
      met_now[2] <= write_address == read_address && write_lanes != 0;
    end
    if (((mapped ^ expected) & apart) != 0) wrong_apart <= wrong_apart + 1;
    if (met == 7 && mapped[35:0] != expected[35:0] && mapped[71:36] != expected[71:36]) wrong_met <= wrong_met + 1;
    if (((late ^ expected) & apart) != 0) wrong_late <= wrong_late + 1;
    done <= count == 20000;
  end
endmodule
"""


class Memories(wiring.Component):
    """512 words of 36 bits in lanes of 9, the same without lanes, and 1,024 words of 32 bits in lanes of 8; with or without a
    register behind each."""

    write_address: In(10)
    read_address: In(10)
    write_lanes: In(4)
    read_enable: In(1)
    data: In(36)
    words: Out(104)

    def __init__(self, registered: bool):
        self._registered = registered
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        words = []
        for n, (width, depth, granularity) in enumerate(((36, 512, 9), (36, 512, None), (32, 1024, 8))):
            m.submodules[f"memory_{n}"] = cells = memory.Memory(shape=unsigned(width), depth=depth, init=[])
            read, write = cells.read_port(), cells.write_port(granularity=granularity)
            m.d.comb += [
                read.addr.eq(self.read_address),
                read.en.eq(self.read_enable),
                write.addr.eq(self.write_address),
                write.data.eq(self.data),
                write.en.eq(self.write_lanes),
            ]
            words.append(read.data)
        late = Signal(104, reset_less=True)
        m.d.sync += late.eq(Cat(words))
        m.d.comb += self.words.eq(late if self._registered else Cat(words))
        return m


@pytest.mark.slow
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_models(family: str, registered: bool, tmp_path: Path) -> None:
    """And that a word of the cycle before is another one: the bench sees differences."""
    rtl = convert(Memories(registered), "memories")
    cells = netlist.synthesize(tmp_path, family, rtl, "memories")
    counts = netlist.count_cells(cells)
    assert {cell: counts[cell] for cell in FAMILIES[family]} == FAMILIES[family]
    if family == "ecp5":
        assert cells.count('.REGMODE_B("OUTREG")') == (4 if registered else 0)
        assert counts["TRELLIS_FF"] == 0
    net = netlist.simulated(family, cells.replace("module memories(", "module netlist("))
    (tmp_path / "bench.sv").write_text("\n".join([BENCH.replace("REGISTERED", str(int(registered))), rtl, net]))
    build = Build(sources=(tmp_path / "bench.sv",), top="bench", visible=True)
    answer = tmp_path / "answer.json"
    module = Path(__file__).with_name("multiplier_cocotb.py")
    run_test(build.executable(), module=module, folder=tmp_path, environment={"MULTIPLIER_ANSWER": str(answer)}, timeout=300)
    wrong = json.loads(answer.read_text())
    assert wrong["apart"] == 0
    assert min(wrong["met"], wrong["late"]) > 100
