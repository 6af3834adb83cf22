"""What the bench saw inside the accelerator: every write to the scratchpad, and the end of every instruction."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tilewright.hw.isa import Opcode
from tilewright.hw.params import BANKS
from tilewright.hw.program import OnChipImage, Program

__all__ = ["Event", "Trace"]


class Event(enum.IntEnum):
    """What happened in a cycle."""

    LOAD_WRITE = 0  # a vector from external memory
    RESULT_WRITE = 1  # a vector from the post-processor
    LOAD_DONE = 2
    COMPUTE_DONE = 3
    STORE_DONE = 4


@dataclass(frozen=True)
class Trace:
    """Events in the order of time, as arrays of equal length: ``cycle`` (from the start), ``event``, and for a write
    ``bank``, ``address`` (word), ``mask`` (units) and ``data`` (events x vector bytes)."""

    cycle: npt.NDArray[Any]
    event: npt.NDArray[Any]
    bank: npt.NDArray[Any]
    address: npt.NDArray[Any]
    mask: npt.NDArray[Any]
    data: npt.NDArray[Any]

    @classmethod
    def read(cls, path: Path, vector: int) -> "Trace":
        """Read the bench's file: per event the cycle, a tag, and a vector (32-bit words, little-endian)."""
        words = np.fromfile(path, dtype="<u4").reshape(-1, 2 + vector // 4)
        tag = words[:, 1]
        return cls(
            cycle=words[:, 0].astype(np.int64),
            event=(tag >> 28).astype(np.uint8),
            bank=(tag >> 26 & 3).astype(np.uint8),
            address=(tag >> 8 & 0x3FFFF).astype(np.int32),
            mask=(tag & 0xFF).astype(np.uint8),
            data=np.ascontiguousarray(words[:, 2:]).view(np.int8),
        )

    def cycles(self, event: Event) -> npt.NDArray[np.int64]:
        """The cycles in which an event happened."""
        return self.cycle[self.event == event]

    def images(self, program: Program) -> dict[str, npt.NDArray[np.int8]]:
        """Every tensor that the program stores on chip, by name as int8 NHWC, as it was when its last instruction
        finished.

        Raises ``ValueError`` if the trace ends before that.
        """
        params = program.params
        scratchpad = np.zeros((BANKS, params.bank_words * params.units, params.unit), np.int8)
        ends = self._ends(program)
        images = {}
        at = 0
        for tensor in sorted(program.tensors, key=lambda tensor: ends[tensor.last_instruction]):
            end = ends[tensor.last_instruction]
            self._replay(scratchpad, slice(at, end), params.units)
            at = end
            images[tensor.name] = _image(scratchpad, tensor)
        return images

    def _ends(self, program: Program) -> dict[int, int]:
        """For every LOAD and COMPUTE the number of the event that ends it."""
        ends: dict[int, int] = {}
        for opcode, event in ((Opcode.LOAD, Event.LOAD_DONE), (Opcode.COMPUTE, Event.COMPUTE_DONE)):
            instructions = [n for n, (code, _) in enumerate(program.decoded()) if code is opcode]
            events = np.flatnonzero(self.event == event)
            if len(events) < len(instructions):
                raise ValueError(f"trace: {len(events)} of {len(instructions)} {opcode.name} instructions finished")
            ends |= dict(zip(instructions, map(int, events), strict=False))
        return ends

    def _replay(self, scratchpad: npt.NDArray[np.int8], events: slice, units: int) -> None:
        """Do the writes among some events; where two hit the same unit the later one stays."""
        writes = np.flatnonzero(self.event[events] <= Event.RESULT_WRITE) + events.start
        mask = self.mask[writes, None] >> np.arange(units) & 1
        write, unit = np.nonzero(mask)
        n = writes[write]
        data = self.data[n].reshape(len(n), units, scratchpad.shape[2])
        scratchpad[self.bank[n], self.address[n] * units + unit] = data[np.arange(len(n)), unit]


def _image(scratchpad: npt.NDArray[np.int8], tensor: OnChipImage) -> npt.NDArray[np.int8]:
    _, rows, width, channels = tensor.shape
    unit = scratchpad.shape[2]
    line = tensor.bank + np.arange(rows)
    pixels = (line // BANKS * tensor.row_step)[:, None] + np.arange(width) * tensor.x_step + tensor.address
    units = pixels[:, :, None] + np.arange(-(-channels // unit))
    values = scratchpad[(line % BANKS)[:, None, None], units % (1 << 16)]
    return values.reshape(1, rows, width, -1)[..., :channels].copy()
