"""Pools and additions to layers: depthwise convolutions whose weights are all 1."""

import functools
from dataclasses import replace

import numpy as np

from ..hw.isa import Combine, Mode
from ..hw.params import Parameters
from ..sim.operators import add
from .average import find_average
from .ir import Add, AveragePool2D, MaxPool2D
from .layer import Layer, Pair, Region, Residual, uniform
from .lower_base import FULL_RANGE, Layout, Tensors, base_layer, natural_layout, refused, walk, whole
from .residual import ResidualTables, find_residual
from .window import Window, inside_counts

__all__ = ["addition", "average_pool", "maximum_pool"]

Triple = tuple[int, int, int]

IDENTITY = (1 << 30, 30)
"""Multiplier and shift that leave a sum as it is."""


def addition(operator: Add, tensors: Tensors, params: Parameters, layout: Layout | None) -> Layer:
    first, second = tensors[operator.first], tensors[operator.second]
    if not params.residual:
        raise refused(operator, "the accelerator is built without residual tables", "set `residual`")
    if first.data is not None or second.data is not None:
        raise refused(operator, "an operand is a constant", "fold it into a bias before export")
    if first.shape != second.shape:
        raise refused(operator, f"operands of shapes {first.shape} and {second.shape} broadcast", "give them one shape")
    tables = _addition_tables(operator, tensors)
    if tables is None:
        raise refused(operator, "no tables give its exact sums", "it runs on the host")
    rows, width, channels = layout or natural_layout(first.shape)
    window = Window(1, (rows, width), (rows, width), (1, 1), (1, 1), (1, 1), (0, 0), False)
    weights = np.ones((1, 1, channels), np.int8)
    layer = base_layer(operator, tensors, operator.first, window, weights, Mode.DEPTHWISE)
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
    return whole(replace(layer, zero_point=0, clamp=FULL_RANGE, residual=residual), uniform(channels, 0, *IDENTITY))


def _addition_tables(operator: Add, tensors: Tensors) -> ResidualTables | None:
    """Tables that give the kernel's result for every pair of operands."""
    quantized = [tensors[name] for name in (operator.first, operator.second, operator.output)]
    scales = tuple(tensor.scale for tensor in quantized)
    zero_points = tuple(tensor.zero_point for tensor in quantized)
    return _find_tables(operator.multipliers, operator.shifts, scales, zero_points, operator.clamp)


@functools.cache
def _find_tables(
    multipliers: Triple, shifts: Triple, scales: tuple[float, float, float], zero_points: Triple, clamp: Pair
) -> ResidualTables | None:
    values = np.arange(-128, 128).astype(np.int8)
    first, second = np.meshgrid(values, values, indexing="ij")
    truth = add(first, second, zero_points=zero_points, multipliers=multipliers, shifts=shifts, clamp=clamp)
    return find_residual(truth, scales=scales, zero_points=zero_points, clamp=clamp)


def _pool(operator: AveragePool2D | MaxPool2D, tensors: Tensors, pad: int) -> tuple[Layer, Window]:
    channels = tensors[operator.input].shape[3]
    window = walk(operator, tensors, operator.kernel)
    weights = np.ones((*operator.kernel, channels), np.int8)
    layer = base_layer(operator, tensors, operator.input, window, weights, Mode.DEPTHWISE)
    return replace(layer, pad=pad, zero_point=0), window


def average_pool(operator: AveragePool2D, tensors: Tensors) -> Layer:
    layer, window = _pool(operator, tensors, 0)
    regions, roundings = [], set()
    for row, column, rows, columns, taps in inside_counts(window):
        found = find_average(taps)
        if found is None:
            raise refused(operator, f"no factors give the exact mean of {taps} elements", "it runs on the host")
        multiplier, shift, rounding = found
        regions.append(Region(row, column, rows, columns, uniform(layer.outputs, 0, multiplier, shift)))
        roundings.add(rounding)
    return replace(layer, regions=tuple(regions), rounding=roundings.pop())


def maximum_pool(operator: MaxPool2D, tensors: Tensors) -> Layer:
    layer, _ = _pool(operator, tensors, -128)
    return whole(replace(layer, combine=Combine.MAX), uniform(layer.outputs, 0, *IDENTITY))
