"""Operators on pairs of elements against LiteRT's reference kernels."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from ..models import ModelBuilder
from ..quantized import (
    activations,
    all_elements,
    assert_exact,
    dtypes,
    random_elements,
    random_scale,
    seeds,
    zero_point,
)


def two_operands(
    seed: int,
    kind: str,
    options: object,
    dtype: str = "int8",
    shape: tuple[int, ...] = (3,),
    shrunk: int = 0,
    scales: tuple[float, float, float] | None = None,
    constant: bool = False,
) -> None:
    """All numbers along the last axis; the second operand broadcasts along the axes marked in `shrunk`."""
    rng = np.random.default_rng(seed)
    shape = (*shape, 256)
    second = tuple(1 if shrunk >> axis & 1 else length for axis, length in enumerate(shape))
    if scales is None:
        scales = tuple(random_scale(rng, 2**-6, 1.0) for _ in range(3))
    builder = ModelBuilder()
    first_data = np.broadcast_to(all_elements(dtype), shape).copy()
    second_data = random_elements(rng, second, dtype)
    operands = [builder.input(shape, scales[0], zero_point(rng, dtype), dtype=dtype)]
    if constant:
        operands.append(builder.constant(second_data, scales[1], zero_point=zero_point(rng, dtype)))
    else:
        operands.append(builder.input(second, scales[1], zero_point(rng, dtype), dtype=dtype))
    output = builder.tensor(shape, scales[2], zero_point(rng, dtype), dtype=dtype)
    builder.operator(kind, operands, output, options)
    assert_exact(builder.build(output), first_data, *([] if constant else [second_data]))


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    kind=st.sampled_from(["ADD", "SUB", "MUL"]),
    dtype=dtypes,
    shape=shapes,
    shrunk=st.integers(0, 15),
    activation=activations,
    constant=st.booleans(),
)
def test_sums_and_products(seed, kind, dtype, shape, shrunk, activation, constant):
    options = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}[kind]
    two_operands(
        seed, kind, options(fusedActivationFunction=activation), dtype, shape, shrunk, constant=constant
    )


@settings(max_examples=40, deadline=None)
@given(seed=seeds, exponents=st.tuples(*[st.integers(-24, 4)] * 3))
def test_products_of_any_scales(seed, exponents):
    # Far beyond 1, where the left shift wraps, C++ leaves the result open.
    first, second, output = (2.0**exponent * 1.37 for exponent in exponents)
    if first * second / output < 2.0**14:
        two_operands(seed, "MUL", schema.MulOptionsT(), scales=(first, second, output))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, shape=shapes, shrunk=st.integers(0, 15))
def test_squared_difference(seed, shape, shrunk):
    two_operands(seed, "SQUARED_DIFFERENCE", schema.SquaredDifferenceOptionsT(), shape=shape[:3], shrunk=shrunk)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, dtype=dtypes, negative=st.booleans(), broadcast=st.booleans())
def test_prelu(seed, dtype, negative, broadcast):
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    shape, alphas = (2, 2, 256), (1, 1, 256) if broadcast else (2, 2, 256)
    image = builder.input(shape, random_scale(rng, 2**-6, 1), zero_point(rng, dtype), dtype=dtype)
    alpha = builder.constant(random_elements(rng, alphas, dtype), random_scale(rng), zero_point=zero_point(rng, dtype))
    output = builder.tensor(shape, random_scale(rng, 2**-6, 1), zero_point(rng, dtype), dtype=dtype)
    builder.operator("PRELU", [image, alpha], output)
    assert_exact(builder.build(output), np.broadcast_to(all_elements(dtype), shape).copy())


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
def test_extremes(kind, dtype):
    rng = np.random.default_rng(0)
    builder = ModelBuilder()
    operands = [builder.input(shape, 0.5, 3, dtype=dtype) for shape in ((2, 3, 8), (3, 1))]
    output = builder.tensor((2, 3, 8), 0.5, 3, dtype=dtype)
    builder.operator(kind, operands, output, schema.MaximumMinimumOptionsT())
    assert_exact(
        builder.build(output), random_elements(rng, (2, 3, 8), dtype), random_elements(rng, (3, 1), dtype)
    )
