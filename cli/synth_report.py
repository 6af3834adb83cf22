"""What `synth` found out: the figures for scripts, and their page for people."""

import shlex
from collections.abc import Sequence
from typing import Any

from ..hw.presets import Preset
from ..hw.synth import Device, Synthesis

__all__ = ["area_table", "figures_of", "markdown"]


def figures_of(
    preset: Preset, device: Device, synthesis: Synthesis, *,
    design: str, frequency: float, options: Sequence[str], sha256: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """The figures as JSON. ``design`` is ``board`` or ``accelerator``, ``options`` the command's, ``sha256`` those of
    further files."""
    best = synthesis.places[0]
    params = preset.params
    macs = params.rows * params.cols
    return {
        "board": preset.name,
        "device": device.name,
        "array": [params.rows, params.cols],
        "design": design,
        "target_mhz": frequency,
        "fmax_mhz": best.fmax,
        "timing_met": best.margin >= 1,
        **best.cells,
        "lut4_per_mac": round(best.cells["lut4"] / macs, 1),
        "array_lut4": synthesis.array_lut4,
        "array_lut4_per_mac": round(synthesis.array_lut4 / macs, 1),
        "seeds": {str(place.seed): place.fmax for place in sorted(synthesis.places, key=lambda place: place.seed)},
        "seeds_unrouted": list(synthesis.unrouted),
        "untimed": device.untimed,
        "critical_path": list(best.path),
        "tools": {name: tool.version for name, tool in synthesis.tools.items()},
        "sha256": {**sha256, **synthesis.sha256},
        "command": shlex.join(["tilewright", "synth", "--board", preset.name, *options]),
    }


def area_table(figures: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Titles and one row: what the design takes, and its clock."""
    titles = ["LUT4", "per MAC", "array's per MAC", "registers", "DSP", "block RAM", "MHz", "target"]
    counts = [f"{figures[kind]:,}" for kind in ("ff", "dsp", "bram")]
    per_mac = [str(figures["lut4_per_mac"]), str(figures["array_lut4_per_mac"])]
    clock = [f"{figures['fmax_mhz']:.1f}", f"{figures['target_mhz']:.1f}"]
    return titles, [f"{figures['lut4']:,}", *per_mac, *counts, *clock]


def markdown(figures: dict[str, Any], files: Sequence[str]) -> str:
    """The page beside the bitstream, which names the ``files`` there."""
    rows, cols = figures["array"]
    titles, row = area_table(figures)
    what = {"board": "The whole design", "accelerator": "The accelerator alone"}[figures["design"]]
    seeds = [f"{seed}: {fmax:.1f} MHz" for seed, fmax in figures["seeds"].items()]
    seeds += [f"{seed}: not routed" for seed in figures["seeds_unrouted"]]
    lines = [
        f"# {figures['board']}: {rows}x{cols} on {figures['device']}",
        "",
        f"{what}, after place and route; the array's LUT4 in the netlist, before packing.",
        "",
        f"| {' | '.join(titles)} |",
        f"|{'---:|' * len(titles)}",
        f"| {' | '.join(row)} |",
        "",
        f"Fmax by seed: {', '.join(seeds)}.",
    ]
    if not figures["timing_met"]:
        lines += ["", f"**The clock of {figures['target_mhz']:g} MHz is missed: there is no bitstream.**"]
    if figures["untimed"]:
        lines += ["", f"Not in the clock: {figures['untimed']}."]
    lines += ["", "The longest path, in ns:", "", "```", *figures["critical_path"], "```", "", "Made by", "", "```"]
    lines += [figures["command"], "```", ""]
    lines += ["with " + ", ".join(f"{name} {version}".strip() for name, version in figures["tools"].items()) + ".", ""]
    lines += [f"- `{name}`" + (f": SHA-256 {figures['sha256'][kind]}" if kind else "") for name, kind in map(_kind, files)]
    return "\n".join(lines) + "\n"


def _kind(name: str) -> tuple[str, str]:
    """The file, and under which name its hash stands."""
    suffix = name.rpartition(".")[2]
    return name, {"v": "verilog", "twp": "program", "bit": "bitstream", "fs": "bitstream", "bin": "bitstream"}.get(suffix, "")
