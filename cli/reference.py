"""`check --reference`: how far a model's integer arithmetic is from ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
from .inputs import Array, InputSpec, read_cases
from .tables import Column, number, print_line, print_table

__all__ = ["measure", "print_differences"]

_RANDOM_CASES = 2
_SEED = 1


def measure(path: Path, cases_path: Path | None) -> dict[str, Any]:
    """The report: a row for each operator, fed with ONNX Runtime's own operands, and one for each of the network's outputs.

    Cases are those of a file, or random. Raises `CommandError` without onnxruntime, or if that cannot run the model.
    """
    if not has_onnxruntime():
        raise CommandError("--reference: onnxruntime is not installed; install it with 'pip install onnxruntime'")
    found = import_onnx(path)
    graph = found.graph
    specs = [InputSpec(name, graph.tensors[name].dtype, graph.tensors[name].shape) for name in graph.inputs]
    cases: Sequence[dict[str, Array]]
    cases = _random_cases(graph) if cases_path is None else read_cases(cases_path, specs).cases
    names = [origin.name for origin in found.origins.values()] + list(graph.outputs)
    try:
        reference = reference_tensors(onnx.load(path), names, cases)
    except Exception as error:  # onnxruntime has no common class for its errors.
        reason = " ".join(str(error).split())[:200]
        raise CommandError(f"--reference: onnxruntime cannot run {path}: {reason}") from None
    return _report(found, compare_operators(found, reference), compare_network(found, cases, reference), len(cases))


def _random_cases(graph: Graph) -> list[dict[str, Array]]:
    """Numbers over the whole range that each input's quantization has."""
    random = np.random.default_rng(_SEED)
    return [{name: _random_input(graph, name, random) for name in graph.inputs} for _ in range(_RANDOM_CASES)]


def _random_input(graph: Graph, name: str, random: np.random.Generator) -> Array:
    tensor = graph.tensors[name]
    if tensor.dtype != "float32":
        limits = np.iinfo(tensor.dtype)
        return random.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
    reader = next((operator for operator in graph.consumers(name) if isinstance(operator, Quantize)), None)
    if reader is None:
        return random.standard_normal(tensor.shape).astype(np.float32)
    stored = graph.tensors[reader.output]
    return ((random.uniform(-128, 127, tensor.shape) - stored.zero_point) * stored.scale).astype(np.float32)


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
