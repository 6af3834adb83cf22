"""`tilewright generate`: Verilog, parameters and a C header of registers."""

from pathlib import Path

import click

from ..hw.generate import verilog
from ..hw.registers import c_header
from .files import check_writable, write_files
from .options import output_folder_option, require_target, target_options
from .progress import Steps
from .tables import print_line

__all__ = ["generate_command"]


@click.command("generate", short_help="Verilog, parameter JSON, C header of registers")
@target_options
@output_folder_option
def generate_command(array: str | None, config: Path | None, folder: Path) -> None:
    """Write the accelerator of TARGET into DIR.

    \b
    tilewright.v            the Verilog, one file; top module `tilewright`
    tilewright.json         the parameters, for --config
    tilewright_registers.h  register offsets and bits, in C
    """
    params = require_target(array, config)
    check_writable(folder / "tilewright.v")
    with Steps() as steps:
        steps(f"generating Verilog for {params.array}")
        text = verilog(params)
    files = {
        folder / "tilewright.v": text.encode(),
        folder / "tilewright.json": (params.to_json() + "\n").encode(),
        folder / "tilewright_registers.h": c_header(params.fingerprint).encode(),
    }
    write_files(files)
    for path, content in files.items():
        print_line(f"{path}  {len(content):,} bytes")
