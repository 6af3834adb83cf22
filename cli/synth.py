"""`tilewright synth`: a board's bitstream, what it takes of the device, and the clock it reaches there."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..examples import digits
from ..hw.boards.catalog import BOARDS
from ..hw.generate import TOP, generate
from ..hw.presets import PRESETS, Preset, find_preset
from ..hw.synth import DEVICES, Design, Funnel, find_tool, flash, synthesize
from ..hw.verilog import convert
from ..mapper.compile import compile_steps
from ..mapper.tflite import read_tflite
from .board import DEFAULT_BAUD
from .errors import CommandError
from .files import Content, check_writable, json_bytes, write_files
from .options import json_option
from .progress import Steps
from .synth_report import area_table, figures_of, markdown
from .tables import Column, print_line, print_table

__all__ = ["synth_command"]

_DEMO = "digits"
_FUNNEL = "funnel"
_LOADER = "openFPGALoader"


@dataclass(frozen=True)
class _Options:
    preset: Preset
    frequency: float
    alone: bool


@click.command("synth", short_help="yosys and nextpnr: a board's bitstream, area and clock")
@click.option("--board", required=True, metavar="NAME", help=f"The board: {', '.join(PRESETS)}.")
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the files.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Place and route so often, each time from another start; the best one counts.",
)
@click.option("--clock", type=click.FloatRange(1, 400), metavar="MHZ", help="The clock, in the place of the board's own.")
@click.option("--alone", is_flag=True, help="The accelerator without the board: no bitstream, area and clock of itself.")
@click.option("--flash", "to_board", is_flag=True, help="Send the bitstream to the board, by openFPGALoader.")
@json_option
def synth_command(
    board: str, folder: Path | None, seeds: int, clock: float | None, alone: bool, to_board: bool, json_path: Path | None
) -> None:
    """Make the bitstream of a board, with its accelerator, memory and serial line, if it reaches its clock.

    \b
    BOARD.bit, .fs     the bitstream
    digits.twp         the demo network, compiled for it
    report.json, .md   lookup tables, registers, blocks, clock, longest path, tools
    design.v and constraints.*   what the tools were given

    With --alone registers and shift chains on four pins stand for memory and host.
    """
    try:
        preset = find_preset(board)
    except ValueError as error:
        raise CommandError(f"--{error}") from None
    if alone and to_board:
        raise CommandError("--alone and --flash: without the board there is no bitstream")
    chosen = _Options(preset, clock or preset.frequency, alone)
    device = DEVICES[preset.device]
    if folder is not None:
        check_writable(folder / "report.json")
    check_writable(json_path)
    loader = find_tool(_LOADER) if to_board else None
    with Steps() as steps:
        steps(f"generating the Verilog of {preset.params.array}")
        design, files, sha256 = _design(chosen)
        if not alone:
            steps(f"compiling {_DEMO} for {preset.params.array}")
            program = compile_steps(read_tflite(digits.MODEL), preset.params).program.to_bytes()
            files[f"{_DEMO}.twp"] = program
            sha256["program"] = hashlib.sha256(program).hexdigest()
        synthesis = synthesize(design, device, seeds=range(1, seeds + 1), step=steps)
    if synthesis.bitstream:
        files[f"{preset.name}{device.bitstream_suffix}"] = synthesis.bitstream
    options = ["--seeds", str(seeds), *(["--clock", f"{clock:g}"] if clock else []), *(["--alone"] if alone else [])]
    what = "accelerator" if alone else "board"
    figures = figures_of(
        preset, device, synthesis, design=what, frequency=chosen.frequency, options=options, sha256=sha256
    )
    files["report.md"] = markdown(figures, sorted(files)).encode()
    files["report.json"] = json_bytes(figures)
    outputs: dict[Path, Content] = {folder / name: content for name, content in files.items()} if folder else {}
    if json_path is not None:
        outputs[json_path] = json_bytes(figures)
    write_files(outputs)
    _print(figures)
    if not alone and not synthesis.bitstream:
        raise CommandError(
            f"no bitstream: {figures['fmax_mhz']:.1f} MHz of {chosen.frequency:g} MHz; give --clock or more --seeds"
        )
    if loader is not None:
        with Steps() as steps:
            steps(f"sending the bitstream to {preset.board}")
            flash(synthesis.bitstream, device.bitstream_suffix, BOARDS[preset.board].loader, loader)
        print_line("the board runs it")


def _design(chosen: _Options) -> tuple[Design, dict[str, bytes], dict[str, str]]:
    """What the tools get; the same as files, and the hashes of what is in it."""
    preset = chosen.preset
    if chosen.alone:
        accelerator = generate(preset.params)
        text = accelerator.verilog + "\n" + convert(Funnel(preset.params, TOP), _FUNNEL)
        design = Design(verilog=text, top=_FUNNEL, frequency=chosen.frequency, array=f"dut.{_array(preset)}")
        return design, {"design.v": text.encode()}, {"accelerator": accelerator.sha256}
    board, device = BOARDS[preset.board], DEVICES[preset.device]
    try:
        text = board.verilog(preset.params, preset.memory_kib, round(1e6 * chosen.frequency), DEFAULT_BAUD)
    except ValueError as error:
        raise CommandError(f"--clock: {str(error).removeprefix('clock_hz: ')}") from None
    design = Design(
        verilog=text, top="top", constraints=board.constraints, frequency=chosen.frequency,
        array=f"board.accelerator.{_array(preset)}", bitstream=True,
    )  # fmt: skip
    files = {"design.v": text.encode(), f"constraints{device.constraints_suffix}": board.constraints.encode()}
    return design, files, {}


def _array(preset: Preset) -> str:
    """The array's place in the accelerator."""
    return "array" if preset.params.compact else "compute.array"


def _print(figures: dict[str, Any]) -> None:
    rows, cols = figures["array"]
    alone = ", the accelerator alone" if figures["design"] == "accelerator" else ""
    print_line(f"{figures['board']}: {rows}x{cols} on {figures['device']}{alone}")
    titles, row = area_table(figures)
    print_table([Column(title, right=True) for title in titles], [row])
    if len(figures["seeds"]) > 1:
        print_line("MHz by seed: " + ", ".join(f"{seed}: {fmax:.1f}" for seed, fmax in figures["seeds"].items()))
    if figures["untimed"]:
        print_line(f"not in the clock: {figures['untimed']}")
    if not figures["timing_met"]:
        print_line("the longest path (ns):", style="yellow")
        for line in figures["critical_path"]:
            print_line(f"  {line}")
