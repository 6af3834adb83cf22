"""What the bench saw inside the accelerator: every write to the scratchpad, and the end of every instruction."""

import enum
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
    """Events in the order of time, as arrays of equal length: ``cycle`` (from the start), ``event``, and for a write ``bank``,
    ``address`` (word), ``mask`` (units) and ``data`` (events x vector bytes)."""

    cycle: np.ndarray
    event: np.ndarray
    bank: np.ndarray
    address: np.ndarray
    mask: np.ndarray
    data: np.ndarray

    @classmethod
    def read(cls, path: Path, vector: int) -> "Trace":
        """Read the file that the bench wrote: per event the cycle, a tag, and a vector (32-bit words, little-endian)."""
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

    def cycles(self, event: Event) -> np.ndarray:
        """The cycles in which an event happened."""
        return self.cycle[self.event == event]

    def scratchpad(self, words: int, until: int | None = None) -> np.ndarray:
        """The scratchpad as the writes before cycle ``until`` left it, banks x words x vector bytes, zero where never written."""
        vector = self.data.shape[1]
        content = np.zeros((4, words, vector), dtype=np.int8)
        writes = self.event <= Event.RESULT_WRITE
        if until is not None:
            writes &= self.cycle < until
        for n in np.flatnonzero(writes):
            self.apply(content, int(n))
        return content

    def apply(self, content: np.ndarray, n: int) -> None:
        """Do write ``n`` to an image of the scratchpad, banks x words x vector bytes."""
        units = self.mask[n]
        lanes = content[self.bank[n], self.address[n]]
        size = len(lanes) // max(1, int(self.units))
        for unit in range(int(self.units)):
            if units >> unit & 1:
                lanes[unit * size : (unit + 1) * size] = self.data[n, unit * size : (unit + 1) * size]
