"""Graphs made operator by operator, with random weights and factors that spread the results over int8."""

from typing import Any

import numpy as np
from tilewright.hw.program import Program
from tilewright.mapper.compile import compile_model
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.ir import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    MaxPool2D,
    Operator,
    Quantization,
    Reshape,
    Softmax,
    Tensor,
)
from tilewright.mapper.requantize import add_factors, softmax_factors
from tilewright.mapper.shapes import output_shape, same_padding
from tilewright.sim.arithmetic import quantize_multiplier
from tilewright.sim.hazards import find_hazards
from tilewright.sim.interpreter import Interpreter, make_memory

SAME = "SAME"
VALID = (0, 0, 0, 0)


class NetworkBuilder:
    """Collects tensors and operators. Methods return the name of the tensor they define."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self.inputs: list[str] = []

    def input(self, *shape: int) -> str:
        self.inputs.append(self._tensor(shape))
        return self.inputs[-1]

    def conv(self, source: str, filters: int, kernel: Any = 3, *, groups: int = 1, **options: Any) -> str:
        kernel = _pair(kernel)
        weights = self._weights((filters, *kernel, self.tensors[source].shape[3] // groups))
        return self._convolution(Conv2D, source, weights, filters, kernel, **options)

    def depthwise(self, source: str, kernel: Any = 3, *, multiplier: int = 1, **options: Any) -> str:
        kernel = _pair(kernel)
        filters = self.tensors[source].shape[3] * multiplier
        weights = self._weights((1, *kernel, filters))
        return self._convolution(DepthwiseConv2D, source, weights, filters, kernel, **options)

    def fully_connected(self, source: str, outputs: int, depth: int | None = None, *, bias: bool = True) -> str:
        depth = depth or self.tensors[source].shape[-1]
        weights = self._weights((outputs, depth))
        factors = self._factors(depth, outputs)
        multipliers, shifts = zip(*map(quantize_multiplier, factors), strict=True)
        return self._operator(
            FullyConnected,
            input=source,
            weights=weights,
            bias=self._bias(outputs) if bias else None,
            scales=tuple(factors),
            multipliers=multipliers,
            shifts=shifts,
            clamp=self._clamp(),
        )

    def add(self, first: str, second: str) -> str:
        scale = self._scale()
        multipliers, shifts = add_factors(self.tensors[first].scale, self.tensors[second].scale, scale)
        return self._operator(
            Add, first=first, second=second, multipliers=multipliers, shifts=shifts, clamp=self._clamp(), scale=scale
        )

    def average(self, source: str, kernel: Any = 2, *, stride: Any = 1, padding: Any = VALID) -> str:
        return self._pool(AveragePool2D, source, kernel, stride, padding)

    def maximum(self, source: str, kernel: Any = 2, *, stride: Any = 1, padding: Any = VALID) -> str:
        return self._pool(MaxPool2D, source, kernel, stride, padding)

    def reshape(self, source: str, *shape: int) -> str:
        return self._operator(Reshape, input=source, shape=shape, zero_point=self.tensors[source].zero_point)

    def softmax(self, source: str) -> str:
        multiplier, shift, least = softmax_factors(1.0, 0.1)
        return self._operator(Softmax, input=source, multiplier=multiplier, shift=shift, diff_min=least)

    def graph(self, *outputs: str) -> Graph:
        return Graph("test", self.tensors, tuple(self.operators), tuple(self.inputs), outputs)

    def _pool(self, kind: type[Operator], source: str, kernel: Any, stride: Any, padding: Any) -> str:
        kernel, stride = _pair(kernel), _pair(stride)
        if padding == SAME:
            padding = same_padding(self.tensors[source].shape[1:3], kernel, stride, (1, 1))
        point = self.tensors[source].zero_point
        return self._operator(
            kind, input=source, kernel=kernel, stride=stride, padding=padding, clamp=self._clamp(), zero_point=point
        )

    def _convolution(
        self,
        kind: type[Operator],
        source: str,
        weights: str,
        filters: int,
        kernel: tuple[int, int],
        *,
        stride: Any = 1,
        dilation: Any = 1,
        padding: Any = SAME,
        bias: bool = True,
    ) -> str:
        stride, dilation = _pair(stride), _pair(dilation)
        if padding == SAME:
            padding = same_padding(self.tensors[source].shape[1:3], kernel, stride, dilation)
        depth = kernel[0] * kernel[1] * (self.tensors[weights].shape[3] if kind is Conv2D else 1)
        factors = self._factors(depth, filters)
        multipliers, shifts = zip(*map(quantize_multiplier, factors), strict=True)
        return self._operator(
            kind,
            input=source,
            weights=weights,
            bias=self._bias(filters) if bias else None,
            stride=stride,
            dilation=dilation,
            padding=padding,
            multipliers=multipliers,
            shifts=shifts,
            clamp=self._clamp(),
        )

    def _operator(
        self, kind: type[Operator], zero_point: int | None = None, scale: float | None = None, **fields: Any
    ) -> str:
        index = len(self.operators)
        operator = kind(index=index, name=f"{index}:{kind.KIND}", output=f"t{len(self.tensors)}", **fields)
        self.operators.append(operator)
        return self._tensor(output_shape(operator, self.tensors), zero_point=zero_point, scale=scale)

    def _tensor(
        self, shape: tuple[int, ...], data: Any = None, zero_point: int | None = None, scale: float | None = None
    ) -> str:
        name = f"t{len(self.tensors)}"
        point = int(self.random.integers(-128, 128)) if zero_point is None else zero_point
        quantization = Quantization((scale or self._scale(),), (0 if data is not None else point,))
        dtype = "int8" if data is None else str(data.dtype)
        self.tensors[name] = Tensor(name, shape, dtype, quantization, data)
        return name

    def _scale(self) -> float:
        return float(np.float32(self.random.uniform(0.01, 0.04)))

    def _weights(self, shape: tuple[int, ...]) -> str:
        return self._tensor(shape, self.random.integers(-128, 128, shape).astype(np.int8))

    def _bias(self, count: int) -> str:
        return self._tensor((count,), self.random.integers(-20000, 20000, count).astype(np.int32))

    def _factors(self, depth: int, count: int) -> list[float]:
        spread = 100 * 74 * np.sqrt(depth)
        return [float(factor) for factor in 60 / spread * self.random.uniform(0.3, 1.5, count)]

    def _clamp(self) -> tuple[int, int]:
        clamps = [(-128, 127), (-128, 127), (-100, 90), (-20, 127)]
        return clamps[self.random.integers(len(clamps))]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, Any]:
    """One case."""
    random = np.random.default_rng(seed)
    return {name: random.integers(-128, 128, graph.tensors[name].shape).astype(np.int8) for name in graph.inputs}


def compile_and_compare(graph: Graph, params: Any, *, fuse: bool = True, seed: int = 0) -> Program:
    """Compile, look for races, interpret, and compare every tensor on chip and every output with the operators' arithmetic."""
    program = compile_model(graph, params, fuse=fuse)
    assert [str(hazard) for hazard in find_hazards(program)] == []
    compare(graph, program, random_inputs(graph, seed))
    return program


def compare(graph: Graph, program: Program, inputs: dict[str, Any]) -> None:
    """Interpret a program and compare. The accelerator's inputs are the graph's, or what the host makes of them."""
    expected = evaluate(graph, inputs)
    memory, bases = make_memory(program, {tensor.name: expected[tensor.name] for tensor in program.inputs})
    result = Interpreter(program, memory, bases).run()
    assert set(result.images) == {image.name for image in program.tensors}
    for name, image in result.images.items():
        np.testing.assert_array_equal(image.reshape(expected[name].shape), expected[name], err_msg=name)
    for name, output in result.outputs.items():
        np.testing.assert_array_equal(output, expected[name], err_msg=name)
