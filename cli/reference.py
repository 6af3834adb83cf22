"""`check --reference`: how far a model's integer arithmetic is from ONNX Runtime."""

from pathlib import Path
from typing import Any

import onnx

from ..mapper.ir import Graph, Quantize
from ..mapper.onnx import Import, import_onnx
from ..mapper.onnx_reference import (
    Difference,
    compare_network,
    compare_operators,
    has_onnxruntime,
    reference_tensors,
)
from .errors import CommandError
from .inputs import InputSpec, random_cases, read_cases
from .run import input_spec
from .tables import Column, number, print_line, print_table

__all__ = ["measure", "print_differences"]

_RANDOM_CASES = 2


def measure(path: Path, cases_path: Path | None) -> dict[str, Any]:
    """The report: a row for each operator, fed with ONNX Runtime's own operands, and one for each of the network's outputs.

    Cases are those of a file, or random. Raises `CommandError` without onnxruntime, or if that cannot run the model.
    """
    if not has_onnxruntime():
        raise CommandError("--reference: onnxruntime is not installed; install it with 'pip install onnxruntime'")
    found = import_onnx(path)
    graph = found.graph
    specs = _specs(graph)
    if cases_path is None:
        cases = [case for seed in range(_RANDOM_CASES) for case in random_cases(specs, seed).cases]
    else:
        cases = list(read_cases(cases_path, specs).cases)
    names = [origin.name for origin in found.origins.values()] + list(graph.outputs)
    try:
        reference = reference_tensors(onnx.load(path), names, cases)
    except Exception as error:  # onnxruntime has no common class for its errors.
        reason = " ".join(str(error).split())[:200]
        raise CommandError(f"--reference: onnxruntime cannot run {path}: {reason}") from None
    return _report(found, compare_operators(found, reference), compare_network(found, cases, reference), len(cases))


def _specs(graph: Graph) -> list[InputSpec]:
    quantized = {
        operator.input: graph.tensors[operator.output] for operator in graph.operators if isinstance(operator, Quantize)
    }
    return [input_spec(graph.tensors[name], quantized.get(name)) for name in graph.inputs]


def _report(found: Import, operators: list[Difference], outputs: list[Difference], cases: int) -> dict[str, Any]:
    layers = [
        {"name": row.name, "op": row.op, "elements": row.elements, "different": row.different, "largest": row.largest}
        for row in operators
    ]
    network = [
        {"output": name, "different": row.different, "elements": row.elements, "largest": row.largest, "agree": row.agree}
        for name, row in zip(found.graph.outputs, outputs, strict=False)
    ]
    return {"cases": cases, "operators": layers, "network": network}


def print_differences(report: dict[str, Any]) -> None:
    """The report as tables."""
    numbers = ("elements", "differ", "share", "largest")
    columns = [Column("operator"), Column("op"), *(Column(name, right=True) for name in numbers)]
    rows = [
        (row["name"], row["op"], number(row["elements"]), number(row["different"]), _share(row), str(row["largest"]))
        for row in report["operators"]
    ]
    print_line("Difference to ONNX Runtime in steps of the output, each operator fed with its operands")
    print_table(columns, rows)
    for row in report["network"]:
        print_line(
            f"network, {row['output']}: {row['different']} of {row['elements']} elements differ, by {row['largest']} at most; "
            f"the greatest element agrees in {row['agree']} of {report['cases']} cases"
        )


def _share(row: dict[str, Any]) -> str:
    return f"{100 * row['different'] / row['elements']:.4f} %" if row["elements"] else ""
