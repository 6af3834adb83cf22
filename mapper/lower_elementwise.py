"""Sums, tables and products with constants to layers: pointwise, with residual tables or depthwise weights."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..hw.isa import Mode
from ..hw.params import Parameters
from ..sim import operators as golden
from .evaluate import evaluate_operator
from .ir import Add, Lookup, Maximum, Minimum, Mul, Operator, Prelu, Quantize, SquaredDifference, Sub
from .layer import Array, Constants, Layer, Pair, Residual, uniform
from .lower_base import (
    FULL_RANGE,
    IDENTITY,
    Layout,
    Tensors,
    base_layer,
    clamp_of,
    natural_layout,
    refused,
    shift,
    whole,
    zero_point,
)
from .residual import ResidualTables, find_residual
from .window import Window

__all__ = ["Binary", "binary", "identity", "lookup", "slopes"]

Triple = tuple[int, int, int]
Binary = Add | Sub | Mul | Maximum | Minimum | SquaredDifference


def identity(operator: Operator, tensors: Tensors, source: str, layout: Layout) -> Layer:
    """A layer that leaves every byte of an image as it is."""
    rows, width, channels = layout
    window = Window(1, (rows, width), (rows, width), (1, 1), (1, 1), (1, 1), (0, 0), False)
    layer = base_layer(operator, tensors, source, window, np.ones((1, 1, channels), np.int8), Mode.DEPTHWISE)
    return whole(replace(layer, zero_point=0, clamp=FULL_RANGE), uniform(channels, 0, *IDENTITY))


def binary(operator: Binary, tensors: Tensors, params: Parameters, layout: Callable[[str], Layout | None]) -> Layer:
    """Two tensors; or one and a constant, which is then a table or a factor for each channel."""
    first, second = tensors[operator.first], tensors[operator.second]
    constants = [name for name in (operator.first, operator.second) if tensors[name].data is not None]
    if len(constants) == 2:
        raise refused(operator, "both operands are constants", "fold it before export")
    if constants:
        source = operator.second if operator.first == constants[0] else operator.first
        if tensors[source].shape != tensors[operator.output].shape:
            raise refused(operator, "a constant widens the other operand", "give them one shape")
        data = tensors[constants[0]].data
        assert data is not None
        if (data == data.flat[0]).all():
            return table(operator, tensors, source, _one_sided(operator, tensors, source), params, layout)
        if isinstance(operator, Mul):
            return _scaled_channels(operator, tensors, source, data, layout)
        raise refused(operator, "an operand is a constant of several values", "fold it into a bias before export")
    if not isinstance(operator, Add | Sub):
        raise refused(operator, "both operands are computed", "it runs on the host")
    if not params.residual:
        raise refused(operator, "the accelerator is built without residual tables", "set `residual`")
    if first.shape != second.shape:
        raise refused(operator, f"operands of shapes {first.shape} and {second.shape} broadcast", "give them one shape")
    tables = _addition_tables(operator, tensors)
    if tables is None:
        raise refused(operator, "no tables give its exact sums", "it runs on the host")
    where = layout(operator.first) or layout(operator.second) or natural_layout(first.shape)
    residual = Residual(
        image=operator.second,
        table_a=tables.first,
        table_b=tables.second,
        offset=tables.offset,
        shift=tables.shift,
        tie=tables.tie,
        zero_point=tables.zero_point,
        clamp=(tables.minimum, tables.maximum),
    )
    return replace(identity(operator, tensors, operator.first, where), residual=residual)


def _addition_tables(operator: Add | Sub, tensors: Tensors) -> ResidualTables | None:
    """Tables that give the kernel's result for every pair of operands."""
    quantized = [tensors[name] for name in (operator.first, operator.second, operator.output)]
    if len({tensor.dtype for tensor in quantized}) != 1:
        return None
    scales = (quantized[0].scale, quantized[1].scale, quantized[2].scale)
    points = (quantized[0].zero_point, quantized[1].zero_point, quantized[2].zero_point)
    return _find_tables(
        isinstance(operator, Sub), quantized[0].dtype, operator.multipliers, operator.shifts, scales, points, operator.clamp
    )


@functools.lru_cache(maxsize=1 << 8)
def _find_tables(
    subtract: bool,
    dtype: str,
    multipliers: Triple,
    shifts: Triple,
    scales: tuple[float, float, float],
    zero_points: Triple,
    clamp: Pair,
) -> ResidualTables | None:
    """Tables for the bytes on chip. What is taken away counts downwards from its end, so that all sums rise."""
    by = 128 if dtype == "uint8" else 0
    values = (np.arange(-128, 128) + by).astype(dtype)
    first, second = np.meshgrid(values, values[::-1] if subtract else values, indexing="ij")
    kernel = golden.sub if subtract else golden.add
    truth = kernel(first, second, zero_points=zero_points, multipliers=multipliers, shifts=shifts, clamp=clamp)
    points = tuple(point - by for point in zero_points)
    points = (points[0], -1 - points[1] if subtract else points[1], points[2])
    limits = (clamp[0] - by, clamp[1] - by)
    found = find_residual((truth.astype(np.int64) - by).astype(np.int8), scales=scales, zero_points=points, clamp=limits)
    return replace(found, second=found.second[::-1]) if found is not None and subtract else found


def table(
    operator: Operator,
    tensors: Tensors,
    source: str,
    results: Array,
    params: Parameters,
    layout: Callable[[str], Layout | None],
) -> Layer:
    """Any function of a byte. `results` are the operator's for the bytes 0 to 255 of its input, as it stores them."""
    if not params.residual:
        raise refused(operator, "the accelerator is built without residual tables", "set `residual`")
    point = zero_point(tensors[operator.output])
    on_chip = np.roll(results, 128) if shift(tensors[source]) else results
    entries = on_chip.astype(np.int64) - shift(tensors[operator.output]) - point
    where = layout(source) or natural_layout(tensors[source].shape)
    residual = Residual(
        image=source,
        table_a=entries.astype(np.int32),
        table_b=np.zeros(256, np.int32),
        offset=0,
        shift=0,
        tie=0,
        zero_point=point,
        clamp=FULL_RANGE,
    )
    return replace(identity(operator, tensors, source, where), residual=residual)


def lookup(operator: Lookup | Quantize, tensors: Tensors, params: Parameters, layout: Callable[[str], Layout | None]) -> Layer:
    """An operator that is a table in itself."""
    if operator.table is None:
        raise refused(operator, "its input is float32", "it runs on the host")
    return table(operator, tensors, operator.input, np.array(operator.table), params, layout)


def slopes(operator: Prelu, tensors: Tensors, params: Parameters, layout: Callable[[str], Layout | None]) -> Layer:
    """PRELU with one slope for all elements: a table."""
    slope = tensors[operator.alpha]
    if slope.data is None or slope.size != 1:
        raise refused(operator, f"it has {slope.size} slopes", "it runs on the host")
    return table(operator, tensors, operator.input, _one_sided(operator, tensors, operator.input), params, layout)


def _one_sided(operator: Binary | Prelu, tensors: Tensors, source: str) -> Array:
    """An operator's results for the bytes 0 to 255 of one operand; the other one is the same constant everywhere."""
    tensor, output = tensors[source], tensors[operator.output]
    small = {name: replace(tensors[name], shape=(256,), data=None) for name in (source, operator.output)}
    (other,) = (name for name in operator.inputs if name != source)
    data = tensors[other].data
    assert data is not None
    values: dict[str, Any] = {source: np.arange(256, dtype=np.uint8).view(tensor.dtype), other: data.reshape(-1)[:1]}
    small[other] = replace(tensors[other], shape=(1,), data=values[other])
    return evaluate_operator(operator, small, values)[output.name]


def _scaled_channels(
    operator: Mul, tensors: Tensors, source: str, data: Array, layout: Callable[[str], Layout | None]
) -> Layer:
    """A product with a factor for each channel: a depthwise convolution of one tap, rounded as the kernel does."""
    shape = tensors[source].shape
    other = tensors[operator.second if operator.first == source else operator.first]
    if data.size != shape[-1] or other.shape[-1:] != shape[-1:]:
        raise refused(operator, "a constant operand varies along more than the channels", "it runs on the host")
    factors = data.reshape(-1).astype(np.int64) - other.zero_point
    if factors.min() < -128 or factors.max() > 127:
        reason = f"its constant less the zero point is {factors.min()} to {factors.max()}, beyond int8"
        raise refused(operator, reason, "quantize the constant symmetrically")
    if 255 * 128 << max(operator.shift, 0) >= 1 << 31:
        raise refused(operator, f"a left shift by {operator.shift} may leave 32 bits", "check the tensors' scales")
    where = layout(source) or natural_layout(shape)
    if where[2] != shape[-1]:
        raise refused(operator, f"its operand lies on chip as {where}", "it runs on the host")
    constants = Constants(
        -zero_point(tensors[source]) * factors,
        np.full(len(factors), operator.multiplier, np.int64),
        np.full(len(factors), 31 - operator.shift, np.int64),
    )
    layer = replace(
        identity(operator, tensors, source, where),
        weights=factors.astype(np.int8).reshape(1, 1, -1),
        zero_point=zero_point(tensors[operator.output]),
        clamp=clamp_of(operator, tensors),
    )
    return whole(layer, constants)
