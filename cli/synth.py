"""`tilewright synth`: what an accelerator takes of a device, and the clock it reaches there."""

import shlex
from pathlib import Path
from typing import Any

import click

from ..hw.generate import TOP, generate
from ..hw.presets import PRESETS, Preset, find_preset
from ..hw.synth import DEVICES, Design, Device, Funnel, Synthesis, synthesize
from ..hw.verilog import convert
from .errors import CommandError
from .files import check_writable, json_bytes, write_files
from .options import json_option
from .progress import Steps
from .tables import Column, number, print_line, print_table

__all__ = ["synth_command"]

_FUNNEL = "funnel"


@click.command("synth", short_help="yosys and nextpnr: area and clock on a board's device")
@click.option("--board", required=True, metavar="NAME", help=f"The board: {', '.join(PRESETS)}.")
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the Verilog and the figures."
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Place and route so often, each time from another start; the best one counts.",
)
@json_option
def synth_command(board: str, folder: Path | None, seeds: int, json_path: Path | None) -> None:
    """Place and route the accelerator of a board on its device: lookup tables, registers, blocks, clock, longest path.

    The accelerator is alone on the device: registers and shift chains on four pins stand for the memory and the host.
    """
    try:
        preset = find_preset(board)
    except ValueError as error:
        raise CommandError(f"--{error}") from None
    device = DEVICES[preset.device]
    outputs = {"design": folder / "design.v", "figures": folder / "synth.json"} if folder else {}
    check_writable(*outputs.values(), json_path)
    with Steps() as steps:
        steps(f"generating the Verilog of {preset.params.array} (kept for the next time)")
        accelerator = generate(preset.params)
        funnel = convert(Funnel(preset.params, TOP), _FUNNEL)
        design = Design(verilog=accelerator.verilog + "\n" + funnel, top=_FUNNEL, frequency=preset.frequency)
        synthesis = synthesize(design, device, seeds=range(1, seeds + 1), step=steps)
    figures = _figures(preset, device, synthesis, accelerator.sha256, seeds)
    files = {outputs["design"]: design.verilog.encode(), outputs["figures"]: json_bytes(figures)} if outputs else {}
    if json_path is not None:
        files[json_path] = json_bytes(figures)
    write_files(files)
    _print(figures)


def _figures(preset: Preset, device: Device, synthesis: Synthesis, verilog_sha256: str, seeds: int) -> dict[str, Any]:
    best = synthesis.places[0]
    params = preset.params
    return {
        "board": preset.name,
        "device": device.name,
        "array": [params.rows, params.cols],
        "design": "accelerator",
        "target_mhz": preset.frequency,
        "fmax_mhz": best.fmax,
        **best.cells,
        "lut4_per_mac": round(best.cells["lut4"] / (params.rows * params.cols), 1),
        "seeds": {str(place.seed): place.fmax for place in sorted(synthesis.places, key=lambda place: place.seed)},
        "untimed": device.untimed,
        "critical_path": list(best.path),
        "tools": {name: tool.version for name, tool in synthesis.tools.items()},
        "sha256": {"accelerator": verilog_sha256, **synthesis.sha256},
        "command": shlex.join(["tilewright", "synth", "--board", preset.name, "--seeds", str(seeds)]),
    }


def _print(figures: dict[str, Any]) -> None:
    rows, cols = figures["array"]
    print_line(f"{figures['board']}: {rows}x{cols} on {figures['device']}, the accelerator alone")
    columns = [Column(title, right=True) for title in ("LUT4", "per MAC", "registers", "DSP", "block RAM", "MHz", "target")]
    counts = [number(figures[kind]) for kind in ("ff", "dsp", "bram")]
    clock = [f"{figures['fmax_mhz']:.1f}", f"{figures['target_mhz']:.1f}"]
    print_table(columns, [[number(figures["lut4"]), f"{figures['lut4_per_mac']}", *counts, *clock]])
    if len(figures["seeds"]) > 1:
        print_line("MHz by seed: " + ", ".join(f"{seed}: {fmax:.1f}" for seed, fmax in figures["seeds"].items()))
    if figures["untimed"]:
        print_line(f"not in the clock: {figures['untimed']}")
    if figures["fmax_mhz"] < figures["target_mhz"]:
        print_line("the longest path (ns):", style="yellow")
        for line in figures["critical_path"]:
            print_line(f"  {line}")
