"""Operators on single elements, on pairs of them and on windows of a graph, on the golden arithmetic."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim import operators as golden
from .ir import (
    Add,
    AveragePool2D,
    Cast,
    Dequantize,
    Lookup,
    Maximum,
    MaxPool2D,
    Minimum,
    Mul,
    Operator,
    Prelu,
    Quantize,
    SquaredDifference,
    Sub,
    Tensor,
)

__all__ = ["evaluate_elementwise"]

Array = npt.NDArray[Any]


def evaluate_elementwise(
    operator: Operator, tensors: Mapping[str, Tensor], values: Mapping[str, Array]
) -> Array | None:
    """The output, from the values of the tensors that the operator reads; None if it is of another kind."""
    output = tensors[operator.output]

    def zero_points(first: str, second: str) -> tuple[int, int, int]:
        return tensors[first].zero_point, tensors[second].zero_point, output.zero_point

    match operator:
        case Add() | Sub():
            return (golden.add if isinstance(operator, Add) else golden.sub)(
                values[operator.first],
                values[operator.second],
                zero_points=zero_points(operator.first, operator.second),
                multipliers=operator.multipliers,
                shifts=operator.shifts,
                clamp=operator.clamp,
            )
        case Mul():
            return golden.mul(
                values[operator.first],
                values[operator.second],
                zero_points=zero_points(operator.first, operator.second),
                multiplier=operator.multiplier,
                shift=operator.shift,
                clamp=operator.clamp,
            )
        case SquaredDifference():
            return golden.squared_difference(
                values[operator.first],
                values[operator.second],
                zero_points=zero_points(operator.first, operator.second),
                multipliers=operator.multipliers,
                shifts=operator.shifts,
            )
        case Maximum():
            return np.maximum(values[operator.first], values[operator.second])
        case Minimum():
            return np.minimum(values[operator.first], values[operator.second])
        case Prelu():
            return golden.prelu(
                values[operator.input],
                values[operator.alpha],
                zero_points=zero_points(operator.input, operator.alpha),
                multipliers=operator.multipliers,
                shifts=operator.shifts,
            )
        case AveragePool2D() | MaxPool2D():
            return (golden.average_pool_2d if isinstance(operator, AveragePool2D) else golden.max_pool_2d)(
                values[operator.input],
                kernel=operator.kernel,
                stride=operator.stride,
                padding=operator.padding,
                clamp=operator.clamp,
            )
        case Lookup():
            return golden.lookup(values[operator.input], operator.table, output.dtype)
        case Quantize(table=None):
            real = values[operator.input]
            return golden.quantize(real, output.scale, output.zero_point, output.dtype, half_even=operator.half_even)
        case Quantize(table=tuple(table)):
            return golden.lookup(values[operator.input], table, output.dtype)
        case Dequantize():
            source = tensors[operator.input]
            return golden.dequantize(values[operator.input], source.scale, source.zero_point)
        case Cast():
            return values[operator.input].astype(operator.dtype)
    return None
