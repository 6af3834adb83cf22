"""How transfers and weight streams are cut: into bursts, vectors, and the pieces that the array takes."""

from collections.abc import Iterator
from itertools import pairwise

from ..hw.encoding import Fields
from ..hw.isa import CONSTANT_VECTORS, TABLE_BYTES, TABLE_ENTRIES, Stream
from ..hw.params import BANKS, Parameters

__all__ = ["bursts", "pieces", "vector_banks", "vector_ends"]

_PAIR_BYTES = TABLE_BYTES // TABLE_ENTRIES


def bursts(start: int, size: int, beat_bytes: int, burst_beats: int) -> Iterator[tuple[int, int]]:
    """Bytes and beats of the bursts of a run; bursts end at multiples of the longest."""
    window = beat_bytes * burst_beats
    end = start + size
    edges = [start, *range(start // window * window + window, end, window), end]
    for low, high in pairwise(edges):
        yield high - low, -(-high // beat_bytes) - low // beat_bytes


def vector_ends(fields: Fields, params: Parameters) -> Iterator[int]:
    """How many bytes of the stream each vector of an image needs."""
    vector, channels = params.vector, fields["channels"]
    for pixel in range(fields["rows"] * fields["width"]):
        yield from range(pixel * channels + vector, (pixel + 1) * channels, vector)
        yield (pixel + 1) * channels


def vector_banks(fields: Fields, params: Parameters) -> list[int]:
    """The bank of each vector of an image."""
    vectors = fields["width"] * -(-fields["channels"] // params.vector)
    return [(fields["bank"] + row) % BANKS for row in range(fields["rows"]) for _ in range(vectors)]


def pieces(fields: Fields, params: Parameters) -> Iterator[tuple[str, int, int]]:
    """Kind, vectors, and cycles per vector of each piece of a stream."""
    if fields["stream"] is Stream.TABLES:
        yield "tables", fields["bytes"] // params.cols, max(1, params.cols // _PAIR_BYTES)
        return
    tiles = [fields["rows"]] * (fields["tiles"] - 1) + [fields["last_rows"]]
    for _ in range(fields["blocks"]):
        yield "constants", CONSTANT_VECTORS, params.parts
        yield from (("tile", rows, 1) for rows in tiles * fields["groups"])
