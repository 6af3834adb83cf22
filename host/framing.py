"""The link's frames on a line of bytes: flags around them, escapes inside, a CRC-32 at the end. See docs/link.md."""

import zlib
from collections.abc import Iterator

__all__ = ["FrameReader", "frame"]

_FLAG, _ESCAPE, _MASK = 0x7E, 0x7D, 0x20
_CRC_BYTES = 4
_LONGEST = 1 << 19
"""Bytes after which a frame without an end is given up: more than the longest reply."""


def frame(content: bytes) -> bytes:
    """The bytes on the line for a frame of this content."""
    body = content + zlib.crc32(content).to_bytes(_CRC_BYTES, "little")
    for special in (_ESCAPE, _FLAG):  # the escape first, so as not to escape escapes
        body = body.replace(bytes([special]), bytes([_ESCAPE, special ^ _MASK]))
    return bytes([_FLAG]) + body + bytes([_FLAG])


class FrameReader:
    """Finds frames in what comes over the line, in pieces of any size; what is damaged is passed over.

    ``damaged`` counts the pieces between flags that were no whole frame.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.damaged = 0

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Contents of the frames that these bytes complete."""
        *pieces, rest = (self._rest + received).split(bytes([_FLAG]))
        self._rest = rest if len(rest) <= _LONGEST else b""
        for piece in filter(None, pieces):
            content = _content(piece)
            if content is None:
                self.damaged += 1
            else:
                yield content


def _content(piece: bytes) -> bytes | None:
    """What is between two flags, without escapes and CRC; None if it is damaged."""
    first, *escaped = piece.split(bytes([_ESCAPE]))
    if not all(escaped):
        return None
    body = first + b"".join(bytes([part[0] ^ _MASK]) + part[1:] for part in escaped)
    content, crc = body[:-_CRC_BYTES], body[-_CRC_BYTES:]
    return content if len(body) > _CRC_BYTES and zlib.crc32(content) == int.from_bytes(crc, "little") else None
