"""Multiplications of an operator: what MACs are counted by."""

import math
from collections.abc import Mapping

from .ir import (
    BatchMatMul,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Operator,
    Tensor,
    TransposeConv,
    UnidirectionalSequenceLstm,
)

__all__ = ["count_macs"]


def count_macs(operator: Operator, tensors: Mapping[str, Tensor]) -> int:
    """Multiplications of a convolution or matrix product, padded positions included; 0 for anything else."""
    output = tensors[operator.output]
    match operator:
        case Conv2D():
            return output.size * math.prod(tensors[operator.weights].shape[1:])
        case DepthwiseConv2D():
            return output.size * math.prod(tensors[operator.weights].shape[1:3])
        case TransposeConv():
            _, height, width, _ = tensors[operator.input].shape
            return output.shape[0] * height * width * tensors[operator.weights].size
        case FullyConnected():
            return output.size * tensors[operator.weights].shape[1]
        case BatchMatMul():
            return output.size * tensors[operator.first].shape[-2 if operator.transpose_first else -1]
        case UnidirectionalSequenceLstm():
            names = (*operator.input_weights, *operator.recurrent_weights)
            return math.prod(output.shape[:2]) * sum(tensors[name].size for name in names)
    return 0
