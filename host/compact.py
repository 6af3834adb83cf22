"""The driver of the compact accelerator: the host itself moves what LOAD and STORE name."""

from collections.abc import Mapping

import numpy as np
from tilewright.hw.compact.host_port import ACTIVATIONS
from tilewright.hw.compact.transfers import Transfer, program_image, transfers
from tilewright.hw.isa import INSTRUCTION_BYTES
from tilewright.hw.program import Program
from tilewright.hw.registers import CONTROL

from .driver import Accelerator, MemoryMap, Run

__all__ = ["CompactAccelerator"]

_START = CONTROL.const({"start": 1}).as_bits()


class CompactAccelerator(Accelerator):
    """As `Accelerator`, for one whose parameters are `compact`. Tensors between runs stay with the host."""

    _base = 0
    _outside = np.zeros(0, np.uint8)

    def load(self, program: Program) -> None:
        """Reset the accelerator, and put a program into its program memory. Raises `RefusedError` if it is for another one."""
        self._check_fingerprint(program)
        self.reset()
        self._program, self._map = program, MemoryMap.of(program)
        self._outside = np.zeros(self._map.end, np.uint8)
        self._base, image = program_image(program)
        self._transport.write_memory(0, image)

    def run(self, inputs: Mapping[str, np.ndarray], number: int = 0) -> Run:
        """Do one of the program's runs on its inputs, by name; cycles are the accelerator's alone.

        What an earlier run gave need not be given again. Raises ``ValueError`` for wrong inputs and `AcceleratorError`.
        """
        if self._program is None:
            raise ValueError("no program is loaded")
        first, part = self._program.runs[number].first, self._program.parts[number]
        for address, data in self._encoded(part, inputs):
            self._outside[address : address + len(data)] = np.frombuffer(data, np.uint8)
        moves = list(transfers(part))
        activations = np.zeros(ACTIVATIONS, np.uint8)
        for move in moves:
            if move.loads:
                move.load(activations, self._outside[self._map.bases[move.base] + move.offsets])
                for start, end in _spans(move):
                    self._transport.write_memory(ACTIVATIONS + start, activations[start:end].tobytes())
        self._write("BASE_PROGRAM", self._base + first * INSTRUCTION_BYTES)
        self._write("CONTROL", _START)
        self._wait(lambda status: status.done, first)
        for move in moves:
            if not move.loads:
                for start, end in _spans(move):
                    data = self._transport.read_memory(ACTIVATIONS + start, end - start)
                    activations[start:end] = np.frombuffer(data, np.uint8)
                self._outside[self._map.bases[move.base] + move.offsets] = activations[move.places]
        outputs = {}
        for tensor in part.outputs:
            at = self._map.bases[tensor.base] + tensor.offset
            outputs[tensor.name] = tensor.decode(self._outside[at : at + tensor.nbytes].tobytes())
        return Run(outputs, self._read("CYCLES_LO"), {})


def _spans(move: Transfer) -> list[tuple[int, int]]:
    """First and end byte of each piece of the activation memory that is moved in one go."""
    cuts = np.flatnonzero(np.diff(move.words) != 1) + 1
    return [(move.side * int(piece[0]), move.side * (int(piece[-1]) + 1)) for piece in np.split(move.words, cuts)]
