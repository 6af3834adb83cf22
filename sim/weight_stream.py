"""The weight stream of the interpreter: what WEIGHTS instructions put in, piece by piece, and what the array takes."""

from collections import deque

import numpy as np
import numpy.typing as npt

from ..hw.encoding import Fields
from ..hw.isa import CONSTANT_VECTORS, TABLE_ENTRIES, Stream

__all__ = ["WeightStream"]

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class WeightStream:
    """Pieces in the order of use; vectors have `cols` bytes. What cannot be taken is a ``ValueError``.

    `tables` are the residual tables that were taken last, [index, table], or None.
    """

    def __init__(self, cols: int) -> None:
        self._cols = cols
        self._pieces: deque[tuple[str, Bytes]] = deque()
        self.tables: Ints | None = None

    def put(self, fields: Fields, data: Bytes) -> None:
        """The stream of a WEIGHTS instruction."""
        if fields["stream"] is Stream.TABLES:
            self._pieces.append(("tables", data))
            return
        vectors = data.reshape(-1, self._cols)
        tiles = [fields["rows"]] * (fields["tiles"] - 1) + [fields["last_rows"]]
        at = 0
        for _ in range(fields["blocks"]):
            pieces = [("constants", CONSTANT_VECTORS)] + [("tile", rows) for rows in tiles * fields["groups"]]
            for kind, size in pieces:
                self._pieces.append((kind, vectors[at : at + size]))
                at += size

    def take(self, kind: str) -> Bytes:
        """The next piece of the stream. Tables at its head are taken on the way."""
        while self._pieces and self._pieces[0][0] == "tables":
            self.tables = self._pieces.popleft()[1].view("<i4").reshape(TABLE_ENTRIES, 2).astype(np.int64)
            if np.abs(self.tables * 2 + 1).max() >= 1 << 28:
                raise ValueError("a residual table has entries of more than 28 bits")
        if not self._pieces:
            raise ValueError(f"the weight stream is empty, {kind} wanted")
        found, data = self._pieces.popleft()
        if found != kind:
            raise ValueError(f"the weight stream brings {found}, {kind} wanted")
        return data

    def take_constants(self) -> tuple[Ints, Ints, Ints]:
        """Bias, multiplier and shift of a block: a value for each column."""
        planes = self.take("constants")
        bias = np.ascontiguousarray(planes[0:4].T).view("<i4")[:, 0].astype(np.int64)
        multiplier = np.ascontiguousarray(planes[4:8].T).view("<i4")[:, 0].astype(np.int64)
        shift = planes[8].astype(np.int64)
        if multiplier.min() < 0 or shift.max() > 62:
            raise ValueError("a multiplier is more than 2**31 - 1 or a shift more than 62")
        return bias, multiplier, shift

    def check_end(self) -> None:
        """Nothing may be left."""
        if self._pieces:
            raise ValueError(f"the weight stream has {len(self._pieces)} pieces left, next {self._pieces[0][0]}")
