"""A netlist before place and route: carry chains, resets, block RAMs; what is changed, and that nothing else is."""

import json

import pytest
from tilewright.hw.synth.netlist import Netlist

INPUTS = ("CIN", *(f"{pin}{half}" for half in range(2) for pin in "ABCD"))
OUTPUTS = ("S0", "S1", "COUT")


def carry(low: int, **bits):
    wires = {port: ["0"] for port in INPUTS} | {port: [900 + n] for n, port in enumerate(OUTPUTS)}
    return {
        "type": "CCU2C",
        "parameters": {"INIT0": f"{low:016b}", "INIT1": f"{0x96AA:016b}"},
        "port_directions": {port: "input" if port in INPUTS else "output" for port in (*INPUTS, *OUTPUTS)},
        "connections": wires | {port: [bit] for port, bit in bits.items()},
    }


def cut(tmp_path, cells, outputs):
    path = tmp_path / "netlist.json"
    ports = {f"o{bit}": {"direction": "output", "bits": [bit]} for bit in outputs}
    path.write_text(json.dumps({"modules": {"top": {"ports": ports, "cells": cells}}}))
    netlist = Netlist(path)
    count = netlist.cut_carry_chains()
    netlist.write(path)
    found = json.loads(path.read_text())["modules"]["top"]["cells"]
    return count, {(name, port) for name, cell in found.items() for port, bits in cell["connections"].items() if bits == ["x"]}


def test_upper_end(tmp_path):
    chain = {
        "low": carry(0x96AA, CIN="1", S0=1, S1=2, COUT=3),
        "high": carry(0x96AA, CIN=3, S0=4, S1=5, COUT=6),
        "used": carry(0x96AA, CIN="1", S0=7, S1=8, COUT=9),
    }
    assert cut(tmp_path, chain, [1, 2, 4, 5, 7, 8, 9]) == (1, {("high", "COUT")})


@pytest.mark.parametrize(
    ("table", "ends", "bits", "needed"),
    [
        (0x0008, [11, 12], {}, False),  # the lower half's table is 1 for A and B, but D is 1
        (0x0008, [11, 12], {"D0": "0"}, True),
        (0x0008, [11, 12], {"D0": 21}, True),
        (0x0008, [11, 12], {"A0": "0", "D0": "0"}, False),
        (0x0008, [10, 11, 12], {}, True),  # its sum is read
        (0x8000, [11, 12], {}, True),  # A, B, C and D
        (0x000F, [11, 12], {}, False),
    ],
)
def test_lower_end(tmp_path, table, ends, bits, needed):
    wires = {"A0": 22, "B0": 23, "C0": "0", "D0": "1", "CIN": "0", "S0": 10, "S1": 11, "COUT": 12} | bits
    if table == 0x8000:
        wires |= {"C0": 24, "D0": 25}
    count, found = cut(tmp_path, {"end": carry(table, **wires)}, ends)
    assert found == (set() if needed else {("end", "CIN")})
    assert count == (not needed)


def test_wide_resets_go_over_global_wires(tmp_path):
    def register(reset):
        wires = {"CLK": [2], "DI": ["0"]} | ({} if reset is None else {"LSR": [reset]})
        return {"type": "TRELLIS_FF", "port_directions": dict.fromkeys(wires, "input"), "connections": wires}

    wide = {f"wide{n}": register(7) for n in range(300)}
    others = {"narrow": register(8), "none": register(None), "constant": register("0")}
    logic = {"type": "LUT4", "port_directions": {"A": "input", "Z": "output"}, "connections": {"A": [7], "Z": [9]}}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"top": {"ports": {}, "cells": wide | others | {"logic": logic}}}}))
    netlist = Netlist(path)
    assert netlist.globalize_resets() == 1
    netlist.write(path)
    cells = json.loads(path.read_text())["modules"]["top"]["cells"]
    (buffer,) = (cell["connections"] for cell in cells.values() if cell["type"] == "DCCA")
    assert buffer["CLKI"] == [7] and buffer["CE"] == ["1"] and buffer["CLKO"] == [10]
    assert all(cells[name]["connections"]["LSR"] == [10] for name in wide)
    assert all(cells[name] == cell for name, cell in others.items())
    assert cells["logic"]["connections"]["A"] == [7]


def _block_ram(width: int, outputs: dict[str, int]):
    wires = {"CLKA": [2], "CLKB": [2], "OCEA": ["0"], "OCEB": ["1"]} | {port: [bit] for port, bit in outputs.items()}
    return {
        "type": "DP16KD",
        "parameters": dict.fromkeys(("DATA_WIDTH_A", "DATA_WIDTH_B"), f"{width:032b}")
        | dict.fromkeys(("REGMODE_A", "REGMODE_B"), "NOREG"),
        "port_directions": {port: "output" if port in outputs else "input" for port in wires},
        "connections": wires,
    }


def _behind(ram: int, output: int, **changes):
    """A register behind bit ``ram``."""
    wires = {"CLK": [2], "DI": [ram], "Q": [output]} | {port: [bit] for port, bit in changes.items() if len(port) < 4}
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"} | {k: v for k, v in changes.items() if len(k) > 3}
    directions = {port: "output" if port == "Q" else "input" for port in wires}
    return {"type": "TRELLIS_FF", "parameters": parameters, "port_directions": directions, "connections": wires}


@pytest.mark.parametrize(("width", "halves"), [(36, "AB"), (18, "B")])
@pytest.mark.parametrize(
    ("others", "absorbed"),
    [
        ({}, True),
        ({"second": _behind(11, 21, CE=5, CEMUX="CE")}, False),
        ({"second": _behind(11, 21, LSR=5)}, False),
        ({"second": _behind(11, 21, REGSET="SET")}, False),
        ({"second": _behind(11, 21, CLK=3)}, False),
        ({"second": _behind(11, 21, CLKMUX="INV")}, False),
        ({"third": _behind(11, 22)}, False),  # two read it
        ({"port": [11]}, False),  # the outside does
        ({"second": _behind(11, 21) | {"type": "LUT4"}}, False),
    ],
)
def test_registers_behind_block_rams(tmp_path, width, halves, others, absorbed):
    cells = {"ram": _block_ram(width, {"DOA0": 10, "DOB3": 11, "DOB4": 12}), "first": _behind(10, 20), "second": _behind(11, 21)}
    cells |= {name: cell for name, cell in others.items() if name != "port"}  # nothing reads bit 12
    ports = {"o": {"direction": "output", "bits": [20, 21, *others.get("port", [])]}}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"top": {"ports": ports, "cells": cells}}}))
    netlist = Netlist(path)
    assert netlist.absorb_output_registers() == absorbed
    netlist.write(path)
    found = json.loads(path.read_text())["modules"]["top"]["cells"]
    if not absorbed:
        assert found == cells
        return
    assert found.keys() == {"ram"}
    wires, parameters = found["ram"]["connections"], found["ram"]["parameters"]
    assert (wires["DOA0"], wires["DOB3"], wires["DOB4"]) == ([20], [21], [12])
    for half in "AB":
        assert parameters[f"REGMODE_{half}"] == ("OUTREG" if half in halves else "NOREG")
        assert wires[f"OCE{half}"] == ["1" if half in halves + "B" else "0"]
