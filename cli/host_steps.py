"""A program's steps for one case: the runs of the accelerator, and the host's operators in numpy between them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from ..hw.program import HostStep, Program
from ..mapper.evaluate import evaluate_operator
from ..mapper.host_steps import read_host_step, read_tensors

__all__ = ["run_steps"]

Array = npt.NDArray[Any]


def run_steps(
    program: Program,
    inputs: Mapping[str, Array],
    accelerate: Callable[[int, Program, Mapping[str, Array]], Mapping[str, Array]],
) -> dict[str, Array]:
    """Every tensor outside the accelerator for one case, from the model's `inputs`.

    `accelerate` is called for each run with its number, the run as a program of its own, and that program's inputs by
    name; it gives its outputs. Raises `ProgramError` for a host step that is not understood.
    """
    tensors = read_tensors(program)
    values = {name: tensor.data for name, tensor in tensors.items() if tensor.data is not None} | dict(inputs)
    runs = iter(enumerate(program.parts))
    for step in program.steps:
        if isinstance(step, HostStep):
            values |= evaluate_operator(read_host_step(step), tensors, values)
        else:
            number, part = next(runs)
            values |= accelerate(number, part, {tensor.name: values[tensor.name] for tensor in part.inputs})
    return values
