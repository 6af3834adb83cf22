"""How far the integer arithmetic is from ONNX Runtime's float32, operator by operator and for the network.

onnxruntime is needed, at optimization level ORT_DISABLE_ALL: its results differ between levels.
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from .evaluate import evaluate, evaluate_operator
from .ir import Dequantize, Graph, Operator, Tensor
from .onnx import Import
from .onnx_builder import Origin

__all__ = ["Difference", "compare_network", "compare_operators", "has_onnxruntime", "reference_tensors"]

Array = npt.NDArray[Any]
Case = Mapping[str, Array]


@dataclass(frozen=True)
class Difference:
    """One operator, or an output of the network: `largest` difference in steps of the quantization.

    `agree` counts the cases with the same greatest element, of `cases`.
    """

    name: str
    op: str
    elements: int
    different: int
    largest: int
    cases: int
    agree: int

    @property
    def share(self) -> float:
        """Of the elements, those that differ."""
        return self.different / self.elements if self.elements else 0.0


def has_onnxruntime() -> bool:
    """Whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def reference_tensors(model: onnx.ModelProto, names: Iterable[str], cases: Sequence[Case]) -> list[dict[str, Array]]:
    """For each case what ONNX Runtime computes for the tensors `names` of a model."""
    import onnxruntime

    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    inputs = {value.name for value in wider.graph.input}
    outputs = {value.name for value in wider.graph.output}
    wanted = [name for name in dict.fromkeys(names) if name not in inputs]
    wider.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(wider.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [dict(zip(wanted, session.run(wanted, dict(case)), strict=True)) | dict(case) for case in cases]


def compare_operators(found: Import, reference: Sequence[Mapping[str, Array]]) -> list[Difference]:
    """A row for every operator whose result is a tensor of the model, each fed with ONNX Runtime's own operands."""
    rows: dict[str, list[Difference]] = {}
    for case in reference:
        values = {name: tensor.data for name, tensor in found.graph.tensors.items() if tensor.data is not None}
        values |= {name: case[name] for name in found.graph.inputs}
        for operator in found.graph.operators:
            results = evaluate_operator(operator, found.graph.tensors, values)
            for name, result in results.items():
                origin, tensor = found.origins.get(name), found.graph.tensors[name]
                if origin is not None and origin.name in case:
                    theirs = _in_layout(case[origin.name], origin, tensor)
                    rows.setdefault(operator.name, []).append(_difference(operator, result, theirs, found.graph))
                    values[name] = theirs
                else:
                    values[name] = result
    return [_sum(parts) for parts in rows.values()]


def compare_network(found: Import, cases: Sequence[Case], reference: Sequence[Mapping[str, Array]]) -> list[Difference]:
    """A row for every output of the network, from the network's inputs to its end."""
    graph = found.graph
    rows: dict[str, list[Difference]] = {}
    for case, theirs in zip(cases, reference, strict=True):
        values = evaluate(graph, case)
        for name in graph.outputs:
            operator = graph.producer(name)
            if operator is not None and name in theirs:
                rows.setdefault(name, []).append(_difference(operator, values[name], theirs[name], graph))
    return [_sum(parts) for parts in rows.values()]


def _in_layout(array: Array, origin: Origin, tensor: Tensor) -> Array:
    """ONNX Runtime's tensor as the graph has it."""
    moved = array.reshape(origin.shape).transpose(origin.order).reshape(tensor.shape)
    if tensor.dtype == "int8" and moved.dtype == np.uint8:
        return (moved.astype(np.int16) - 128).astype(np.int8)
    if tensor.dtype == "int8" and moved.dtype == np.float32:
        return np.clip(np.rint(moved / np.float32(tensor.scale)) + tensor.zero_point, -128, 127).astype(np.int8)
    return moved.astype(tensor.dtype)


def _difference(operator: Operator, ours: Array, theirs: Array, graph: Graph) -> Difference:
    if isinstance(operator, Dequantize):
        step = graph.tensors[operator.input].scale
        gaps = np.rint(np.abs(ours.astype(np.float64) - theirs) / step)
    else:
        gaps = np.abs(ours.astype(np.float64) - theirs)
    same = bool(ours.size) and int(ours.argmax()) == int(theirs.argmax())
    return Difference(operator.name, operator.kind, ours.size, int((gaps > 0).sum()), int(gaps.max(initial=0)), 1, int(same))


def _sum(parts: Sequence[Difference]) -> Difference:
    first = parts[0]
    return Difference(
        first.name,
        first.op,
        sum(part.elements for part in parts),
        sum(part.different for part in parts),
        max(part.largest for part in parts),
        sum(part.cases for part in parts),
        sum(part.agree for part in parts),
    )
