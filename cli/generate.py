"""`tilewright generate`: Verilog, parameters and a C header of registers."""

from pathlib import Path

import click

from ..hw.generate import TOP, generate
from .files import check_writable, write_files
from .options import output_folder_option, require_target, target_options
from .progress import Steps
from .tables import print_line

__all__ = ["generate_command"]


@click.command("generate", short_help="Verilog, parameter JSON, C header of registers")
@target_options
@output_folder_option
def generate_command(array: str | None, board: str | None, config: Path | None, folder: Path) -> None:
    """Write the accelerator of TARGET into DIR.

    \b
    tilewright.v     the Verilog, one file; top module `tilewright`
    tilewright.json  the parameters, for --config, and the Verilog's SHA-256
    tilewright.h     register offsets, bits and error codes, in C
    """
    params = require_target(array, board, config)
    check_writable(folder / f"{TOP}.v")
    with Steps() as steps:
        steps(f"generating the Verilog of {params.array} (kept for the next time)")
        generated = generate(params)
    files = {
        folder / f"{TOP}.v": generated.verilog.encode(),
        folder / f"{TOP}.json": generated.parameters_json.encode(),
        folder / f"{TOP}.h": generated.header.encode(),
    }
    write_files(files)
    for path, content in files.items():
        print_line(f"{path}  {len(content):,} bytes")
