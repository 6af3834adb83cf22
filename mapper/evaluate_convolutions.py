"""Convolutions and matrix products of a graph on the golden arithmetic."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim import operators as golden
from .ir import BatchMatMul, Conv2D, DepthwiseConv2D, FullyConnected, Tensor, TransposeConv

__all__ = ["evaluate_convolution"]

Array = npt.NDArray[Any]
Weighted = Conv2D | DepthwiseConv2D | TransposeConv | FullyConnected


def evaluate_convolution(
    operator: Weighted | BatchMatMul, tensors: Mapping[str, Tensor], values: Mapping[str, Array]
) -> Array:
    """The output, from the values of the tensors that the operator reads."""
    if isinstance(operator, BatchMatMul):
        names = (operator.first, operator.second, operator.output)
        return golden.batch_matmul(
            values[operator.first],
            values[operator.second],
            multiplier=operator.multiplier,
            shift=operator.shift,
            transpose_first=operator.transpose_first,
            transpose_second=operator.transpose_second,
            zero_points=(tensors[names[0]].zero_point, tensors[names[1]].zero_point, tensors[names[2]].zero_point),
        )
    weights = tensors[operator.weights]
    operands = (
        values[operator.input],
        values[operator.weights],
        None if operator.bias is None else values[operator.bias],
    )
    common: dict[str, Any] = {
        "input_zero_point": tensors[operator.input].zero_point,
        "weights_zero_point": 0 if weights.per_axis else weights.zero_point,
        "output_zero_point": tensors[operator.output].zero_point,
        "clamp": operator.clamp,
    }
    if isinstance(operator, FullyConnected):
        return golden.fully_connected(*operands, scales=np.array(operator.scales), **common)
    common |= {
        "multipliers": np.array(operator.multipliers),
        "shifts": np.array(operator.shifts),
        "stride": operator.stride,
        "padding": operator.padding,
    }
    if isinstance(operator, TransposeConv):
        return golden.transpose_conv(*operands, size=operator.size, **common)
    convolution = golden.conv2d if isinstance(operator, Conv2D) else golden.depthwise_conv2d
    return convolution(*operands, dilation=operator.dilation, single_rounding=operator.single_rounding, **common)
