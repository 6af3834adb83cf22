"""Verilog from components: one module per kind of block, readable names, the same text every time."""

import os
import re
import subprocess
import sys

import pytest
from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from tilewright.hw.verilog import convert


class Adder(wiring.Component):
    """Adds what it is given to what it is asked about."""

    i: In(8)
    o: Out(8)
    hold: In(1)

    def elaborate(self, platform):
        m = Module()
        kept = Signal(8, init=3)
        with m.If(~self.hold):
            m.d.sync += kept.eq(self.i)
        m.d.comb += self.o.eq(self.i + kept)
        return m


class Row(wiring.Component):
    """A chain of cells, and a queue that is not a component."""

    def __init__(self, cells: int, depth: int):
        self._cells = cells
        self._depth = depth
        layout = data.StructLayout({"low": 4, "high": 4})
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(8).array(2), "hold": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFO(width=8, depth=self._depth)
        value = queue.r_data
        for n in range(self._cells):
            m.submodules[f"cell_{n}"] = cell = Adder()
            m.d.comb += [cell.i.eq(value), cell.hold.eq(self.hold)]
            value = cell.o
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            queue.r_en.eq(~self.hold),
            self.o[0].eq(value),
            self.o[1].eq(~value),
        ]
        return m


class Grid(wiring.Component):
    """Rows, one of them of another depth, and one that can be reset."""

    def __init__(self, rows: int, cells: int):
        self._rows = rows
        self._cells = cells
        super().__init__({"rows": In(stream.Signature(8)).array(rows), "o": Out(8).array(rows), "clear": In(1)})

    def elaborate(self, platform):
        m = Module()
        for n in range(self._rows):
            row = Row(self._cells, 8 if n else 4)
            m.submodules[f"row_{n}"] = ResetInserter(self.clear)(row) if n == 1 else row
            m.d.comb += [
                row.i.payload.eq(self.rows[n].payload),
                row.i.valid.eq(self.rows[n].valid),
                self.rows[n].ready.eq(row.i.ready),
                self.o[n].eq(row.o[0] ^ row.o[1]),
            ]
        return m


def modules(verilog: str) -> dict[str, str]:
    """Module texts by name."""
    return {
        match[1]: match[0]
        for match in re.finditer(r"^module (\S+?)\(.*?^endmodule$", verilog, re.DOTALL | re.MULTILINE)
    }


def ports(module: str) -> list[str]:
    return re.match(r"module \w+\((.*?)\);", module, re.DOTALL)[1].replace("\n   ", "").split(", ")


def test_one_module_per_kind():
    found = modules(convert(Grid(4, 5), "grid"))
    assert sorted(found) == ["adder", "grid", "grid_row", "grid_row_2"]
    assert len(re.findall(r"^  adder cell_\d \($", found["grid_row"], re.MULTILINE)) == 5
    assert found.keys() == modules(convert(Grid(8, 9), "grid")).keys()


def test_ports_are_those_of_the_signature_in_its_order():
    found = modules(convert(Grid(2, 2), "grid"))
    assert ports(found["adder"]) == ["clk", "rst", "i", "o", "hold"]
    assert ports(found["grid_row"]) == ["clk", "rst", "i_payload", "i_valid", "i_ready", "o_0", "o_1", "hold"]
    streams = [f"rows_{n}_{port}" for n in range(2) for port in ("payload", "valid", "ready")]
    assert ports(found["grid"]) == ["clk", "rst", *streams, "o_0", "o_1", "clear"]


def test_an_adder_reads_like_this():
    assert convert(Adder(), "adder") == (
        "module adder(clk, rst, i, o, hold);\n"
        "  wire t1;\n"
        "  wire [8:0] t2;\n"
        "  input clk;\n"
        "  wire clk;\n"
        "  input hold;\n"
        "  wire hold;\n"
        "  input [7:0] i;\n"
        "  wire [7:0] i;\n"
        "  reg [7:0] kept = 8'h03;\n"
        "  output [7:0] o;\n"
        "  wire [7:0] o;\n"
        "  input rst;\n"
        "  wire rst;\n"
        "  assign t1 = ~ hold;\n"
        "  assign t2 = i + kept;\n"
        "  always @(posedge clk) begin\n"
        "    if (t1) begin\n"
        "      kept <= i;\n"
        "    end\n"
        "    if (rst) begin\n"
        "      kept <= 8'h03;\n"
        "    end\n"
        "  end\n"
        "  assign o = t2[7:0];\n"
        "endmodule\n"
    )


def test_a_reset_is_added_outside_the_module():
    grid = modules(convert(Grid(2, 2), "grid"))["grid"]
    first, second = re.findall(
        r"^  grid_row(?:_2)? row_\d \(\n    \.clk\(clk\),.*?\);$", grid, re.DOTALL | re.MULTILINE
    )
    assert ".rst(rst)" in first
    assert ".rst(rst)" not in second


def test_a_signal_that_is_no_port_is_refused():
    class Outer(wiring.Component):
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            secret = Signal(8, name="secret")

            class Inner(wiring.Component):
                o: Out(8)

                def elaborate(self, platform):
                    m = Module()
                    m.d.comb += self.o.eq(secret)
                    return m

            m.submodules.inner = inner = Inner()
            m.d.sync += secret.eq(secret + 1)
            m.d.comb += self.o.eq(inner.o)
            return m

    with pytest.raises(ValueError, match="Inner uses signal 'secret' of Outer"):
        convert(Outer(), "outer")


def test_text_does_not_depend_on_the_process():
    code = (
        "from tilewright.hw.scratchpad import Scratchpad; from tilewright.hw.verilog import convert;"
        "print(convert(Scratchpad(words=64, vector=8, units=2), 'scratchpad'))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
