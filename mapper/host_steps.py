"""Host operators as a program has them, and back: every operator of the IR, every tensor that the host sees."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from ..hw.program import HostStep, HostTensor, Program, ProgramError, TensorInfo
from ..hw.rows import read_row
from .errors import UnsupportedError
from .ir import Operator, Quantization, Tensor
from .sizes import Sizes
from .verify import verify_operator

__all__ = ["host_step", "host_tensor", "read_host_step", "read_tensors", "verify_host_steps"]


def host_step(operator: Operator) -> HostStep:
    """The operator's kind, the tensors it reads and defines, and all its fields as `parameters`."""
    return HostStep(operator.KIND, operator.inputs, operator.outputs, dataclasses.asdict(operator))


def read_host_step(step: HostStep) -> Operator:
    """The operator that `host_step` wrote. Raises `ProgramError` if there is no such operator."""
    kind = _kinds().get(step.op)
    if kind is None:
        raise ProgramError(f"steps: {step.op!r} is no operator that the host knows")
    try:
        operator = read_row(kind, step.parameters, f"steps: {step.op}")
    except ValueError as error:
        raise ProgramError(str(error)) from None
    if (operator.inputs, operator.outputs) != (step.inputs, step.outputs):
        raise ProgramError(f"steps: {step.op}: its tensors are not those of its parameters")
    return operator


def verify_host_steps(program: Program) -> None:
    """Raise `ProgramError` if a host step is no operator that computes its outputs from its inputs.

    To be called behind `verify_program`, for a program that comes from a file.
    """
    tensors = read_tensors(program)
    sizes = Sizes()
    for number, step in enumerate(program.steps):
        if isinstance(step, HostStep):
            operator = read_host_step(step)
            try:
                verify_operator(operator, tensors)
                sizes.check(operator, tensors)
            except (ValueError, UnsupportedError) as error:
                raise ProgramError(f"steps: step {number} ({step.op}): {error}") from None


def _kinds() -> Mapping[str, type[Operator]]:
    def below(kind: type[Operator]) -> Iterator[type[Operator]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    return {kind.KIND: kind for kind in below(Operator) if hasattr(kind, "KIND")}


def host_tensor(tensor: Tensor) -> HostTensor:
    """A tensor of the graph as a program's table has it."""
    q = tensor.quantization or Quantization((), ())
    data = None if tensor.data is None else tensor.data.tobytes()
    return HostTensor(tensor.name, tensor.shape, tensor.dtype, q.scale, q.zero_point, q.axis, data)


def read_tensors(program: Program) -> dict[str, Tensor]:
    """Every tensor outside the chip, by name, as the graph had it; constants with their data.

    Raises `ProgramError` for a constant that has not the bytes of its shape.
    """
    found = {tensor.name: _external(tensor) for tensor in program.inputs + program.outputs}
    for tensor in program.host_tensors:
        data = None
        if tensor.data is not None:
            try:
                data = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
            except (TypeError, ValueError):
                what = f"{len(tensor.data)} bytes are not {tensor.dtype} {tensor.shape}"
                raise ProgramError(f"host tensor {tensor.name!r}: {what}") from None
        quantization = Quantization(tensor.scale, tensor.zero_point, tensor.axis) if tensor.scale else None
        found[tensor.name] = Tensor(tensor.name, tensor.shape, tensor.dtype, quantization, data)
    return found


def _external(tensor: TensorInfo) -> Tensor:
    quantization = None if tensor.scale is None else Quantization((tensor.scale,), (tensor.zero_point,))
    return Tensor(tensor.name, tensor.shape, tensor.dtype, quantization)
