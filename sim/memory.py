"""External memory: where the regions of a program lie, what is in them before the start, and tensors read from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.isa import Base
from ..hw.program import Program, TensorInfo

__all__ = ["make_memory", "memory_map", "read_tensor"]

Bytes = npt.NDArray[np.uint8]

_PAGE = 4096


def memory_map(program: Program) -> dict[Base, int]:
    """An address for every base register: regions one behind the other, each at a multiple of 4096 bytes."""
    bases, at = {}, 0
    for base in Base:
        bases[base] = at
        at += -(-program.region_bytes(base) // _PAGE) * _PAGE
    return bases


def make_memory(program: Program, inputs: Mapping[str, npt.NDArray[Any]]) -> tuple[Bytes, dict[Base, int]]:
    """External memory before the start, and the base addresses in it.

    `inputs` has an array for every input tensor, of its dtype and shape; raises ``ValueError`` naming one that has not.
    """
    bases = memory_map(program)
    memory = np.zeros(max(bases[base] + program.region_bytes(base) for base in Base), np.uint8)
    blobs = [(Base.PROGRAM, 0, program.instructions), (Base.WEIGHTS, 0, program.weights)]
    for tensor in program.inputs:
        value = inputs.get(tensor.name)
        if value is None or value.shape != tensor.shape or value.dtype != np.dtype(tensor.dtype):
            found = "nothing" if value is None else f"{value.dtype} {value.shape}"
            raise ValueError(f"input {tensor.name}: expected {tensor.dtype} {tensor.shape}, got {found}")
        blobs.append((tensor.base, tensor.offset, tensor.encode(value)))
    for base, offset, blob in blobs:
        start = bases[base] + offset
        memory[start : start + len(blob)] = np.frombuffer(blob, np.uint8)
    return memory, bases


def read_tensor(memory: Bytes, bases: Mapping[Base, int], tensor: TensorInfo) -> npt.NDArray[Any]:
    """A copy of a tensor in external memory."""
    start = bases[tensor.base] + tensor.offset
    return tensor.decode(memory[start : start + tensor.nbytes].tobytes())
