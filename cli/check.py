"""`tilewright check`: what of a model maps, what falls back to the host, and what cannot run."""

from pathlib import Path
from typing import Any

import click

from ..hw.params import parse_array
from ..hw.program import LayerInfo, Program
from ..mapper.compile import compile_steps
from ..mapper.errors import UnsupportedError
from ..mapper.ir import Graph
from .files import check_writable, json_bytes, write_files
from .model import open_model
from .options import json_option, model_argument
from .tables import Column, number, print_line, print_table

__all__ = ["check_command"]

_ARRAY = "16x16"


@click.command("check", short_help="what maps, what falls back, what cannot run, and why")
@model_argument
@json_option
def check_command(model: str, json_path: Path | None) -> None:
    """Say for every operator of MODEL whether it runs on the accelerator or on the host, and why.

    Memory is judged by an accelerator of default sizes, --array 16x16. Exit status 3 if the model cannot run.
    """
    check_writable(json_path)
    report: dict[str, Any] = {"model": model, "array": [int(side) for side in _ARRAY.split("x")]}
    try:
        opened = open_model(model)
        layers, reasons = _judge(opened)
    except UnsupportedError as error:
        refusal = {"op": error.operator, "where": error.where, "reason": error.reason, "hint": error.hint}
        _write(json_path, report | {"runs": False, "unsupported": [refusal], "layers": []})
        raise
    rows = [
        {"name": layer.name, "op": layer.op, "where": layer.where, "macs": layer.macs, "fused_into": layer.fused_into}
        | {"reason": reasons.get(layer.name)}
        for layer in layers
    ]
    notes = list(opened.notes) if isinstance(opened, Graph) else []
    _write(json_path, report | {"runs": True, "unsupported": [], "layers": rows, "notes": notes})
    _print(layers, reasons, notes)


def _judge(opened: Graph | Program) -> tuple[tuple[LayerInfo, ...], dict[str, str]]:
    """The rows of the report, and the reasons for what the host runs."""
    if isinstance(opened, Program):
        return opened.layers, {}
    compilation = compile_steps(opened, parse_array(_ARRAY))
    return compilation.program.layers, dict(compilation.network.host)


def _print(layers: tuple[LayerInfo, ...], reasons: dict[str, str], notes: list[str]) -> None:
    columns = [Column("layer"), Column("op"), Column("where"), Column("MACs", right=True), Column("why", wraps=True)]
    rows = []
    for layer in layers:
        why = reasons.get(layer.name, "")
        if layer.fused_into is not None:
            why = f"fused into {layer.fused_into}"
        rows.append((layer.name.removesuffix(f":{layer.op}"), layer.op, layer.where, number(layer.macs), why))
    print_table(columns, rows)
    for note in notes:
        print_line(f"note: {note}")
    on_host = sum(layer.where == "host" for layer in layers)
    macs = sum(layer.macs for layer in layers)
    on_array = sum(layer.macs for layer in layers if layer.where == "accelerator")
    share = 100 * on_array / macs if macs else 100.0
    print_line(
        f"{len(layers) - on_host} of {len(layers)} operators run on the accelerator, {share:.1f} % of {macs:,} MACs; "
        f"{on_host} on the host"
    )


def _write(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        write_files({path: json_bytes(report)})
