"""Compare what the machine left in its memories with what it must leave there: every tensor, element by element."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.isa import Opcode
from ..hw.program import Program
from ..sim.trace import Event, Trace

__all__ = ["count_differences", "instruction_ends"]

Array = npt.NDArray[Any]

_ENDS = {Opcode.LOAD: Event.LOAD_DONE, Opcode.COMPUTE: Event.COMPUTE_DONE, Opcode.STORE: Event.STORE_DONE}


def count_differences(
    expected: Mapping[str, Array], found: Mapping[str, Array], names: Iterable[str]
) -> dict[str, int]:
    """How many elements differ, for each name in `names` that differs at all; a tensor that is missing differs wholly.

    Shapes need not agree, as the same tensor is flat here and an image there; sizes do. On chip uint8 is int8, 128 less.
    """
    differences = {}
    for name in names:
        want, have = expected[name].ravel(), found.get(name)
        if have is not None and want.dtype == np.uint8 and have.dtype == np.int8:
            have = have.view(np.uint8) ^ np.uint8(0x80)
        if have is None or have.size != want.size:
            differences[name] = int(want.size)
        elif count := int((want != have.ravel()).sum()):
            differences[name] = count
    return differences


def instruction_ends(program: Program, trace: Trace) -> dict[int, int]:
    """The cycle in which each LOAD, COMPUTE and STORE finished, by instruction number, as far as they did."""
    ends = {opcode: iter(trace.cycles(event).tolist()) for opcode, event in _ENDS.items()}
    found = {}
    for index, (opcode, _) in enumerate(program.decoded()):
        cycle = next(ends[opcode], None) if opcode in ends else None
        if cycle is not None:
            found[index] = int(cycle)
    return found
