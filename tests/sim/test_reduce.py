"""Operators along axes against LiteRT's reference kernels."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.tflite import read_tflite

from ..models import ModelBuilder
from ..quantized import assert_exact, dtypes, random_elements, random_scale, seeds, zero_point

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


def reduced(kind, image, axes, options, source, output, dtype=None) -> None:
    """A reduction of one operand; `source` and `output` are (scale, zero point)."""
    builder = ModelBuilder()
    operands = [
        builder.input(image.shape, *source, dtype=str(image.dtype)),
        builder.constant(np.asarray(axes, np.int32)),
    ]
    result = builder.operator(kind, operands, builder.tensor((1,), *output, dtype=dtype or str(image.dtype)), options)
    assert_exact(builder.build(result), image)


@settings(max_examples=120, deadline=None)
@given(seed=seeds, shape=lengths, dtype=dtypes, keep=st.booleans(), data=st.data())
def test_mean(seed, shape, dtype, keep, data):
    rng = np.random.default_rng(seed)
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=len(shape)))
    source, output = ((random_scale(rng, 2**-8, 2**3), zero_point(rng, dtype)) for _ in range(2))
    options = schema.ReducerOptionsT(keepDims=keep)
    reduced("MEAN", random_elements(rng, shape, dtype), axes, options, source, output)


@pytest.mark.parametrize("shape", [(1, 7, 7, 64), (1, 31, 33, 3), (1, 64, 128, 2)])
def test_mean_over_images(shape):
    rng = np.random.default_rng(0)
    for _ in range(8):
        source, output = ((random_scale(rng, 2**-8, 1), zero_point(rng, "int8")) for _ in range(2))
        image = np.clip(random_elements(rng, shape, "int8").astype(int) + rng.integers(-60, 60), -128, 127)
        reduced("MEAN", image.astype(np.int8), [1, 2], schema.ReducerOptionsT(keepDims=True), source, output)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=st.sampled_from(["REDUCE_MAX", "REDUCE_MIN"]), shape=lengths, dtype=dtypes, keep=st.booleans())
def test_extremes(seed, kind, shape, dtype, keep):
    image = random_elements(np.random.default_rng(seed), shape, dtype)
    axes = sorted({seed % len(shape), seed // 7 % len(shape)})
    reduced(kind, image, axes, schema.ReducerOptionsT(keepDims=keep), (0.5, 3), (0.5, 3))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=st.sampled_from(["ARG_MAX", "ARG_MIN"]), shape=lengths, dtype=dtypes, wide=st.booleans())
def test_arg_extremes(seed, kind, shape, dtype, wide):
    # Few different numbers: the first of several equal ones counts.
    image = random_elements(np.random.default_rng(seed), shape, dtype) // 64
    result = "int64" if wide else "int32"
    code = getattr(schema.TensorType, result.upper())
    options = schema.ArgMaxOptionsT(outputType=code) if kind == "ARG_MAX" else schema.ArgMinOptionsT(outputType=code)
    reduced(kind, image, seed % len(shape), options, (0.5, 3), (None,), result)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, leading=st.lists(st.integers(1, 3), max_size=2), depth=st.integers(1, 40), scale=st.integers(-9, 1))
def test_softmax_of_uint8(seed, leading, depth, scale):
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    shape = (*leading, 2, depth)
    image = builder.input(shape, 2.0**scale, 17, dtype="uint8")
    output = builder.tensor(shape, 2.0**-8, 0, dtype="uint8")
    builder.operator("SOFTMAX", [image], output, schema.SoftmaxOptionsT(beta=1.0))
    assert_exact(builder.build(output), random_elements(rng, shape, "uint8"))


def test_extremes_do_not_rescale():
    builder = ModelBuilder()
    operands = [builder.input((2, 3), 0.5), builder.constant(np.array([0], np.int32))]
    output = builder.operator("REDUCE_MAX", operands, builder.tensor((3,), 0.25), schema.ReducerOptionsT())
    with pytest.raises(UnsupportedError, match="quantized differently"):
        read_tflite(builder.build(output))
