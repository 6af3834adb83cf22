"""Run a graph on the golden operator arithmetic: what every tensor of the network holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim import operators as golden
from .ir import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    MaxPool2D,
    Operator,
    Reshape,
    Softmax,
    Tensor,
)

__all__ = ["evaluate", "evaluate_operator"]

Array = npt.NDArray[Any]


def evaluate(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor of the network for one case, by name: constants, inputs and each operator's output.

    `inputs` holds an array for each of `graph.inputs`, in the tensor's own dtype and shape; anything else is a
    `ValueError`. Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`.
    """
    if set(inputs) != set(graph.inputs):
        raise ValueError(f"inputs {sorted(inputs)} given, but the network has {sorted(graph.inputs)}")
    values = {name: tensor.data for name, tensor in graph.tensors.items() if tensor.data is not None}
    for name, array in inputs.items():
        tensor = graph.tensors[name]
        if array.shape != tensor.shape or array.dtype != tensor.dtype:
            raise ValueError(
                f"input {name!r} is {array.dtype}{list(array.shape)}, and must be {tensor.dtype}{list(tensor.shape)}"
            )
        values[name] = array
    for operator in graph.operators:
        values[operator.output] = evaluate_operator(operator, graph.tensors, values)
    return values


def evaluate_operator(operator: Operator, tensors: Mapping[str, Tensor], values: Mapping[str, Array]) -> Array:
    """One operator's output, from the values of the tensors that it reads."""
    shape = tensors[operator.output].shape
    match operator:
        case Conv2D() | DepthwiseConv2D():
            convolution = golden.conv2d if isinstance(operator, Conv2D) else golden.depthwise_conv2d
            return convolution(
                values[operator.input],
                values[operator.weights],
                None if operator.bias is None else values[operator.bias],
                multipliers=np.array(operator.multipliers),
                shifts=np.array(operator.shifts),
                stride=operator.stride,
                dilation=operator.dilation,
                padding=operator.padding,
                input_zero_point=tensors[operator.input].zero_point,
                output_zero_point=tensors[operator.output].zero_point,
                clamp=operator.clamp,
            )
        case FullyConnected():
            weights = tensors[operator.weights]
            return golden.fully_connected(
                values[operator.input],
                values[operator.weights],
                None if operator.bias is None else values[operator.bias],
                scales=np.array(operator.scales),
                input_zero_point=tensors[operator.input].zero_point,
                weights_zero_point=0 if weights.per_axis else weights.zero_point,
                output_zero_point=tensors[operator.output].zero_point,
                clamp=operator.clamp,
            ).reshape(shape)
        case Add():
            first, second, output = (tensors[name] for name in (operator.first, operator.second, operator.output))
            return golden.add(
                values[operator.first],
                values[operator.second],
                zero_points=(first.zero_point, second.zero_point, output.zero_point),
                multipliers=operator.multipliers,
                shifts=operator.shifts,
                clamp=operator.clamp,
            )
        case AveragePool2D() | MaxPool2D():
            pool = golden.average_pool_2d if isinstance(operator, AveragePool2D) else golden.max_pool_2d
            return pool(
                values[operator.input],
                kernel=operator.kernel,
                stride=operator.stride,
                padding=operator.padding,
                clamp=operator.clamp,
            )
        case Reshape():
            return golden.reshape(values[operator.input], operator.shape)
        case Softmax():
            return golden.softmax(
                values[operator.input],
                multiplier=operator.multiplier,
                shift=operator.shift,
                diff_min=operator.diff_min,
            )
    raise TypeError(f"no arithmetic for {type(operator).__name__}")
