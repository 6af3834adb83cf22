"""Random layers through the whole chain: LiteRT's reference kernels, mapper, interpreter, cycle model, RTL.

Run by `make random N=200 SEED=1`. Layer n of a seed is always the same, and `--only n` runs it alone. Ends with status 1 if
any tensor differs, or if a layer that fits on chip was refused.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import sys
import traceback

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from models import NONE, RELU, RELU6, SAME, VALID, ModelBuilder, reference_tensors
from rich.console import Console
from rich.progress import Progress
from tilewright.cli.session import Session
from tilewright.hw.params import Parameters
from tilewright.hw.presets import find_preset
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.rtl import MemoryOptions


def _name(params: Parameters) -> str:
    return params.array if params.parts == 1 else f"{params.array}/{params.lanes}"


CONFIGURATIONS = (
    Parameters(rows=4, cols=4),
    Parameters(rows=4, cols=8, axi_bits=32, accumulator_depth=128),
    Parameters(rows=8, cols=4, axi_bits=128),
    Parameters(rows=8, cols=8, accumulator_depth=64),
    Parameters(rows=4, cols=16, activation_kib=256),
    Parameters(rows=16, cols=4, axi_bits=64),
    Parameters(rows=8, cols=16),
    Parameters(rows=16, cols=8, weight_fifo_bytes=1024, axi_bits=32),
    Parameters(rows=16, cols=16),
    Parameters(rows=8, cols=8, lanes=4, pooling=False, axi_bits=32),
    Parameters(rows=8, cols=16, lanes=4, pixel_buses=2, pooling=False, accumulator_depth=64),
    Parameters(rows=16, cols=4, lanes=2, pixel_buses=3, pooling=False, accumulator_depth=256),
)
NAMED = {_name(params): params for params in CONFIGURATIONS} | {
    board: find_preset(board).params for board in ("icebreaker", "orangecrab-25f", "tang-primer-20k")
}
MAC_CYCLES = 60_000
"""A layer's MACs over the array's: images shrink until they are within it, so that a run takes seconds."""

KINDS = (
    "conv", "depthwise", "fully connected", "add", "conv + add", "average pool", "max pool", "conv + max pool",
    "conv + average pool", "depthwise + max pool", "conv + add + average pool",
)  # fmt: skip
SHARES = (0.3, 0.15, 0.1, 0.07, 0.07, 0.06, 0.06, 0.08, 0.05, 0.03, 0.03)


@dataclasses.dataclass
class Layer:
    """A model of one layer, its input, and what was drawn, by name."""

    model: bytes
    inputs: list[np.ndarray]
    drawn: dict[str, object]


@dataclasses.dataclass
class Outcome:
    """What became of a layer: ``exact``, ``refused`` (too large), or a failure with its reason."""

    number: int
    drawn: dict[str, object]
    status: str
    detail: str = ""
    cycles: int = 0
    predicted: int = 0


class Draw:
    """One layer's random choices."""

    def __init__(self, seed: int, number: int, array: str | None = None):
        self.rng = np.random.default_rng([seed, number])
        self.params = CONFIGURATIONS[self.rng.integers(len(CONFIGURATIONS))]
        if array is not None:
            self.params = NAMED[array]
        self.memory = MemoryOptions(
            latency=int(self.rng.choice([1, 5, 20, 50, 100])), bandwidth=int(self.rng.choice([100, 100, 70, 40]))
        )
        self.drawn: dict[str, object] = {"array": array or self.params.array, "latency": self.memory.latency}

    def pick(self, name: str, low: int, high: int) -> int:
        self.drawn[name] = int(self.rng.integers(low, high + 1))
        return self.drawn[name]

    def channels(self, name: str) -> int:
        """1 to 100, mostly no multiple of the array; few channels more often than their share."""
        return self.pick(name, 1, 5) if self.rng.random() < 0.2 else self.pick(name, 1, 100)

    def zero_point(self, name: str) -> int:
        low, high = (-128, 127) if self.rng.random() < 0.8 else self.rng.choice([[-128, -128], [127, 127]])
        return self.pick(name, low, high)

    def scale(self) -> float:
        return float(np.exp2(self.rng.uniform(-9, 1)))

    def image(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-128, 128, shape).astype(np.int8)

    def layer(self) -> Layer:
        kind = str(self.rng.choice(KINDS, p=SHARES))
        self.drawn["kind"] = kind
        builder = ModelBuilder()
        match kind:
            case "fully connected":
                inputs, output = self._fully_connected(builder)
            case "add":
                shape = (1, self.pick("height", 1, 40), self.pick("width", 1, 40), self.pick("depth", 1, 30))
                tensors = [builder.input(shape, self.scale(), self.zero_point(f"zero_point_{n}")) for n in range(2)]
                output = self._add(builder, *tensors, shape)
                inputs = [self.image(*shape), self.image(*shape)]
            case "average pool" | "max pool":
                inputs, output = self._pool(builder, kind)
            case _:
                inputs, output = self._convolution(builder, kind)
        return Layer(builder.build(output), inputs, self.drawn)

    def _window(self, depth: int, filters: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int, tuple[int, int]]:
        """Image size, kernel, stride, padding and output size."""
        kernel = self.pick("kernel_y", 1, 7), self.pick("kernel_x", 1, 7)
        stride = self.pick("stride_y", 1, 3), self.pick("stride_x", 1, 3)
        size = [self.pick("height", 1, 40), self.pick("width", 1, 40)]
        array = self.params.rows * self.params.cols
        while size[0] * size[1] * kernel[0] * kernel[1] * depth * filters / (stride[0] * stride[1] * array) > MAC_CYCLES:
            size[int(size[1] > size[0])] //= 2
        self.drawn["height"], self.drawn["width"] = size
        padding = SAME if self.rng.random() < 0.6 else VALID
        if any(length < taps for length, taps in zip(size, kernel, strict=True)):
            padding = SAME
        self.drawn["padding"] = "SAME" if padding == SAME else "VALID"
        places = [
            -(-length // step) if padding == SAME else (length - taps) // step + 1
            for length, step, taps in zip(size, stride, kernel, strict=True)
        ]
        return tuple(size), kernel, stride, padding, tuple(places)

    def _factors(self, count: int) -> np.ndarray:
        """Weight scales that make left and right shifts: effective factors from 2**-20 to 2**2."""
        top = self.rng.choice([2, 0, -4, -8, -12])
        factors = np.exp2(top - self.rng.uniform(0, 8, count if self.rng.random() < 0.8 else 1))
        shifts = np.frexp(factors)[1]
        self.drawn |= {"shift_low": int(shifts.min()), "shift_high": int(shifts.max())}
        return factors

    def _convolution(self, builder: ModelBuilder, kind: str) -> tuple[list[np.ndarray], int]:
        rng = self.rng
        depthwise = kind.startswith("depthwise")
        depth = self.channels("depth")
        multiplier = self.pick("multiplier", 1, 3) if depthwise and rng.random() < 0.25 else 1
        filters = depth * multiplier if depthwise else self.channels("filters")
        size, kernel, stride, padding, places = self._window(depth if not depthwise or multiplier > 1 else 1, filters)
        shape, output_shape = (1, *size, depth), (1, *places, filters)
        input_scale, output_scale = self.scale(), self.scale()
        image = builder.input(shape, input_scale, self.zero_point("zero_point_in"))
        weights = self.image(1, *kernel, filters) if depthwise else self.image(filters, *kernel, depth)
        scales = (self._factors(filters) * output_scale / input_scale).astype(np.float32)
        tensors = [image, builder.constant(weights, scales, axis=3 if depthwise else 0)]
        biased = not depthwise or rng.random() < 0.7  # LiteRT wants a bias for CONV_2D
        self.drawn["bias"] = biased and (depthwise or rng.random() < 0.7)
        if biased:
            bias = rng.integers(-(1 << 16), 1 << 16, filters) * bool(self.drawn["bias"])
            tensors.append(builder.constant(bias.astype(np.int32), 1.0))
        activation = rng.choice([NONE, RELU, RELU6])
        output = builder.tensor(output_shape, output_scale, self.zero_point("zero_point_out"))
        options = dict(padding=padding, strideH=stride[0], strideW=stride[1], fusedActivationFunction=activation)
        if depthwise:
            chosen = schema.DepthwiseConv2DOptionsT(**options, depthMultiplier=multiplier)
            builder.operator("DEPTHWISE_CONV_2D", tensors, output, chosen)
        else:
            builder.operator("CONV_2D", tensors, output, schema.Conv2DOptionsT(**options))
        inputs = [self.image(*shape)]
        result_scale, result_point = output_scale, self.drawn["zero_point_out"]
        if "add" in kind:
            other = builder.input(output_shape, self.scale(), self.zero_point("zero_point_other"))
            inputs.append(self.image(*output_shape))
            result_scale = self.scale()
            operands = (output, other) if rng.random() < 0.5 else (other, output)
            output = self._add(builder, *operands, output_shape, result_scale)
            result_point = self.drawn["zero_point_sum"]
        if "pool" in kind:
            output = self._pool_behind(builder, kind, output, output_shape, result_scale, result_point)
        return inputs, output

    def _pool_behind(
        self, builder: ModelBuilder, kind: str, source: int, shape: tuple[int, ...], scale: float, zero_point: object
    ) -> int:
        """A pool of all of a tensor, or of windows side by side."""
        _, *size, depth = shape
        window = size
        if "max" in kind and self.rng.random() < 0.9:
            most = [min(length, 4) for length in size]
            window = [self.pick("pool_y", 1, most[0]), self.pick("pool_x", 1, most[1])]
        places = [length // step for length, step in zip(size, window, strict=True)]
        output = builder.tensor((1, *places, depth), scale, zero_point)
        options = schema.Pool2DOptionsT(
            padding=VALID, strideH=window[0], strideW=window[1], filterHeight=window[0], filterWidth=window[1],
            fusedActivationFunction=self.rng.choice([NONE, NONE, RELU]),
        )  # fmt: skip
        return builder.operator("MAX_POOL_2D" if "max" in kind else "AVERAGE_POOL_2D", [source], output, options)

    def _add(
        self, builder: ModelBuilder, first: int, second: int, shape: tuple[int, ...], scale: float | None = None
    ) -> int:
        output = builder.tensor(shape, scale or self.scale(), self.zero_point("zero_point_sum"))
        options = schema.AddOptionsT(fusedActivationFunction=self.rng.choice([NONE, RELU]))
        return builder.operator("ADD", [first, second], output, options)

    def _fully_connected(self, builder: ModelBuilder) -> tuple[list[np.ndarray], int]:
        depth = self.channels("depth") * self.pick("parts", 1, 12)
        filters, rows = self.channels("filters"), self.pick("batch", 1, 3)
        input_scale, output_scale = self.scale(), self.scale()
        factors = self._factors(filters)
        scales = (factors * output_scale / input_scale).astype(np.float32)
        tensors = [
            builder.input((rows, depth), input_scale, self.zero_point("zero_point_in")),
            builder.constant(self.image(filters, depth), scales, axis=0),
        ]
        self.drawn["bias"] = bool(self.rng.random() < 0.6)
        if self.drawn["bias"]:
            bias_scale = np.float32(input_scale) * scales[0]
            tensors.append(builder.constant(self.rng.integers(-4096, 4096, filters).astype(np.int32), bias_scale))
        output = builder.tensor((rows, filters), output_scale, self.zero_point("zero_point_out"))
        options = schema.FullyConnectedOptionsT(fusedActivationFunction=self.rng.choice([NONE, RELU]))
        return [self.image(rows, depth)], builder.operator("FULLY_CONNECTED", tensors, output, options)

    def _pool(self, builder: ModelBuilder, kind: str) -> tuple[list[np.ndarray], int]:
        depth = self.channels("depth")
        size, kernel, stride, padding, places = self._window(1, depth)
        scale, zero_point = self.scale(), self.zero_point("zero_point_in")
        image = builder.input((1, *size, depth), scale, zero_point)
        output = builder.tensor((1, *places, depth), scale, zero_point)
        options = schema.Pool2DOptionsT(
            padding=padding, strideH=stride[0], strideW=stride[1], filterHeight=kernel[0], filterWidth=kernel[1],
            fusedActivationFunction=self.rng.choice([NONE, RELU]),
        )  # fmt: skip
        builder.operator("AVERAGE_POOL_2D" if kind == "average pool" else "MAX_POOL_2D", [image], output, options)
        return [self.image(1, *size, depth)], output


def build(params: Parameters) -> None:
    """Have the simulator of a configuration in the cache, by running the smallest layer on it."""
    builder = ModelBuilder()
    image = builder.input((1, 1, 1, 1), 1.0)
    options = schema.Pool2DOptionsT(padding=VALID, strideH=1, strideW=1, filterHeight=1, filterWidth=1)
    model = builder.build(builder.operator("AVERAGE_POOL_2D", [image], builder.tensor((1, 1, 1, 1), 1.0), options))
    graph = read_tflite(model)
    Session(graph, params).rtl({graph.inputs[0]: np.zeros((1, 1, 1, 1), np.int8)})


def run(seed: int, number: int, array: str | None) -> Outcome:
    """Draw a layer and take it through everything."""
    draw = Draw(seed, number, array)
    try:
        layer = draw.layer()
        expected = reference_tensors(layer.model, layer.inputs)
        graph = read_tflite(layer.model)
        reference = dict(zip(graph.tensors, expected, strict=True))
        try:
            session = Session(graph, draw.params, memory=draw.memory)
        except UnsupportedError as error:
            too_large = "KiB" in error.reason
            return Outcome(number, draw.drawn, "refused" if too_large else "FAILED", str(error))
        hosted = [row.op for row in session.program.layers if row.where == "host"]
        case = session.rtl(dict(zip(graph.inputs, layer.inputs, strict=True)))
        wrong = sum(int((case.values[name] != reference[name]).sum()) for name in graph.outputs)
        assert case.runs is not None
        outcome = Outcome(number, draw.drawn, "exact", "", case.cycles, session.prediction.total)
        if wrong or case.mismatches:
            return dataclasses.replace(outcome, status="FAILED", detail=f"{wrong} differ from LiteRT, {case.differences}")
        if hosted:
            return dataclasses.replace(outcome, status="host", detail=", ".join(hosted))
        return outcome
    except Exception:
        return Outcome(number, draw.drawn, "FAILED", traceback.format_exc())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="layers (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the whole run (default 1)")
    parser.add_argument("--only", type=int, help="run this layer alone")
    parser.add_argument(
        "--array", choices=NAMED, metavar="RxC", help="only on this array, or a board's (default: a random array)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    arguments = parser.parse_args()
    numbers = list(range(arguments.count)) if arguments.only is None else [arguments.only]
    needed = {Draw(arguments.seed, number, arguments.array).params for number in numbers}
    outcomes = []
    console = Console(width=100, highlight=False)
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool, Progress(console=console) as progress:
        builds = progress.add_task("simulators", total=len(needed))
        for future in concurrent.futures.as_completed([pool.submit(build, p) for p in NAMED.values() if p in needed]):
            future.result()
            progress.advance(builds)
        layers = progress.add_task("layers", total=len(numbers))
        futures = [pool.submit(run, arguments.seed, number, arguments.array) for number in numbers]
        for future in concurrent.futures.as_completed(futures):
            outcome = future.result()
            outcomes.append(outcome)
            progress.advance(layers)
            if outcome.status == "FAILED":
                console.print(f"layer {outcome.number}: {outcome.drawn}\n{outcome.detail}", markup=False)
                again = f"--seed {arguments.seed} --only {outcome.number} --array {outcome.drawn['array']}"
                console.print(f"  again: python tests/random_layers.py {again}")

    counts = collections.Counter(outcome.status for outcome in outcomes)
    ranges: dict[str, set[object]] = collections.defaultdict(set)
    for outcome in outcomes:
        if outcome.status != "refused":
            for name, value in outcome.drawn.items():
                ranges[name].add(value)
    print("covered:")
    for name, values in sorted(ranges.items()):
        numeric = all(type(value) is int for value in values)
        print(f"  {name}: {f'{min(values)} to {max(values)}' if numeric else ', '.join(sorted(map(str, values)))}")
    simulated = [outcome for outcome in outcomes if outcome.cycles > 200]
    if simulated:
        errors = [abs(outcome.predicted - outcome.cycles) / outcome.cycles for outcome in simulated]
        print(
            f"cycle model: {sum(error == 0 for error in errors)} of {len(errors)} layers over 200 cycles exact, "
            f"worst error {max(errors):.2%}, mean {np.mean(errors):.2%}"
        )
    for outcome in sorted(outcomes, key=lambda outcome: outcome.number):
        if outcome.status in ("refused", "host"):
            print(f"layer {outcome.number} {outcome.status}: {outcome.detail}")
    print(
        f"{len(outcomes)} layers: {counts['exact']} exact on the accelerator, {counts['host']} exact with host operators, "
        f"{counts['refused']} refused for their size, {counts['FAILED']} failed"
    )
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
