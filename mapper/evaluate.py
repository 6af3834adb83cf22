"""Run a graph on the golden operator arithmetic: what every tensor of the network holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim import operators as golden
from .evaluate_convolutions import evaluate_convolution
from .evaluate_elementwise import evaluate_elementwise
from .evaluate_movement import evaluate_movement
from .ir import (
    ArgMax,
    ArgMin,
    BatchMatMul,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    Mean,
    Operator,
    ReduceMax,
    ReduceMin,
    Softmax,
    Tensor,
    TransposeConv,
    UnidirectionalSequenceLstm,
)

__all__ = ["evaluate", "evaluate_operator"]

Array = npt.NDArray[Any]
Tensors = Mapping[str, Tensor]
Values = Mapping[str, Array]


def evaluate(graph: Graph, inputs: Values) -> dict[str, Array]:
    """Every tensor of the network for one case, by name: constants, inputs and each operator's outputs.

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
        values |= evaluate_operator(operator, graph.tensors, values)
    return values


def evaluate_operator(operator: Operator, tensors: Tensors, values: Values) -> dict[str, Array]:
    """What one operator defines, by name, from the values of the tensors that it reads.

    Of `tensors` the operator's own are needed: shape, element type and quantization.
    """
    results: tuple[Array, ...]
    match operator:
        case Conv2D() | DepthwiseConv2D() | TransposeConv() | FullyConnected() | BatchMatMul():
            results = (evaluate_convolution(operator, tensors, values),)
        case Mean() | ReduceMax() | ReduceMin() | ArgMax() | ArgMin() | Softmax():
            results = (_evaluate_along_axes(operator, tensors, values),)
        case UnidirectionalSequenceLstm():
            results = _evaluate_lstm(operator, tensors, values)
        case _:
            result = evaluate_elementwise(operator, tensors, values)
            results = evaluate_movement(operator, tensors, values) if result is None else (result,)
    return {
        name: result.reshape(tensors[name].shape) for name, result in zip(operator.outputs, results, strict=True)
    }


def _evaluate_along_axes(
    operator: Mean | ReduceMax | ReduceMin | ArgMax | ArgMin | Softmax, tensors: Tensors, values: Values
) -> Array:
    source, output = values[operator.input], tensors[operator.output]
    match operator:
        case Mean():
            return golden.mean(
                source,
                axes=operator.axes,
                keep_dims=operator.keep_dims,
                multiplier=operator.multiplier,
                shift=operator.shift,
                zero_points=(tensors[operator.input].zero_point, output.zero_point),
            )
        case ReduceMax():
            return np.asarray(source.max(axis=operator.axes, keepdims=operator.keep_dims))
        case ReduceMin():
            return np.asarray(source.min(axis=operator.axes, keepdims=operator.keep_dims))
        case ArgMax():
            return np.asarray(source.argmax(axis=operator.axis)).astype(output.dtype)
        case ArgMin():
            return np.asarray(source.argmin(axis=operator.axis)).astype(output.dtype)
        case Softmax():
            return golden.softmax(
                source, multiplier=operator.multiplier, shift=operator.shift, diff_min=operator.diff_min
            )


def _evaluate_lstm(operator: UnidirectionalSequenceLstm, tensors: Tensors, values: Values) -> tuple[Array, ...]:
    gates = [
        golden.Gate(values[weights], values[recurrent], values[bias], *factors)
        for weights, recurrent, bias, *factors in zip(
            operator.input_weights,
            operator.recurrent_weights,
            operator.biases,
            operator.input_factors,
            operator.recurrent_factors,
            strict=True,
        )
    ]
    source = values[operator.input]
    outputs, *states = golden.lstm(
        source.swapaxes(0, 1) if operator.time_major else source,
        input_gate=gates[-4] if len(gates) == 4 else None,
        forget_gate=gates[-3],
        cell_gate=gates[-2],
        output_gate=gates[-1],
        zero_points=(tensors[operator.input].zero_point, tensors[operator.output].zero_point),
        cell_integer_bits=operator.cell_integer_bits,
        cell_clip=operator.cell_clip,
        hidden_factor=operator.hidden_factor,
    )
    return (outputs.swapaxes(0, 1) if operator.time_major else outputs, *states)
