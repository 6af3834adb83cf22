"""Operators on one byte at a time against LiteRT's reference kernels: every one of the 256 results."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tilewright.mapper.errors import ModelError, UnsupportedError
from tilewright.mapper.tflite import read_tflite

from ..models import ModelBuilder
from ..quantized import all_elements, assert_exact, dtypes, random_scale, seeds, zero_point


def one_table(kind, source, output, options=None, least: int | None = None) -> None:
    """An operator of one operand; each is (type, scale, zero point). Elements below `least` are left out."""
    elements = all_elements(source[0])
    if least is not None:
        elements = np.maximum(elements, least).astype(source[0])
    builder = ModelBuilder()
    image = builder.input((256,), *source[1:], dtype=source[0])
    result = builder.tensor((256,), *output[1:], dtype=output[0])
    builder.operator(kind, [image], result, options)
    assert_exact(builder.build(result), elements)


def random_side(rng: np.random.Generator, dtype: str, low: float = 2**-10, high: float = 2**2) -> tuple:
    return dtype, random_scale(rng, low, high), zero_point(rng, dtype)


@settings(max_examples=100, deadline=None)
@given(seed=seeds, kind=st.sampled_from(["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]), dtype=dtypes)
def test_rectifiers(seed, kind, dtype):
    rng = np.random.default_rng(seed)
    one_table(kind, random_side(rng, dtype), random_side(rng, dtype))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, dtype=dtypes, alpha=st.floats(-2, 2, width=32))
def test_leaky_relu(seed, dtype, alpha):
    rng = np.random.default_rng(seed)
    one_table("LEAKY_RELU", random_side(rng, dtype), random_side(rng, dtype), schema.LeakyReluOptionsT(alpha=alpha))


@settings(max_examples=150, deadline=None)
@given(seed=seeds, dtype=dtypes, low=st.integers(-6, -1))
def test_hard_swish(seed, dtype, low):
    rng = np.random.default_rng(seed)
    one_table("HARD_SWISH", random_side(rng, dtype, 2.0**low, 2.0 ** (low + 3)), random_side(rng, dtype, 2**-4, 2))


@settings(max_examples=200, deadline=None)
@given(seed=seeds, kind=st.sampled_from(["LOGISTIC", "TANH"]), dtype=dtypes)
def test_sigmoids(seed, kind, dtype):
    rng = np.random.default_rng(seed)
    output = (dtype, 2.0**-8, zero_point(rng, dtype)) if kind == "LOGISTIC" else random_side(rng, dtype, 2**-9, 2**-5)
    one_table(kind, random_side(rng, dtype, 2**-10, 2**-1), output)


@settings(max_examples=100, deadline=None)
@given(seed=seeds, kind=st.sampled_from(["EXP", "LOG"]))
def test_functions_of_real_numbers(seed, kind):
    rng = np.random.default_rng(seed)
    one_table(kind, random_side(rng, "int8", 2**-10, 2**-4), random_side(rng, "int8", 2**-7, 2**-2))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, same=st.booleans())
def test_abs(seed, same):
    rng = np.random.default_rng(seed)
    source, output = random_side(rng, "int8"), random_side(rng, "int8")
    one_table("ABS", source, (output[0], source[1], output[2]) if same else output)


@settings(max_examples=100, deadline=None)
@given(seed=seeds)
def test_rsqrt(seed):
    rng = np.random.default_rng(seed)
    source = random_side(rng, "int8", 2**-12, 2**4)
    one_table("RSQRT", source, random_side(rng, "int8", 2**-8, 2**1), least=source[2])


@settings(max_examples=100, deadline=None)
@given(seed=seeds, types=st.tuples(dtypes, dtypes), same=st.booleans())
def test_requantization(seed, types, same):
    rng = np.random.default_rng(seed)
    source, output = (random_side(rng, dtype) for dtype in types)
    one_table("QUANTIZE", source, (output[0], source[1], output[2]) if same else output)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, dtype=dtypes)
def test_quantize_from_float(seed, dtype):
    rng = np.random.default_rng(seed)
    scale, point = random_scale(rng), zero_point(rng, dtype)
    builder = ModelBuilder()
    image = builder.input((512,), None, dtype="float32")
    output = builder.tensor((512,), scale, point, dtype=dtype)
    builder.operator("QUANTIZE", [image], output)
    ties = (np.arange(-128, 128) + 0.5).astype(np.float32) * np.float32(scale)
    real = np.concatenate([ties, rng.normal(0, 150 * scale, 256).astype(np.float32)])
    assert_exact(builder.build(output), real)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, dtype=dtypes)
def test_dequantize(seed, dtype):
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    image = builder.input((256,), random_scale(rng, 2**-20, 2**20), zero_point(rng, dtype), dtype=dtype)
    output = builder.tensor((256,), dtype="float32")
    builder.operator("DEQUANTIZE", [image], output)
    assert_exact(builder.build(output), all_elements(dtype))


@pytest.mark.parametrize("target", ["int8", "uint8", "int16", "int32", "int64", "float32"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32"])
def test_cast(dtype, target):
    elements = all_elements(dtype) if dtype in ("int8", "uint8") else np.arange(256).astype(dtype) * 3 // 7
    if dtype == "float32":
        elements = elements + np.float32(0.75)
    builder = ModelBuilder()
    image = builder.input((256,), None, dtype=dtype)
    output = builder.tensor((256,), dtype=target)
    codes = {name: getattr(schema.TensorType, name.upper()) for name in (dtype, target)}
    options = schema.CastOptionsT(inDataType=codes[dtype], outDataType=codes[target])
    builder.operator("CAST", [image], output, options)
    assert_exact(builder.build(output), elements)


def test_scales_that_leave_an_arithmetic_are_refused():
    builder = ModelBuilder()
    image, output = builder.input((4,), 1.0), builder.tensor((4,), 2.0**-9)
    builder.operator("HARD_SWISH", [image], output)
    with pytest.raises(ModelError, match="leave the range of its 16-bit arithmetic"):
        read_tflite(builder.build(output))
    builder = ModelBuilder()
    image, output = builder.input((4,), 1.0), builder.tensor((4,), 2.0**-7)
    builder.operator("LOGISTIC", [image], output)
    with pytest.raises(UnsupportedError, match=r"its output has the scale 0\.0078125"):
        read_tflite(builder.build(output))
