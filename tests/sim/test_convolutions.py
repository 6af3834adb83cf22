"""Convolutions of uint8, transposed convolutions and matrix products against LiteRT's reference kernels."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ..models import SAME, ModelBuilder
from ..quantized import (
    activations,
    assert_exact,
    channels,
    dtypes,
    pads,
    pairs,
    random_bias,
    random_elements,
    random_scale,
    seeds,
    weight_scales,
    zero_point,
    zero_points,
)


def legacy(rng: np.random.Generator, shift: int) -> tuple[float, float, float]:
    """Scales of input, weights and output whose effective factor is about 2**shift."""
    source, output = random_scale(rng, 2**-8, 1), random_scale(rng, 2**-4, 1)
    return source, float(np.float32(2.0 ** (shift - rng.uniform()) * output / source)), output


def legacy_bias(builder: ModelBuilder, rng: np.random.Generator, count: int, scale: float) -> int:
    """A bias whose scale is that of the products, as the kernel for uint8 checks."""
    return builder.constant(random_bias(rng, count, 12), scale)


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds,
    depthwise=st.booleans(),
    size=pairs(1, 9),
    depth=channels,
    filters=channels,
    kernel=pairs(1, 5),
    stride=pairs(1, 3),
    dilation=st.just((1, 1)) | pairs(1, 3),
    padding=pads,
    activation=activations,
    shift=st.integers(-14, -2),
)
def test_convolutions_of_uint8(
    seed, depthwise, size, depth, filters, kernel, stride, dilation, padding, activation, shift
):
    rng = np.random.default_rng(seed)
    extent = [(taps - 1) * spread + 1 for taps, spread in zip(kernel, dilation, strict=True)]
    assume(padding == SAME or all(length >= taps for length, taps in zip(size, extent, strict=True)))
    multiplier = filters % 3 + 1
    filters = depth * multiplier if depthwise else filters
    shape = (1, *kernel, filters) if depthwise else (filters, *kernel, depth)
    source, factor, output = legacy(rng, shift)
    builder = ModelBuilder()
    operands = [
        builder.input((2, *size, depth), source, zero_point(rng, "uint8"), dtype="uint8"),
        builder.constant(random_elements(rng, shape, "uint8"), factor, zero_point=zero_point(rng, "uint8")),
        legacy_bias(builder, rng, filters, float(np.float32(source) * np.float32(factor))),
    ]
    options = schema.DepthwiseConv2DOptionsT(depthMultiplier=multiplier) if depthwise else schema.Conv2DOptionsT()
    options.padding, options.fusedActivationFunction = padding, activation
    options.strideH, options.strideW = stride
    options.dilationHFactor, options.dilationWFactor = dilation
    result = builder.tensor((1, 1, 1, 1), output, zero_point(rng, "uint8"), dtype="uint8")
    builder.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", operands, result, options)
    assert_exact(builder.build(result), random_elements(rng, (2, *size, depth), "uint8"))


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    rows=st.integers(1, 5),
    depth=st.integers(1, 40),
    outputs=channels,
    activation=activations,
    shift=st.integers(-14, -2),
    bias=st.booleans(),
)
def test_fully_connected_of_uint8(seed, rows, depth, outputs, activation, shift, bias):
    rng = np.random.default_rng(seed)
    source, factor, output = legacy(rng, shift)
    builder = ModelBuilder()
    operands = [
        builder.input((rows, depth), source, zero_point(rng, "uint8"), dtype="uint8"),
        builder.constant(
            random_elements(rng, (outputs, depth), "uint8"), factor, zero_point=zero_point(rng, "uint8")
        ),
        legacy_bias(builder, rng, outputs, float(np.float32(source) * np.float32(factor))) if bias else -1,
    ]
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=activation)
    result = builder.tensor((rows, outputs), output, zero_point(rng, "uint8"), dtype="uint8")
    builder.operator("FULLY_CONNECTED", operands, result, options)
    assert_exact(builder.build(result), random_elements(rng, (rows, depth), "uint8"))


@settings(max_examples=50, deadline=None)
@given(
    seed=seeds,
    kind=st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
    size=pairs(1, 9),
    kernel=pairs(1, 5),
    stride=pairs(1, 3),
    padding=pads,
    activation=activations,
)
def test_pools_of_uint8(seed, kind, size, kernel, stride, padding, activation):
    assume(padding == SAME or all(length >= taps for length, taps in zip(size, kernel, strict=True)))
    rng = np.random.default_rng(seed)
    quantized = (random_scale(rng), zero_point(rng, "uint8"))
    builder = ModelBuilder()
    image = builder.input((2, *size, 3), *quantized, dtype="uint8")
    options = schema.Pool2DOptionsT(padding=padding, fusedActivationFunction=activation)
    options.strideH, options.strideW = stride
    options.filterHeight, options.filterWidth = kernel
    result = builder.operator(kind, [image], builder.tensor((1, 1, 1, 1), *quantized, dtype="uint8"), options)
    assert_exact(builder.build(result), random_elements(rng, (2, *size, 3), "uint8"))


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds,
    dtype=dtypes,
    size=pairs(1, 6),
    depth=channels,
    filters=channels,
    kernel=pairs(1, 5),
    stride=pairs(1, 3),
    padding=pads,
    more=pairs(0, 2),
    per_channel=st.booleans(),
    bias=st.booleans(),
    shift=st.integers(-14, -2),
)
def test_transpose_conv(seed, dtype, size, depth, filters, kernel, stride, padding, more, per_channel, bias, shift):
    rng = np.random.default_rng(seed)
    # The sizes whose convolution would give this input: for SAME any of `stride`, for VALID at least the kernel.
    if padding == SAME:
        wanted = [length * step - min(extra, step - 1) for length, step, extra in zip(size, stride, more, strict=True)]
    else:
        wanted = [
            (length - 1) * step + taps + min(extra, step - 1)
            for length, step, taps, extra in zip(size, stride, kernel, more, strict=True)
        ]
    source, factor, output = legacy(rng, shift)
    builder = ModelBuilder()
    shape = (filters, *kernel, depth)
    operands = [builder.constant(np.array([1, *wanted, filters], np.int32))]
    if dtype == "int8":
        scales = weight_scales(rng, filters, per_channel, shift, source / output)
        operands.append(builder.constant(random_elements(rng, shape, dtype), scales, zero_point=0))
    else:
        weights = random_elements(rng, shape, dtype)
        operands.append(builder.constant(weights, factor, zero_point=zero_point(rng, dtype)))
    operands.append(builder.input((1, *size, depth), source, zero_point(rng, dtype), dtype=dtype))
    if bias:
        operands.append(legacy_bias(builder, rng, filters, float(np.float32(source) * np.float32(factor))))
    options = schema.TransposeConvOptionsT(padding=padding)
    options.strideH, options.strideW = stride
    result = builder.tensor((1, *wanted, filters), output, zero_point(rng, dtype), dtype=dtype)
    builder.operator("TRANSPOSE_CONV", operands, result, options)
    assert_exact(builder.build(result), random_elements(rng, (1, *size, depth), dtype))


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    batch=st.sampled_from([((), ()), ((2,), (2,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), (1,)), ((2, 1), (1, 3))]),
    sides=st.tuples(*[st.integers(1, 6)] * 3),
    transposed=st.tuples(st.booleans(), st.booleans()),
    points=st.tuples(zero_points, zero_points, zero_points),
    constant=st.booleans(),
)
def test_batch_matmul(seed, batch, sides, transposed, points, constant):
    rng = np.random.default_rng(seed)
    rows, depth, columns = sides
    first = (*batch[0], *((depth, rows) if transposed[0] else (rows, depth)))
    second = (*batch[1], *((columns, depth) if transposed[1] else (depth, columns)))
    scales = [random_scale(rng, 2**-8, 2**-2), random_scale(rng, 2**-8, 2**-2), random_scale(rng, 2**-6, 1)]
    builder = ModelBuilder()
    operands, arrays = [builder.input(first, scales[0], points[0])], [random_elements(rng, first, "int8")]
    factors = random_elements(rng, second, "int8")
    if constant:
        operands.append(builder.constant(factors, scales[1], zero_point=points[1]))
    else:
        operands.append(builder.input(second, scales[1], points[1]))
        arrays.append(factors)
    options = schema.BatchMatMulOptionsT(adjX=transposed[0], adjY=transposed[1])
    result = builder.operator("BATCH_MATMUL", operands, builder.tensor((1, 1), scales[2], points[2]), options)
    assert_exact(builder.build(result), *arrays)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, rows=st.integers(1, 5), depth=st.integers(1, 20), outputs=channels, points=st.tuples(zero_points, zero_points))
def test_fully_connected_with_computed_weights(seed, rows, depth, outputs, points):
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    operands = [builder.input((rows, depth), 0.05, points[0]), builder.input((outputs, depth), 0.02, points[1]), -1]
    result = builder.tensor((rows, outputs), random_scale(rng, 2**-6, 1), 5)
    builder.operator("FULLY_CONNECTED", operands, result, schema.FullyConnectedOptionsT())
    assert_exact(
        builder.build(result), random_elements(rng, (rows, depth), "int8"), random_elements(rng, (outputs, depth), "int8")
    )
