"""What nextpnr reports: the clock that a placement reaches, what it takes of the device, and what limits it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .device import Device

__all__ = ["Place", "read_place"]

_TOTAL_LUT4 = re.compile(r"Total LUT4s:\s+(\d+)/")
_REGISTERS = re.compile(r"(\d+) LCs used as (?:LUT4 and )?DFF")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One seed's place and route. ``fmax`` and ``constraint`` (MHz) are those of the clock that is closest to failing;
    ``cells`` the used ones by kind; ``path`` the longest path of that clock, a step per line."""

    seed: int
    fmax: float
    constraint: float
    cells: dict[str, int]
    path: Sequence[str]

    @property
    def margin(self) -> float:
        """How much faster than asked, as a factor."""
        return self.fmax / self.constraint


def read_place(seed: int, report: str, log: str, device: Device) -> Place:
    """Read nextpnr's JSON report; the LUTs of ECP5 and the registers of iCE40 are only in its log. Raises ``ValueError`` if
    there is no clock.
    """
    values = json.loads(report)
    clocks = values["fmax"]
    if not clocks:
        raise ValueError("nextpnr found no clock")
    clock = min(clocks, key=lambda name: clocks[name]["achieved"] / clocks[name]["constraint"])
    used = {name: count["used"] for name, count in values["utilization"].items()}
    cells = {kind: sum(used.get(name, 0) for name in names) for kind, names in device.cells.items()}
    if total := _TOTAL_LUT4.search(log):
        cells["lut4"] = int(total[1])
    cells["ff"] += sum(map(int, _REGISTERS.findall(log)))
    return Place(
        seed=seed,
        fmax=round(clocks[clock]["achieved"], 2),
        constraint=round(clocks[clock]["constraint"], 2),
        cells=cells,
        path=_longest_path(values["critical_paths"], clock),
    )


def _longest_path(paths: Sequence[dict], clock: str) -> list[str]:
    """Of those inside the clock's domain: delay in ns, logic or routing, and where it goes."""
    inside = [path["path"] for path in paths if clock in path["from"] and clock in path["to"]]
    if not inside:
        return []
    longest = max(inside, key=lambda path: sum(step["delay"] for step in path))
    total = sum(step["delay"] for step in longest)
    steps = [f"{step['delay']:6.2f}  {step['type']:<12}{step['to']['cell']}.{step['to']['port']}" for step in longest]
    return [f"{total:6.2f}  from {longest[0]['from']['cell']}", *steps]
