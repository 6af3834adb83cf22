"""Graphs made operator by operator, with random weights and factors that spread the results over int8."""

from typing import Any

import numpy as np
from tilewright.cli.host_steps import run_steps
from tilewright.hw.params import Parameters
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
from tilewright.sim.interpreter import Interpreter
from tilewright.sim.memory import make_memory

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


def random_layer(seed: int) -> tuple[Graph, Parameters]:
    """A graph of one operator with any shape, and an accelerator."""
    random = np.random.default_rng(seed)
    builder = NetworkBuilder(seed)
    kinds = ("conv", "grouped", "depthwise", "multiplied", "average", "maximum", "matrix", "flat", "add", "twice")
    kind = kinds[random.integers(len(kinds))]
    height, width = (int(size) for size in random.integers(1, 41, 2))
    width = 1 if random.random() < 0.15 else width
    channels = int(random.choice([1, 2, 3, 4, 5, 8, 10, 16, 17, 24, 32, 33, 40, 64, 100]))
    batch = int(random.choice([1, 1, 1, 2, 3]))
    kernel = tuple(int(taps) for taps in random.integers(1, 8, 2))
    stride = tuple(int(step) for step in random.integers(1, 4, 2))
    dilation = tuple(int(step) for step in random.choice([1, 1, 1, 2, 3], 2))
    explicit = tuple(int(size) for size in random.integers(0, 4, 4))
    padding: Any = (SAME, VALID, explicit)[random.integers(3)]
    groups = int(random.integers(1, 5)) if kind == "grouped" else 1
    # A kernel that does not fit is padded until it does.
    if (kernel[0] - 1) * dilation[0] >= height or (kernel[1] - 1) * dilation[1] >= width:
        padding = SAME
    if kind == "grouped":
        channels = groups * int(random.integers(1, 12))
    image = builder.input(batch, height, width, channels)
    options = {"stride": stride, "dilation": dilation, "padding": padding, "bias": bool(random.random() < 0.7)}
    pool_options = {"stride": stride, "padding": SAME if padding == SAME or min(height, width) < 7 else VALID}
    match kind:
        case "conv" | "grouped":
            output = builder.conv(image, groups * int(random.integers(1, 26)), kernel, groups=groups, **options)
        case "depthwise" | "multiplied":
            multiplier = 1 if kind == "depthwise" else int(random.integers(2, 4))
            output = builder.depthwise(image, kernel, multiplier=multiplier, **options)
        case "average":
            output = builder.average(image, kernel, **pool_options)
        case "maximum":
            output = builder.maximum(image, kernel, **pool_options)
        case "matrix":
            output = builder.fully_connected(image, int(random.integers(1, 60)), bias=options["bias"])
        case "flat":
            output = builder.fully_connected(image, int(random.integers(1, 20)), height * width * channels)
        case "add":
            output = builder.add(image, builder.input(batch, height, width, channels))
        case _:
            output = builder.add(image, image)
    return builder.graph(output), _random_parameters(random, 256)


def random_graph(seed: int) -> tuple[Graph, Parameters]:
    """A few operators on small images, wired at random, and an accelerator."""
    random = np.random.default_rng(seed)
    builder = NetworkBuilder(seed)
    height, width = (int(size) for size in random.integers(1, 17, 2))
    shape = (int(random.choice([1, 1, 2])), height, 1 if random.random() < 0.2 else width, int(random.integers(1, 40)))
    live = [builder.input(*shape) for _ in range(int(random.choice([1, 1, 2])))]
    for _ in range(int(random.integers(2, 9))):
        source = live[random.integers(max(0, len(live) - 3), len(live))]
        if len(builder.tensors[source].shape) == 4:
            live += _random_operator(builder, random, source, live)
    if len(live) == len(builder.inputs):
        live.append(builder.maximum(live[0], 1))
    read = {name for operator in builder.operators for name in operator.inputs}
    outputs = [name for name in live if name not in read and name not in builder.inputs]
    if random.random() < 0.4:
        last = builder.tensors[outputs[-1]]
        flat = builder.reshape(last.name, last.size // last.shape[-1], last.shape[-1])
        outputs[-1] = builder.softmax(flat)
    return builder.graph(*outputs), _random_parameters(random, int(random.choice([32, 128, 256])))


def _random_operator(builder: NetworkBuilder, random: np.random.Generator, source: str, live: list[str]) -> list[str]:
    """The tensors that an operator adds, its output last."""
    batch, height, width, channels = builder.tensors[source].shape
    kernel = tuple(int(taps) for taps in random.integers(1, 4, 2))
    stride = tuple(int(step) for step in random.choice([1, 1, 1, 2], 2))
    kinds = ("conv", "pointwise", "depthwise", "average", "maximum", "add", "add", "twice", "matrix", "reshape")
    match kinds[random.integers(len(kinds))]:
        case "conv":
            return [builder.conv(source, int(random.integers(1, 40)), kernel, stride=stride)]
        case "pointwise":
            return [builder.conv(source, channels, 1)]
        case "depthwise":
            return [builder.depthwise(source, 3)]
        case "average":
            return [builder.average(source, kernel, stride=stride, padding=SAME)]
        case "maximum":
            return [builder.maximum(source, kernel, stride=stride, padding=SAME)]
        case "add":
            shape = builder.tensors[source].shape
            others = [name for name in live if builder.tensors[name].shape == shape and name != source]
            other = others[random.integers(len(others))] if others else builder.conv(source, channels, 3)
            operands = (source, other) if random.random() < 0.5 else (other, source)
            return [*([] if others else [other]), builder.add(*operands)]
        case "twice":
            return [builder.add(source, source)]
        case "matrix":
            depth = channels if random.random() < 0.5 else height * width * channels
            return [builder.fully_connected(source, int(random.integers(1, 30)), depth)]
        case _:
            return [builder.reshape(source, batch, width, height, channels)]


def _random_parameters(random: np.random.Generator, kib: int) -> Parameters:
    rows, cols = (int(side) for side in random.choice([4, 8, 16, 32], 2))
    depth = int(random.choice([64, 128, 256, 512]))
    depthwise = bool(random.random() < 0.9)
    return Parameters(rows=rows, cols=cols, accumulator_depth=depth, activation_kib=kib, depthwise=depthwise)


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, Any]:
    """One case."""
    random = np.random.default_rng(seed)
    return {name: random.integers(-128, 128, graph.tensors[name].shape).astype(np.int8) for name in graph.inputs}


def compile_and_compare(graph: Graph, params: Parameters, *, fuse: bool = True, seed: int = 0) -> Program:
    """Compile, look for races, interpret, and compare every tensor on chip and every output with the operators'
    arithmetic.
    """
    program = compile_model(graph, params, fuse=fuse)
    assert [str(hazard) for hazard in find_hazards(program)] == []
    compare(graph, program, random_inputs(graph, seed))
    return program


def compare(graph: Graph, program: Program, inputs: dict[str, Any]) -> None:
    """Do a program's steps, its runs in the interpreter, and compare every tensor on chip and outside."""
    expected = evaluate(graph, inputs)
    seen = []

    def accelerate(number: int, part: Program, values: dict[str, Any]) -> dict[str, Any]:
        result = Interpreter(part, *make_memory(part, values)).run()
        assert set(result.images) == {image.name for image in part.tensors}
        for name, image in result.images.items():
            wanted = expected[name]
            if wanted.dtype == np.uint8:
                wanted = (wanted.astype(np.int16) - 128).astype(np.int8)
            np.testing.assert_array_equal(image.reshape(wanted.shape), wanted, err_msg=name)
        seen.append(number)
        return result.outputs

    values = run_steps(program, inputs, accelerate)
    assert seen == list(range(len(program.runs)))
    assert set(values) >= set(graph.outputs)
    for name, value in values.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
