"""What several commands take: the model, the target, and where the figures go."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..hw.params import Parameters, parse_array
from ..hw.presets import PRESETS, find_preset
from .errors import CommandError

__all__ = [
    "NO_TARGET",
    "json_option",
    "model_argument",
    "output_folder_option",
    "read_target",
    "require_target",
    "target_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

NO_TARGET = "no target: give --array RxC, such as --array 16x16, --board NAME, or --config FILE"

model_argument = click.argument("model", metavar="MODEL")
"""A .tflite or .onnx file, a program made by `compile`, or `digits`."""

json_option = click.option(
    "--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures to FILE as JSON."
)

output_folder_option = click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Folder for the files, made if it is missing.",
)


def target_options(command: Command) -> Command:
    """Add the options of TARGET; the command gets `array`, `board` and `config`, for `read_target`."""
    array = click.option(
        "--array", metavar="RxC", help="Array of R rows by C columns, each 4, 8, 16 or 32, at default sizes: 16x16."
    )
    board = click.option("--board", metavar="NAME", help=f"The accelerator that fits a board: {', '.join(PRESETS)}.")
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Parameters of the accelerator: the .json that `generate` writes.",
    )
    return array(board(config(command)))


def read_target(array: str | None, board: str | None, config: Path | None, axi_bits: int | None = None) -> Parameters | None:
    """The parameters that the options of TARGET stand for; None if there were none. Raises `CommandError`."""
    if sum(option is not None for option in (array, board, config)) > 1:
        raise CommandError("--array, --board and --config: give one of them")
    if array is not None:
        try:
            params = parse_array(array)
        except ValueError as error:
            raise CommandError(f"--array {array}: {error}") from None
    elif board is not None:
        try:
            params = find_preset(board).params
        except ValueError as error:
            raise CommandError(f"--{error}") from None
    elif config is not None:
        params = _read_config(config)
    elif axi_bits is not None:
        raise CommandError("--axi-bits: needs --array, --board or --config")
    else:
        return None
    try:
        return params if axi_bits is None else replace(params, axi_bits=axi_bits)
    except ValueError as error:
        raise CommandError(f"--axi-bits: {error}") from None


def require_target(array: str | None, board: str | None, config: Path | None) -> Parameters:
    """As `read_target`, where there must be one."""
    params = read_target(array, board, config)
    if params is None:
        raise CommandError(NO_TARGET)
    return params


def _read_config(path: Path) -> Parameters:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict) and "parameters" in values:  # What `generate` writes has more around them.
            values = values["parameters"]
        return Parameters.from_json(json.dumps(values))
    except OSError as error:
        raise CommandError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise CommandError(f"{path}: not a JSON file of parameters") from None
    except (ValueError, TypeError) as error:
        raise CommandError(f"{path}: {error}") from None
