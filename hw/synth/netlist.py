"""Yosys's netlist between synthesis and place and route: its logic counted, and ends of carry chains cut off."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Netlist"]

_UNDEFINED = "x"


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
