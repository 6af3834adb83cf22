"""The operators of a program that the host runs, in numpy, around the run of the accelerator."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.program import AcceleratorRun, HostStep, Program
from ..sim import operators

__all__ = ["run_steps"]

Array = npt.NDArray[Any]

_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "ADD": operators.add,
    "AVERAGE_POOL_2D": operators.average_pool_2d,
    "CONV_2D": operators.conv2d,
    "DEPTHWISE_CONV_2D": operators.depthwise_conv2d,
    "FULLY_CONNECTED": operators.fully_connected,
    "MAX_POOL_2D": operators.max_pool_2d,
    "RESHAPE": operators.reshape,
    "SOFTMAX": operators.softmax,
}

_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def run_steps(
    program: Program,
    inputs: Mapping[str, Array],
    accelerate: Callable[[Mapping[str, Array]], Mapping[str, Array]],
) -> dict[str, Array]:
    """Every tensor outside the accelerator for one case, from the model's `inputs`.

    `accelerate` is called once, with the accelerator's inputs by name, and gives its outputs.
    """
    values: dict[str, Array] = dict(inputs)
    shapes = {tensor.name: tensor.shape for tensor in program.host_tensors}
    shapes |= {tensor.name: tensor.shape for tensor in (*program.inputs, *program.outputs)}
    for tensor in program.host_tensors:
        if tensor.data is not None:
            values[tensor.name] = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
    for step in program.steps:
        if isinstance(step, AcceleratorRun):
            values |= accelerate({tensor.name: values[tensor.name] for tensor in program.inputs})
        else:
            values[step.outputs[0]] = _run(step, values).reshape(shapes[step.outputs[0]])
    return values


def _run(step: HostStep, values: Mapping[str, Array]) -> Array:
    operands: list[Array | None] = [values[name] for name in step.inputs]
    if step.op in _WITH_BIAS and len(operands) == 2:
        operands.append(None)
    return _FUNCTIONS[step.op](*operands, **step.parameters)
