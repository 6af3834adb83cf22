"""The bitstreams of the boards: build some of them, then write bitstreams/README.md over all that are there.

    python bench/bitstreams.py [BOARD ...]

A board that is there already is built by the command in its report, another one with a single seed.
"""

import argparse
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from networks import NETWORKS, models_folder
from tilewright.cli.board import BOARD_MEMORY
from tilewright.cli.synth_report import area_table
from tilewright.host.driver import MemoryMap
from tilewright.hw.presets import PRESETS, find_preset
from tilewright.mapper.compile import compile_model
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.cycles import predict

FOLDER = Path(__file__).parents[1] / "bitstreams"

HEAD = """# Bitstreams

Made by `python bench/bitstreams.py`. One folder per preset: the bitstream, its report with the command that rebuilds it, and the
demo network's program (`digits.twp`). LUT4, registers and blocks are nextpnr's counts of the whole board design (accelerator,
memory, serial line) after packing; the array's LUT4 per MAC are those of its cells in Yosys's netlist. The same tools, sources
and seed give the same bytes; the command also writes `design.v`, half a megabyte that is left out here. No bitstream was tried
on a board yet.

"""

TIMES = """
## MLPerf Tiny

Milliseconds for an inference at the reported Fmax, by the cycle model (equal to RTL on every layer of these networks), with the
board's own memory in block RAM; the bitstream's own clock, which its PLL makes, is the target. Not measured on a board. A dash:
the network does not fit into that memory, or into the activation memory. The softmax and reshapes at the end run on the host
and are not in these times. fpgaConvNet, a closed generator, in MLPerf Tiny's closed division, measured, on ZC706 and ZedBoard:
resnet8 0.147 and 0.411 ms, vww 0.720 and 9.49 ms, kws 0.324 ms on ZedBoard.

"""


def build(name: str) -> None:
    """Run `tilewright synth`; a clock that is missed leaves a report without a bitstream. Exits for an unknown name."""
    if name not in PRESETS:
        raise SystemExit(f"error: {name!r} is not one of {', '.join(PRESETS)}")
    report = FOLDER / name / "report.json"
    command = f"tilewright synth --board {name}"
    if report.is_file():
        command = json.loads(report.read_text())["command"]
    subprocess.run([*shlex.split(command), "-o", str(FOLDER / name)], check=False)
    (FOLDER / name / "design.v").unlink(missing_ok=True)


def milliseconds(report: dict[str, Any]) -> list[str]:
    """A cell for each network."""
    preset = find_preset(report["board"])
    cells = []
    for network in NETWORKS:
        try:
            program = compile_model(read_tflite(models_folder() / f"{network.file}.tflite"), preset.params)
        except UnsupportedError:
            cells.append("-")
            continue
        # A compact accelerator's memory is its own, and the mapper has seen to it.
        fits = preset.params.compact or MemoryMap.of(program).end <= 1024 * preset.memory_kib
        made = fits and report["timing_met"]
        cells.append(f"{predict(program, BOARD_MEMORY.model).total / report['fmax_mhz'] / 1e3:.2f}" if made else "-")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description="Bitstreams and their table.")
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=f"to build: {', '.join(PRESETS)}")
    for name in parser.parse_args().boards:
        build(name)
    reports = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*/report.json"))]
    table = [["board", "device", "array", *area_table(reports[0])[0], "bitstream"]] if reports else []
    for report in reports:
        array = "x".join(map(str, report["array"]))
        made = f"[{report['board']}]({report['board']}/report.md)"
        table.append([made, report["device"], array, *area_table(report)[1], "yes" if report["timing_met"] else "no: too slow"])
    times = [["board", "Fmax, MHz", *(network.name for network in NETWORKS)]]
    times += [[report["board"], f"{report['fmax_mhz']:.1f}", *milliseconds(report)] for report in reports]
    text = HEAD + _table(table) + TIMES + _table(times) if reports else HEAD + "None is built yet.\n"
    (FOLDER / "README.md").write_text(text)


def _table(rows: list[list[str]]) -> str:
    rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
