"""Operators beside convolutions and pools, on the accelerator and on the host: exact, and where they belong."""

import numpy as np
import pytest
from tilewright.hw.params import Parameters
from tilewright.mapper.compile import compile_model, compile_steps
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.ir import LeakyRelu
from tilewright.sim.hazards import find_hazards

from .networks import SAME, compare
from .operator_networks import OperatorBuilder

PARAMS = Parameters(rows=8, cols=8)
DTYPES = ("int8", "uint8")


def inputs(graph, seed=0):
    random = np.random.default_rng(seed)
    found = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if tensor.dtype == "float32":
            found[name] = random.uniform(-4, 4, tensor.shape).astype(np.float32)
        else:
            limits = np.iinfo(tensor.dtype)
            found[name] = random.integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype)
    return found


def exact(builder, *outputs, params=PARAMS, on_host=()):
    """Compile, compare every tensor, and say that only these operators are the host's."""
    graph = builder.graph(*outputs)
    compilation = compile_steps(graph, params)
    assert {name.split(":")[1] for name in compilation.host} == set(on_host), compilation.host
    assert find_hazards(compilation.program) == ()
    for seed in range(2):
        compare(graph, compilation.program, inputs(graph, seed))
    return compilation


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [None, 7, 100])
def test_border(dtype, value):
    builder = OperatorBuilder(1, dtype)
    image = builder.pad(builder.input(1, 5, 6, 11), (0, 0), (2, 1), (3, 0), (0, 0), value=value)
    exact(builder, builder.maximum(builder.conv(image, 9, 3), 2, stride=2), image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_borders_go_into_their_readers(dtype):
    borders = ((0, 0), (1, 2), (3, 1), (0, 0))

    def layers(build, **options):
        builder = OperatorBuilder(1, dtype)
        image = builder.pad(builder.input(1, 7, 8, 3), *borders, **options)
        return len(exact(builder, *build(builder, image)).runs[0].network.layers)

    valid = (0, 0, 0, 0)
    assert layers(lambda b, x: [b.conv(x, 5, 3, stride=2, padding=valid)]) == 1
    assert layers(lambda b, x: [b.conv(x, 5, 3, padding=SAME)]) == 1
    assert layers(lambda b, x: [b.conv(x, 5, 3, padding=valid)], value=99) == 1
    assert layers(lambda b, x: [b.conv(x, 5, 3, padding=SAME)], value=99) == 2
    assert layers(lambda b, x: [b.depthwise(x, 3, padding=valid), b.conv(x, 2, 1)]) == 2
    assert layers(lambda b, x: [b.maximum(x, 2, stride=2)], value=99) == 1
    assert layers(lambda b, x: [b.maximum(x, 2, padding=SAME)]) == 2
    assert layers(lambda b, x: [b.average(x, 2)]) == 2
    assert layers(lambda b, x: [b.conv(x, 2, 1), x]) == 2


@pytest.mark.parametrize("params", [PARAMS, Parameters(rows=8, cols=4, depthwise=False)])
def test_border_behind_a_convolution(params):
    builder = OperatorBuilder(2)
    image = builder.conv(builder.input(2, 5, 5, 3), 8, 3)
    image = builder.pad(image, (0, 0), (1, 1), (1, 1), (0, 0))
    exact(builder, builder.depthwise(image, 3, stride=2, padding=(0, 0, 0, 0)), params=params)


def test_a_border_of_channels_is_the_hosts():
    builder = OperatorBuilder()
    image = builder.conv(builder.input(1, 4, 4, 3), 5, 1)
    compilation = exact(builder, builder.conv(builder.pad(image, (0, 0), (0, 0), (0, 0), (1, 2)), 4, 1), on_host=["PAD"])
    assert "not around pixels alone" in next(iter(compilation.host.values()))
    assert len(compilation.program.runs) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,)])
@pytest.mark.parametrize("shape", [(1, 7, 7, 20), (2, 4, 3, 5), (1, 12, 1, 9)])
def test_mean(dtype, axes, shape):
    builder = OperatorBuilder(3, dtype)
    image = builder.conv(builder.input(*shape), shape[3], 1)
    exact(builder, builder.mean(image, *axes, keep_dims=True), builder.mean(image, *axes))


def test_mean_of_a_sequence_and_of_channels():
    builder = OperatorBuilder(4)
    exact(builder, builder.fully_connected(builder.mean(builder.input(2, 9, 16), 1), 5))
    builder = OperatorBuilder(4)
    compilation = exact(builder, builder.conv(builder.mean(builder.input(1, 4, 4, 8), 3, keep_dims=True), 4, 1), on_host=["MEAN"])
    assert "along the channels" in next(iter(compilation.host.values()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tables(dtype):
    builder = OperatorBuilder(5, dtype)
    image = builder.conv(builder.input(1, 5, 6, 7), 10, 3)
    image = builder.lookup(image)
    flat = builder.lookup(builder.reshape(image, 30, 10), LeakyRelu)
    exact(builder, builder.fully_connected(flat, 6), image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes(dtype):
    builder = OperatorBuilder(18, dtype)
    image = builder.conv(builder.input(1, 5, 6, 7), 10, 3)
    exact(builder, builder.conv(builder.prelu(image, builder.constant((1, 1, 1), point=builder.by)), 3, 1))
    several = builder.prelu(image, builder.constant((1, 1, 10), point=builder.by))
    compilation = exact(builder, builder.conv(several, 3, 1), on_host=["PRELU"])
    assert "10 slopes" in next(iter(compilation.host.values()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_differences(dtype):
    builder = OperatorBuilder(6, dtype)
    image = builder.input(1, 6, 5, 12)
    left, right = builder.conv(image, 12, 3), builder.conv(image, 12, 1)
    compilation = exact(builder, builder.sub(left, right), builder.sub(right, image))
    assert len(compilation.runs[0].network.layers) == 3  # One goes into the convolution before it.
    exact(builder, builder.sub(builder.add(left, right), image))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [True, False])
def test_constants(dtype, first):
    builder = OperatorBuilder(7, dtype)
    point = builder.by + 3
    image = builder.conv(builder.input(1, 4, 5, 9), 9, 1)
    scalar, channels = builder.constant((1,), point=point), builder.constant((9,), point=point)

    def ordered(a, b):
        return (a, b) if first else (b, a)

    outputs = [
        builder.mul(*ordered(image, scalar)),
        builder.mul(*ordered(image, channels)),
        builder.add(*ordered(image, scalar)),
        builder.sub(*ordered(image, scalar)),
    ]
    exact(builder, *outputs)
    widened = builder.constant((2, 4, 5, 9), point=point)
    exact(builder, builder.mul(*ordered(image, widened)), on_host=["MUL"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_parts_joined(dtype, axis):
    builder = OperatorBuilder(12, dtype)
    image = builder.input(1, 6, 6, 6)
    left = builder.conv(image, 6, 3)
    right = builder._like(left, *[type(builder.operators[0])], **_fields(builder.operators[0]))
    joined = builder.concatenate(left, right, left, axis=axis)
    exact(builder, builder.conv(joined, 7, 3), joined)


def _fields(operator):
    return {name: value for name, value in vars(operator).items() if name not in ("index", "name", "output")}


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_parts_cut(axis):
    builder = OperatorBuilder(13)
    image = builder.conv(builder.input(1, 9, 9, 4), 9, 1)
    first, second, third = builder.split(image, axis, 2, 4, 3)
    compilation = exact(builder, builder.conv(first, 3, 1), builder.add(second, second), third)
    assert len(compilation.runs) == 1


@pytest.mark.parametrize(
    ("begin", "strides", "size"),
    [
        ((0, 1, 2, 0), (1, 1, 1, 1), (1, 5, 4, 10)),
        ((0, 1, 0, 0), (1, 2, 1, 1), (1, 3, 8, 10)),
        ((0, 6, 0, 0), (1, -1, 1, 1), (1, 5, 8, 10)),
        ((0, 0, 1, 3), (1, 1, 1, 1), (1, 1, 7, 5)),
        ((0, 0, 0, 0), (1, 1, 1, 1), (1, 7, 8, 10)),
    ],
)
def test_slices(begin, strides, size):
    builder = OperatorBuilder(14)
    image = builder.conv(builder.input(1, 7, 8, 4), 10, 1)
    cut = builder.strided(image, begin, strides, size)
    if set(strides) == {1}:
        cut = builder.add(cut, builder.slice(image, begin, size))
    exact(builder, builder.conv(cut, 3, 3))


def test_slices_that_are_no_equal_runs_are_the_hosts():
    builder = OperatorBuilder(15)
    image = builder.conv(builder.input(1, 7, 8, 4), 10, 1)
    compilation = exact(
        builder, builder.conv(builder.slice(image, (0, 1, 2, 3), (1, 4, 5, 6)), 3, 3), on_host=["SLICE"]
    )
    assert "equally far apart" in next(iter(compilation.host.values()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4), (1, 1)])
@pytest.mark.parametrize("batch", [1, 2])
def test_enlarged(dtype, factors, batch):
    builder = OperatorBuilder(19, dtype)
    image = builder.conv(builder.input(batch, 5, 4, 3), 11, 3)
    large = builder.nearest(image, 5 * factors[0], 4 * factors[1], centers=factors[0] == 3)
    exact(builder, builder.conv(large, 6, 3), large)


def test_other_sizes_are_the_hosts():
    builder = OperatorBuilder(20)
    image = builder.conv(builder.input(1, 5, 4, 3), 11, 3)
    compilation = exact(builder, builder.conv(builder.nearest(image, 7, 8), 6, 3), on_host=["RESIZE_NEAREST_NEIGHBOR"])
    assert "as often" in next(iter(compilation.host.values()))
    builder = OperatorBuilder(20)
    image = builder.conv(builder.input(1, 5, 4, 3), 11, 3)
    exact(builder, builder.conv(builder.nearest(image, 15, 12, corners=True), 6, 3), on_host=["RESIZE_NEAREST_NEIGHBOR"])


def test_little_work_stays_with_the_host():
    builder = OperatorBuilder(16)
    image = builder.mul(builder.sub(builder.input(1, 5, 5, 3), builder.constant((1,))), builder.constant((3,)))
    compilation = exact(builder, builder.conv(image, 4, 3), on_host=["SUB", "MUL"])
    assert len(compilation.runs) == 1


def test_products_of_activations_are_the_hosts():
    builder = OperatorBuilder(8)
    image = builder.input(1, 4, 4, 8)
    gate = builder.lookup(builder.conv(builder.mean(builder.conv(image, 8, 1), 1, 2, keep_dims=True), 8, 1))
    compilation = exact(builder, builder.conv(builder.mul(image, gate), 4, 3), on_host=["MUL"])
    assert len(compilation.runs) == 2


def test_uint8_network():
    builder = OperatorBuilder(9, "uint8")
    image = builder.input(1, 9, 8, 3)
    image = builder.conv(image, 8, 3, stride=2)
    image = builder.depthwise(image, 3)
    image = builder.add(builder.conv(image, 8, 1), image)
    image = builder.average(image, 2, padding=SAME)
    image = builder.maximum(image, 2)
    exact(builder, builder.fully_connected(builder.reshape(image, 1, 96), 10))


@pytest.mark.parametrize("dtype", DTYPES)
def test_pools_behind_layers(dtype):
    builder = OperatorBuilder(17, dtype)
    image = builder.conv(builder.input(1, 8, 8, 3), 8, 3)
    outputs = [
        builder.average(builder.conv(image, 8, 3), 8),
        builder.maximum(builder.conv(image, 8, 3), 2, stride=2),
        builder.average(builder.sub(builder.conv(image, 8, 1), image), 8),
        builder.mean(builder.conv(image, 8, 3), 1, 2),
    ]
    exact(builder, *outputs)


def wide_builder(low=-100, high=155):
    """A builder of uint8 networks whose weights less their zero point leave int8."""
    builder = OperatorBuilder(10, "uint8")
    builder._weights = lambda shape: builder.constant(shape, low, high, -low)
    return builder


@pytest.mark.parametrize(("low", "high"), [(-100, 155), (-255, 0), (0, 255)])
@pytest.mark.parametrize("shape", [(16, 8), (4, 16), (16, 16)])
def test_weights_beyond_int8_take_more_passes(low, high, shape):
    params = Parameters(rows=shape[0], cols=shape[1])
    builder = wide_builder(low, high)
    image = builder.conv(builder.input(1, 9, 10, 3), 20, 3, stride=2)
    image = builder.conv(builder.depthwise(image, 3, padding=SAME), 24, 1)
    image = builder.add(builder.conv(image, 24, 1), image)
    image = builder.average(builder.depthwise(image, 3, stride=2, padding=(0, 0, 0, 0)), 2, padding=(0, 0, 0, 0))
    image = builder.conv(builder.depthwise(image, 1), 9, 1)
    compilation = exact(builder, builder.fully_connected(builder.reshape(image, 1, 9), 10), params=params)
    assert min(layer.folds for layer in compilation.runs[0].network.layers if "CONV" in layer.kind) > 1


@pytest.mark.parametrize("options", [{"depthwise": False}, {"packed": False}, {"residual": False}])
def test_weights_beyond_int8_without_modes(options):
    builder = wide_builder()
    image = builder.depthwise(builder.conv(builder.input(1, 9, 10, 3), 8, 1), 3)
    on_host = ["DEPTHWISE_CONV_2D"] if "depthwise" in options else []
    exact(builder, builder.conv(image, 5, 1), params=Parameters(rows=8, cols=8, **options), on_host=on_host)


def test_wide_kernels_of_weights_beyond_int8_are_the_hosts():
    builder = wide_builder()
    image = builder.conv(builder.conv(builder.input(1, 4, 4, 8), 8, 1), 4, 3)
    compilation = exact(builder, builder.conv(image, 3, 1), on_host=["CONV_2D"])
    assert "takes too many passes" in next(iter(compilation.host.values()))
    builder = wide_builder()
    exact(builder, builder.conv(builder.input(1, 4, 4, 3), 4, 3), on_host=["CONV_2D"])  # nine bytes are more than a vector


def test_float_edges():
    builder = OperatorBuilder(11)
    image = builder.from_float(builder.float_input(1, 6, 6, 3))
    compilation = exact(builder, builder.to_float(builder.conv(image, 5, 3)), on_host=["QUANTIZE", "DEQUANTIZE"])
    assert [getattr(step, "op", "run") for step in compilation.program.steps] == ["QUANTIZE", "run", "DEQUANTIZE"]


@pytest.mark.parametrize("seed", range(6))
def test_networks(seed):
    random = np.random.default_rng(seed)
    builder = OperatorBuilder(seed, DTYPES[seed % 2])
    live = [builder.input(1, int(random.integers(3, 10)), int(random.integers(3, 10)), int(random.integers(2, 20)))]
    for _ in range(7):
        source = live[-1]
        channels = builder.tensors[source].shape[3]
        kind = random.integers(7)
        match kind:
            case 0:
                live.append(builder.pad(source, (0, 0), (1, 0), (0, 2), (0, 0), value=int(random.integers(0, 100))))
            case 1:
                live.append(builder.lookup(source))
            case 2:
                live.append(builder.sub(source, builder.conv(source, channels, 3)))
            case 3:
                live.append(builder.mul(source, builder.constant((channels,), point=builder.by)))
            case 4:
                live.append(builder.mul(source, builder.mean(source, 1, 2, keep_dims=True)))
            case 5:
                live.append(builder.depthwise(source, 3))
            case _:
                live.append(builder.average(source, 2, stride=2, padding=SAME))
    graph = builder.graph(builder.mean(live[-1], 1, 2))
    program = compile_model(graph, PARAMS)
    compare(graph, program, inputs(graph))
    assert evaluate(graph, inputs(graph)).keys() >= set(graph.outputs)
