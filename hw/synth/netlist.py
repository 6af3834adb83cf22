"""Yosys's netlist before place and route: its logic counted, ends of carry chains cut off, resets put on global wires, registers
taken into block RAMs."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .floorplan import block_sites

__all__ = ["Netlist"]

_UNDEFINED = "x"
_WIDE = 256  # registers that share a reset worth a global wire


class Netlist:
    """A flat netlist, as Yosys's ``write_json`` leaves it. Raises ``ValueError`` for half a file."""

    def __init__(self, path: Path):
        try:
            self._design: dict[str, Any] = json.loads(path.read_bytes())
            self._modules = [(module["ports"], module["cells"]) for module in self._design["modules"].values()]
        except (ValueError, KeyError):
            raise ValueError("yosys left half a netlist") from None

    def luts(self, instance: str, luts_of: Mapping[str, int]) -> int:
        """Lookup tables of the cells whose names lie in ``instance``; ``luts_of`` says how many a type of cell takes."""
        cells = (item for _, cells in self._modules for item in cells.items())
        return sum(luts_of.get(cell["type"], 0) for name, cell in cells if name.startswith(f"{instance}."))

    def cut_carry_chains(self) -> int:
        """Disconnect carries that nothing depends on, of ECP5's CCU2C; returns how many.

        nextpnr spends two lookup tables at the lower end of a chain whose carry input has a wire or a constant, and two at
        the upper end if its carry output has one, although nothing may read it; Yosys connects both always.
        """
        return sum(_cut(ports, cells) for ports, cells in self._modules)

    def globalize_resets(self) -> int:
        """Put a DCCA, which drives a global wire, behind each net that resets many of ECP5's registers; returns how many.

        nextpnr does so for clocks alone. It takes a global wire to be without delay.
        """
        return sum(_globalize(module) for module in self._design["modules"].values())

    def absorb_output_registers(self) -> int:
        """Take registers behind ECP5's block RAMs into them, where nothing else reads the RAM and each register takes every word;
        returns how many block RAMs.

        Yosys does not. A word comes 5.8 ns after the clock without, by nextpnr's figures, and 1.0 ns with.
        """
        return sum(_absorb(ports, cells) for ports, cells in self._modules)

    def place_blocks(self, array: str, sites: Sequence[Sequence[str]]) -> int:
        """Tell nextpnr where ECP5's multiplier blocks go (`block_sites`); returns how many there are. Raises ``ValueError``."""
        cells = {name: cell for _, cells in self._modules for name, cell in cells.items() if cell["type"] == "MULT18X18D"}
        for name, site in block_sites(cells, array, sites).items():
            cells[name]["attributes"]["BEL"] = site
        return len(cells)

    def write(self, path: Path) -> None:
        """Write it, as ``write_json`` would."""
        path.write_text(json.dumps(self._design))


def _cut(ports: dict[str, Any], cells: dict[str, Any]) -> int:
    read = {bit for port in ports.values() for bit in port["bits"]}
    for cell in cells.values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                read.update(bits)
    count = 0
    for cell in cells.values():
        if cell["type"] != "CCU2C":
            continue
        wires = cell["connections"]
        if wires["COUT"][0] not in read:
            wires["COUT"] = [_UNDEFINED]
            count += 1
        if isinstance(wires["CIN"][0], str) and wires["S0"][0] not in read and not _passes_carry(cell):
            wires["CIN"] = [_UNDEFINED]
            count += 1
    return count


def _passes_carry(cell: dict[str, Any]) -> bool:
    """Whether the carry input of a CCU2C can reach its upper half: it does where the lower half's table is 1."""
    table = int(cell["parameters"]["INIT0"], 2)
    constants = {"0": (0,), "1": (1,)}
    values = [constants.get(cell["connections"][f"{pin}0"][0], (0, 1)) for pin in "ABCD"]
    return any(table >> (a + 2 * b + 4 * c + 8 * d) & 1 for a, b, c, d in itertools.product(*values))


def _absorb(ports: dict[str, Any], cells: dict[str, Any]) -> int:
    readers: dict[Any, list[tuple[str, str]]] = {bit: [("", name)] for name, port in ports.items() for bit in port["bits"]}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    readers.setdefault(bit, []).append((name, port))
    rams = [cell for cell in cells.values() if cell["type"] == "DP16KD"]
    count = 0
    for ram in rams:
        wires = ram["connections"]
        outputs = {port: readers[bits[0]] for port, bits in wires.items() if port.startswith("DO") and bits[0] in readers}
        if any(len(found) > 1 or not _passes_on(cells.get(found[0][0]), found[0][1], wires) for found in outputs.values()):
            continue
        for port, ((name, _),) in outputs.items():
            wires[port] = cells.pop(name)["connections"]["Q"]
        halves = "AB" if int(ram["parameters"]["DATA_WIDTH_B"], 2) == 36 else "B"  # a word of 36 bits is on both ports
        ram["parameters"] |= {f"REGMODE_{half}": "OUTREG" for half in halves}
        wires |= {f"OCE{half}": ["1"] for half in halves}
        count += 1
    return count


def _passes_on(cell: dict[str, Any] | None, port: str, ram: Mapping[str, Any]) -> bool:
    """Whether ``port`` is the input of a register that takes it at each edge of the clock that reads ``ram``, and starts at 0."""
    if cell is None or cell["type"] != "TRELLIS_FF" or port != "DI":
        return False
    wires, parameters = cell["connections"], cell["parameters"]
    free = wires.get("LSR", ["0"]) == ["0"] and parameters["CEMUX"].strip() == "1"
    return free and wires["CLK"] == ram["CLKB"] and parameters["REGSET"] == "RESET" and parameters["CLKMUX"] == "CLK"


def _globalize(module: dict[str, Any]) -> int:
    cells: dict[str, Any] = module["cells"]
    registers = [cell["connections"] for cell in cells.values() if cell["type"] == "TRELLIS_FF"]
    loads = Counter(wires["LSR"][0] for wires in registers if "LSR" in wires and isinstance(wires["LSR"][0], int))
    wide = sorted(bit for bit, count in loads.items() if count >= _WIDE)
    bits = itertools.chain.from_iterable(itertools.chain.from_iterable(cell["connections"].values()) for cell in cells.values())
    free = 1 + max((bit for bit in bits if isinstance(bit, int)), default=0)
    buffered = dict(zip(wide, itertools.count(free)))
    for wires in registers:
        if (bit := wires.get("LSR", [None])[0]) in buffered:
            wires["LSR"] = [buffered[bit]]
    for bit, output in buffered.items():
        cells[f"reset_buffer_{bit}"] = {
            "hide_name": 0, "type": "DCCA", "parameters": {}, "attributes": {},
            "port_directions": {"CLKI": "input", "CE": "input", "CLKO": "output"},
            "connections": {"CLKI": [bit], "CE": ["1"], "CLKO": [output]},
        }  # fmt: skip
    return len(buffered)
