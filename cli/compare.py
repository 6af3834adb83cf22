"""Compare what the machine left in its memories with what it must leave there: every tensor, element by element."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.isa import Opcode
from ..hw.params import BANKS
from ..hw.program import Program
from ..sim.interpreter import Interpreter, InterpreterError
from ..sim.trace import Event, Trace

__all__ = ["count_differences", "instruction_ends", "traced_images"]

Array = npt.NDArray[Any]

_ENDS = {Opcode.LOAD: Event.LOAD_DONE, Opcode.COMPUTE: Event.COMPUTE_DONE, Opcode.STORE: Event.STORE_DONE}


def count_differences(
    expected: Mapping[str, Array], found: Mapping[str, Array], names: Iterable[str]
) -> dict[str, int]:
    """How many elements differ, for each name in `names` that differs at all; a tensor that is missing differs wholly.

    Shapes need not agree, as the same tensor is flat here and an image there; sizes do.
    """
    differences = {}
    for name in names:
        want, have = expected[name].ravel(), found.get(name)
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


def traced_images(program: Program, trace: Trace) -> dict[str, npt.NDArray[np.int8]]:
    """Every tensor of the program's on-chip table as the hardware wrote it, rebuilt from its writes to the scratchpad.

    A tensor that was not completed, or not all of it written, is missing.
    """
    params = program.params
    ends = instruction_ends(program, trace)
    # The interpreter knows how a tensor lies on chip; here it looks at the hardware's bytes.
    reader = Interpreter(program, np.zeros(0, np.uint8))
    content = reader.scratchpad.reshape(BANKS, params.bank_words, params.units, params.unit)
    written = reader.written.reshape(content.shape)
    writes = np.flatnonzero(trace.event <= Event.RESULT_WRITE)
    writes = writes[np.argsort(trace.cycle[writes], kind="stable")]
    cycles = trace.cycle[writes]
    images = {}
    done = 0
    for tensor in sorted(program.tensors, key=lambda tensor: ends.get(tensor.last_instruction, 0)):
        if (end := ends.get(tensor.last_instruction)) is None:
            continue
        until = int(np.searchsorted(cycles, end, side="right"))
        part = writes[done:until]
        done = max(done, until)
        for unit in range(params.units):
            chosen = part[trace.mask[part] >> unit & 1 == 1]
            place = trace.bank[chosen], trace.address[chosen], unit
            # Of several writes to one place numpy keeps the last, which is the latest.
            content[place] = trace.data[chosen].view(np.uint8).reshape(len(chosen), params.units, params.unit)[:, unit]
            written[place] = True
        try:
            images[tensor.name] = reader.image(tensor)
        except InterpreterError:
            continue
    return images
