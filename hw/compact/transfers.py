"""What the host does in the place of LOAD and STORE: bytes between a program's tensors and the activation memory."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..encoding import Fields
from ..isa import INSTRUCTION_BYTES, Opcode
from ..params import BANKS
from ..program import Program
from .host_port import ACTIVATIONS

__all__ = ["Transfer", "program_image", "transfers"]

Ints = npt.NDArray[np.int64]


class Transfer:
    """A LOAD or STORE. Byte i of its stream lies ``offsets[i]`` behind ``base`` outside, and at byte ``places[i]`` of the
    activation memory, among the ``words`` (numbers, sorted) of ``side`` bytes that it takes there."""

    def __init__(self, opcode: Opcode, fields: Fields, side: int) -> None:
        self.side = side
        bank_words = ACTIVATIONS // BANKS // side
        self.loads = opcode is Opcode.LOAD
        self.base = fields["base"]
        runs = np.arange(fields["runs"])[:, None] * fields["run_pitch"]
        self.offsets: Ints = (fields["offset"] + runs + np.arange(fields["run_bytes"])).ravel()
        words = -(-fields["channels"] // side)
        lines = fields["bank"] + np.arange(fields["rows"])
        rows = (lines % BANKS) * bank_words + (fields["address"] + lines // BANKS * fields["row_step"]) % bank_words
        pixels = (rows[:, None] + np.arange(fields["width"]) * words).reshape(-1, 1)
        self.words: Ints = np.sort((pixels + np.arange(words)).ravel())
        self.places: Ints = (pixels * side + np.arange(fields["channels"])).ravel()

    def load(self, activations: npt.NDArray[np.uint8], stream: npt.NDArray[np.uint8]) -> None:
        """Put a stream's bytes into the activation memory; what is left of a pixel's words becomes zero."""
        activations.reshape(-1, self.side)[self.words] = 0
        activations[self.places] = stream


def transfers(program: Program) -> Iterator[Transfer]:
    """The LOADs and STOREs of a program of one run, in order."""
    for opcode, fields in program.decoded():
        if opcode in (Opcode.LOAD, Opcode.STORE):
            yield Transfer(opcode, fields, program.params.vector)


def program_image(program: Program) -> tuple[int, bytes]:
    """The byte address of a program's first instruction in the program memory, and that memory: its weights come first."""
    base = -(-len(program.weights) // INSTRUCTION_BYTES) * INSTRUCTION_BYTES
    return base, program.weights.ljust(base, b"\0") + program.instructions
