"""The operator arithmetic against LiteRT's reference kernels: random one-operator models, every element equal."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tilewright.sim import operators

from ..models import SAME, ModelBuilder
from ..quantized import (
    activations,
    assert_exact,
    channels,
    pads,
    pairs,
    random_bias,
    random_int8,
    random_scale,
    seeds,
    weight_scales,
    zero_points,
)


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    depthwise=st.booleans(),
    size=pairs(1, 13),
    depth=channels,
    filters=channels,
    kernel=pairs(1, 7),
    stride=pairs(1, 3) | pairs(1, 8),
    dilation=st.just((1, 1)) | pairs(1, 3),
    padding=pads,
    points=st.tuples(zero_points, zero_points),
    activation=activations,
    per_channel=st.booleans(),
    # The largest effective factor, as a power of two: 3 shifts left, -28 and below reach multipliers of 0.
    shift=st.integers(-12, 3) | st.integers(-31, -6),
    batch=st.integers(1, 2),
    bias=st.booleans(),
    groups=st.sampled_from([1, 1, 1, 2, 3]),
)
def test_convolutions(
    seed, depthwise, size, depth, filters, kernel, stride, dilation, padding, points, activation, per_channel, shift,
    batch, bias, groups,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    extent = [(taps - 1) * spread + 1 for taps, spread in zip(kernel, dilation, strict=True)]
    assume(padding == SAME or all(length >= taps for length, taps in zip(size, extent, strict=True)))
    if depthwise:
        multiplier = 1 + filters % 3
        weights = random_int8(rng, (1, *kernel, depth * multiplier))
        outputs, channel_axis = depth * multiplier, 3
    else:
        filters, depth = filters * groups, depth * groups
        weights = random_int8(rng, (filters, *kernel, depth // groups))
        outputs, channel_axis = filters, 0
    input_scale, output_scale = random_scale(rng), random_scale(rng)
    scales = weight_scales(rng, outputs, per_channel, shift, input_scale / output_scale)
    places = [
        -(-length // step) if padding == SAME else (length - taps) // step + 1
        for length, step, taps in zip(size, stride, extent, strict=True)
    ]

    builder = ModelBuilder()
    image = builder.input((batch, *size, depth), input_scale, points[0])
    inputs = [image, builder.constant(weights, scales, axis=channel_axis)]
    # LiteRT insists on a bias for CONV_2D. Small factors need large sums to be seen at all.
    if bias or not depthwise:
        inputs.append(builder.constant(random_bias(rng, outputs, 16 if shift > -12 else 30), 1.0))
    output = builder.tensor((batch, *places, outputs), output_scale, points[1])
    options = dict(
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        fusedActivationFunction=activation,
    )
    if depthwise:
        kind, chosen = "DEPTHWISE_CONV_2D", schema.DepthwiseConv2DOptionsT(**options, depthMultiplier=multiplier)
    else:
        kind, chosen = "CONV_2D", schema.Conv2DOptionsT(**options)
    builder.operator(kind, inputs, output, chosen)
    assert_exact(builder.build(output), random_int8(rng, (batch, *size, depth)))


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    leading=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    depth=st.integers(1, 40),
    outputs=st.integers(1, 12),
    keep_dims=st.booleans(),
    points=st.tuples(zero_points, zero_points, zero_points),
    activation=activations,
    per_channel=st.booleans(),
    shift=st.integers(-12, 3) | st.integers(-36, -6),
    bias=st.booleans(),
)
def test_fully_connected(seed, leading, depth, outputs, keep_dims, points, activation, per_channel, shift, bias):
    rng = np.random.default_rng(seed)
    input_scale, output_scale = random_scale(rng), random_scale(rng)
    scales = weight_scales(rng, outputs, per_channel, shift, input_scale / output_scale)
    builder = ModelBuilder()
    rows = builder.input((*leading, depth), input_scale, points[0])
    weights_point = points[1] if scales.size == 1 else 0
    inputs = [rows, builder.constant(random_int8(rng, (outputs, depth)), scales, zero_point=weights_point)]
    if bias:
        # LiteRT compares a per-tensor bias scale with the product of the other two, in float32.
        bias_scale = np.float32(input_scale) * np.float32(scales[0])
        inputs.append(builder.constant(random_bias(rng, outputs, 12 if shift > -12 else 30), bias_scale))
    batch = leading if keep_dims else [int(np.prod(leading))]
    output = builder.tensor((*batch, outputs), output_scale, points[2])
    options = schema.FullyConnectedOptionsT(keepNumDims=keep_dims, fusedActivationFunction=activation)
    builder.operator("FULLY_CONNECTED", inputs, output, options)
    assert_exact(builder.build(output), random_int8(rng, (*leading, depth)))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("shift", range(1, 9))
def test_fully_connected_rounds_ties_away_from_zero(shift, per_channel):
    weights = np.array([[1], [-1], [3], [5]], np.int8)
    rows = np.arange(-128, 128, dtype=np.int8).reshape(-1, 1)
    builder = ModelBuilder()
    inputs = [builder.input(rows.shape, 2.0**-shift), builder.constant(weights, [1.0] * 4 if per_channel else 1.0)]
    output = builder.tensor((len(rows), 4), 1.0, 3)
    builder.operator("FULLY_CONNECTED", inputs, output, schema.FullyConnectedOptionsT())
    assert_exact(builder.build(output), rows)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    shrunk=st.integers(0, 15),
    points=st.tuples(zero_points, zero_points, zero_points),
    activation=activations,
    spread=st.integers(0, 12),
)
def test_add(seed, shape, shrunk, points, activation, spread):
    rng = np.random.default_rng(seed)
    # All pairs of operands in one axis, and a second operand that broadcasts along the axes marked in `shrunk`.
    shape = [*shape, 256]
    second_shape = [1 if shrunk >> axis & 1 else length for axis, length in enumerate(shape)]
    scales = [random_scale(rng, 2**-spread, 1.0) for _ in range(3)]
    builder = ModelBuilder()
    operands = [builder.input(each, scales[i], points[i]) for i, each in enumerate((shape, second_shape))]
    output = builder.tensor(shape, scales[2], points[2])
    builder.operator("ADD", operands, output, schema.AddOptionsT(fusedActivationFunction=activation))
    assert_exact(builder.build(output), random_int8(rng, tuple(shape)), random_int8(rng, tuple(second_shape)))


@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    kind=st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
    size=pairs(1, 13),
    depth=channels,
    kernel=pairs(1, 7),
    stride=pairs(1, 3) | pairs(1, 8),
    padding=pads,
    point=zero_points,
    activation=activations,
)
def test_pools(seed, kind, size, depth, kernel, stride, padding, point, activation):
    assume(padding == SAME or all(length >= taps for length, taps in zip(size, kernel, strict=True)))
    rng = np.random.default_rng(seed)
    scale = random_scale(rng)
    builder = ModelBuilder()
    image = builder.input((2, *size, depth), scale, point)
    places = [
        -(-length // step) if padding == SAME else (length - taps) // step + 1
        for length, step, taps in zip(size, stride, kernel, strict=True)
    ]
    output = builder.tensor((2, *places, depth), scale, point)
    options = schema.Pool2DOptionsT(
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        fusedActivationFunction=activation,
    )
    builder.operator(kind, [image], output, options)
    assert_exact(builder.build(output), random_int8(rng, (2, *size, depth)))


@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    leading=st.lists(st.integers(1, 4), max_size=3),
    depth=st.sampled_from([1, 2, 3, 10, 12, 255, 1001, 4095]),
    beta=st.sampled_from([1.0, 0.3, 4.0]),
    # From scales at which nothing but the maximum counts to scales at which all elements look alike.
    scale_bits=st.floats(-20, 6),
    spread=st.integers(1, 128),
)
def test_softmax(seed, leading, depth, beta, scale_bits, spread):
    rng = np.random.default_rng(seed)
    shape = (*leading, depth)
    logits = rng.integers(-spread, spread, shape).astype(np.int8)
    # The reference kernel aborts the process where the sum of exponentials reaches 512.
    differences = logits.astype(float) - logits.max(axis=-1, keepdims=True)
    assume(np.exp(differences * beta * 2.0**scale_bits).sum(axis=-1).max() < 510)
    builder = ModelBuilder()
    source = builder.input(shape, 2.0**scale_bits, 5)
    output = builder.tensor(shape, 1 / 256, -128)
    builder.operator("SOFTMAX", [source], output, schema.SoftmaxOptionsT(beta=beta))
    assert_exact(builder.build(output), logits)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    kernel=pairs(1, 3),
    stride=pairs(1, 3),
    point=zero_points,
    depthwise=st.booleans(),
)
def test_explicit_padding_is_an_image_with_a_border(seed, padding, kernel, stride, point, depthwise):
    rng = np.random.default_rng(seed)
    image = random_int8(rng, (1, 6, 5, 4))
    top, left, bottom, right = padding
    bordered = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=point)
    weights = random_int8(rng, (1, *kernel, 4) if depthwise else (3, *kernel, 4))
    convolution = operators.depthwise_conv2d if depthwise else operators.conv2d
    factors = dict(multipliers=1_500_000_000, shifts=-8, stride=stride, input_zero_point=point)
    np.testing.assert_array_equal(
        convolution(image, weights, None, padding=padding, **factors), convolution(bordered, weights, None, **factors)
    )
