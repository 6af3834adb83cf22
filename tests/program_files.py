"""Program files taken apart and put together again with right checksums, whatever they say."""

import hashlib
import struct
import zlib

from tilewright.hw.program import MAGIC, VERSION

__all__ = ["join", "split"]

_TAGS = (b"HEAD", b"CODE", b"WGTS", b"HOST")


def split(data: bytes) -> list[bytes]:
    """The sections of a file, whatever its checksums say."""
    at, sections = len(MAGIC) + 8, []
    for _ in _TAGS:
        _, size, _ = struct.unpack_from("<4sQI", data, at)
        sections.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return sections


def join(sections: list[bytes]) -> bytes:
    """A file of these sections, its checksums right."""
    body = MAGIC + struct.pack("<II", VERSION, len(_TAGS))
    for tag, data in zip(_TAGS, sections, strict=True):
        body += struct.pack("<4sQI", tag, len(data), zlib.crc32(data)) + data
    return body + hashlib.sha256(body).digest()
