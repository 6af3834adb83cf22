"""`tilewright compile`: a model to a program, with a memory map and a listing of the schedule."""

from pathlib import Path

import click

from ..hw.disassemble import disassemble
from ..hw.isa import Base
from ..hw.params import BANKS
from ..hw.program import Program
from ..mapper.compile import compile_steps
from ..mapper.report import schedule_report
from .files import check_writable, write_files
from .model import check_target, open_model
from .options import model_argument, output_folder_option, require_target, target_options
from .progress import Steps
from .tables import print_line

__all__ = ["compile_command", "memory_map"]


@click.command("compile", short_help="program file, memory map, schedule report")
@model_argument
@target_options
@output_folder_option
def compile_command(model: str, array: str | None, board: str | None, config: Path | None, folder: Path) -> None:
    """Compile MODEL for TARGET into DIR.

    \b
    NAME.twp           the program: instructions, weights, tables; `tilewright run NAME.twp` runs it
    NAME.memory.txt    what lies where, in external memory and on chip
    NAME.schedule.txt  layers, their tiles and predicted cycles; the instructions with their tokens
    """
    params = require_target(array, board, config)
    check_writable(folder / "NAME.twp")
    opened = open_model(model)
    if isinstance(opened, Program):
        check_target(model, opened, params)
        program, report = opened, ""
    else:
        with Steps() as steps:
            steps(f"compiling {opened.name} for {params.array}")
            compilation = compile_steps(opened, params)
        program, report = compilation.program, schedule_report(compilation) + "\n"
    name = program.model or Path(model).stem
    files = {
        folder / f"{name}.twp": program.to_bytes(),
        folder / f"{name}.memory.txt": memory_map(program).encode(),
        folder / f"{name}.schedule.txt": (report + disassemble(program)).encode(),
    }
    write_files(files)
    print_line(f"{name} for {params.array}: {len(program)} instructions, {len(program.weights):,} bytes of weights")
    for path, content in files.items():
        print_line(f"  {path}  {len(content):,} bytes")


def memory_map(program: Program) -> str:
    """What lies where: regions of external memory behind their base registers, tensors in them, images on chip."""
    params = program.params
    title = f"{program.model or 'program'} for {params.array}, fingerprint {params.fingerprint:016x}"
    lines = [title, "", "External memory"]
    for base in Base:
        lines.append(f"  {base.name.lower():12}{program.region_bytes(base):>12,} bytes")
        for tensor in (*program.inputs, *program.outputs):
            if tensor.base is base:
                shape = "x".join(map(str, tensor.shape))
                lines.append(f"    +{tensor.offset:#08x}{tensor.nbytes:>12,}  {tensor.dtype} {shape}  {tensor.name}")
    bank_units = params.bank_words * params.units
    lines += [
        "",
        f"On chip: {params.activation_kib} KiB in {BANKS} banks of {bank_units} units of {params.unit} bytes",
        "   bank  address  row step   instructions  shape        tensor",
    ]
    for image in program.tensors:
        alive = f"{image.first_instruction}..{image.last_instruction}"
        shape = "x".join(map(str, image.shape[1:]))
        lines.append(f"  {image.bank:5}  {image.address:7}  {image.row_step:8}  {alive:>13}  {shape:11}  {image.name}")
    return "\n".join(lines) + "\n"
