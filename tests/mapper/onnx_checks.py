"""Comparison of small ONNX models with ONNX Runtime, and of their programs with the operators."""

import numpy as np
from tilewright.cli.session import Session
from tilewright.hw.params import parse_array
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.ir import Dequantize, Graph
from tilewright.mapper.onnx import read_onnx

from ..onnx_models import QdqBuilder, reference_outputs

SEED = 7


def random_inputs(graph: Graph, seed: int = SEED) -> list[np.ndarray]:
    """Inputs that reach the ends of the quantization behind them, and beyond."""
    random = np.random.default_rng(seed)
    found = []
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if tensor.dtype == "float32":
            (reader,) = (operator for operator in graph.consumers(name) if graph.tensors[operator.output].quantization)
            stored = graph.tensors[reader.output]
            steps = random.uniform(-140, 140, tensor.shape) - stored.zero_point
            found.append((steps * stored.scale).astype(np.float32))
        else:
            limits = np.iinfo(tensor.dtype)
            found.append(random.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True))
    return found


def differences(model: bytes, seed: int = SEED) -> list[np.ndarray]:
    """For each output the differences to ONNX Runtime in steps of its quantization."""
    graph = read_onnx(model)
    inputs = random_inputs(graph, seed)
    values = evaluate(graph, dict(zip(graph.inputs, inputs, strict=True)))
    found = []
    for name, theirs in zip(graph.outputs, reference_outputs(model, inputs), strict=True):
        ours = values[name]
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        operator = graph.producer(name)
        step = graph.tensors[operator.input].scale if isinstance(operator, Dequantize) else 1
        found.append(np.abs(ours.astype(np.float64) - theirs) / step)
        assert np.unique(theirs).size > 3, "the case says nothing: nearly all results are equal"
    return found


def check(builder: QdqBuilder, *outputs: str, exact: bool = False, accelerator: bool = True) -> Graph:
    """At most one step from ONNX Runtime, or none; and the program of the graph computes the same as the graph."""
    model = builder.build(*outputs)
    for gaps in differences(model):
        assert gaps.max() < (0.01 if exact else 1.01), f"{gaps.max()} steps"
    graph = read_onnx(model)
    if accelerator:
        session = Session(graph, parse_array("4x8"))
        assert session.golden(dict(zip(graph.inputs, random_inputs(graph), strict=True))).mismatches == 0
    return graph
