"""`tilewright check`: what of a model maps, what falls back to the host, and what cannot run."""

from pathlib import Path
from typing import Any

import click

from ..hw.params import parse_array
from ..hw.program import Program
from ..mapper.compile import compile_steps
from ..mapper.errors import UnsupportedError
from ..mapper.ir import Graph, Reshape, Unsupported
from ..mapper.legalize import check_operator
from ..mapper.macs import count_macs
from .errors import CommandError
from .files import check_writable, json_bytes, write_files
from .model import is_onnx, open_model
from .options import json_option, model_argument
from .reference import measure, print_differences
from .tables import Column, number, print_line, print_table

__all__ = ["check_command", "survey"]

_ARRAY = "16x16"
_PLACES = ("accelerator", "host", "nowhere")

Row = dict[str, Any]
"""One operator, as the report has it."""


@click.command("check", short_help="what maps, what falls back, what cannot run, and why")
@model_argument
@click.option("--reference", is_flag=True, help="For a .onnx model: measure the difference to ONNX Runtime.")
@click.option(
    "--cases",
    "cases_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The inputs to measure it with, as for `run --input`.  [default: two random cases]",
)
@json_option
def check_command(model: str, reference: bool, cases_path: Path | None, json_path: Path | None) -> None:
    """Say for every operator of MODEL whether it runs on the accelerator or on the host, and why.

    Memory is judged by an accelerator of default sizes, --array 16x16. Exit status 3 if the model cannot run; the
    table then shows all operators that are in the way, and where each of the others could run by itself.
    """
    check_writable(json_path)
    if reference and not is_onnx(Path(model)):
        raise CommandError(f"--reference: {model} is no .onnx file")
    if cases_path is not None and not reference:
        raise CommandError("--cases: only --reference needs them")
    report: dict[str, Any] = {"model": model, "array": [int(side) for side in _ARRAY.split("x")]}
    opened = open_model(model, partial=True)
    notes = list(opened.notes) if isinstance(opened, Graph) else []
    refused = _refusals(opened)
    try:
        rows = survey(opened) if refused and isinstance(opened, Graph) else _judge(opened)
    except UnsupportedError as error:
        rows, refused = survey(opened) if isinstance(opened, Graph) else [], [error]
    report |= {"runs": not refused, "unsupported": [_refusal(error) for error in refused], "layers": rows, "notes": notes}
    if reference and not _refusals(opened):
        report["reference"] = measure(Path(model), cases_path)
    if json_path is not None:
        write_files({json_path: json_bytes(report)})
    if rows:
        _print(rows, notes)
    if "reference" in report:
        print_differences(report["reference"])
    if refused:
        raise refused[0]


def _refusals(opened: Graph | Program) -> list[UnsupportedError]:
    """What nothing here can run, in the model's order."""
    if isinstance(opened, Program):
        return []
    return [
        UnsupportedError(each.original, f"operator {each.index} (tensor {each.output!r})", each.reason, each.hint)
        for each in opened.operators
        if isinstance(each, Unsupported)
    ]


def _refusal(error: UnsupportedError) -> dict[str, str]:
    return {"op": error.operator, "where": error.where, "reason": error.reason, "hint": error.hint}


def _judge(opened: Graph | Program) -> list[Row]:
    """The rows of a model that runs."""
    if isinstance(opened, Program):
        layers, reasons = opened.layers, dict[str, str]()
    else:
        compilation = compile_steps(opened, parse_array(_ARRAY))
        layers, reasons = compilation.program.layers, compilation.moved | dict(compilation.host)
    return [
        {"name": layer.name, "op": layer.op, "where": layer.where, "output": layer.output, "macs": layer.macs}
        | {"fused_into": layer.fused_into, "reason": reasons.get(layer.name)}
        for layer in layers
    ]


def survey(graph: Graph) -> list[Row]:
    """The rows of the report for a model that does not run as a whole: each operator by itself."""
    params = parse_array(_ARRAY)
    rows: list[Row] = []
    for operator in graph.operators:
        where, reason = "accelerator", None
        if isinstance(operator, Unsupported):
            where, reason = "nowhere", operator.reason
        elif isinstance(operator, Reshape):
            where, reason = "host", "it moves no data"
        else:
            try:
                check_operator(operator, graph, params)
            except UnsupportedError as error:
                where, reason = "host", error.reason
        macs = count_macs(operator, graph.tensors)
        rows.append(
            {"name": operator.name, "op": operator.kind, "where": where, "output": operator.output, "macs": macs}
            | {"fused_into": None, "reason": reason}
        )
    folded = {"where": "host", "output": "", "macs": 0, "reason": None}
    rows += [{"name": each.name, "op": each.kind, "fused_into": each.into} | folded for each in graph.folded]
    return sorted(rows, key=lambda row: int(row["name"].split(":")[0]))


def _print(rows: list[Row], notes: list[str]) -> None:
    columns = [Column("layer"), Column("op"), Column("where"), Column("MACs", right=True), Column("why", wraps=True)]
    texts = []
    folded = sum(not row["output"] for row in rows)
    rows = [row for row in rows if row["output"]]
    for row in rows:
        why = row["reason"] or ""
        if row["fused_into"] is not None:
            why = f"fused into {row['fused_into']}"
        texts.append((row["name"].removesuffix(f":{row['op']}"), row["op"], row["where"], number(row["macs"]), why))
    print_table(columns, texts)
    places = [where for where in _PLACES if any(row["where"] == where for row in rows)]
    print_table(
        [Column("op"), *(Column(where, right=True) for where in places), Column("MACs", right=True)],
        [_total(op, places, [row for row in rows if row["op"] == op]) for op in dict.fromkeys(row["op"] for row in rows)],
    )
    for note in notes:
        print_line(f"note: {note}")
    macs = sum(row["macs"] for row in rows)
    here = [row for row in rows if row["where"] == "accelerator"]
    share = 100 * sum(row["macs"] for row in here) / macs if macs else 100.0
    on_host = sum(row["where"] == "host" for row in rows)
    nowhere = len(rows) - len(here) - on_host
    print_line(
        f"{len(here)} of {len(rows)} operators run on the accelerator, {share:.1f} % of {macs:,} MACs; "
        f"{on_host} on the host"
        + (f"; {nowhere} cannot run" if nowhere else "")
        + (f"; {folded} more are folded into these" if folded else "")
    )


def _total(op: str, places: list[str], rows: list[Row]) -> tuple[str, ...]:
    """One line of the counts by kind of operator."""
    counts = [sum(row["where"] == where for row in rows) for where in places]
    return op, *(str(count) if count else "" for count in counts), number(sum(row["macs"] for row in rows))
