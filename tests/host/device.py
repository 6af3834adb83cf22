"""A device at the end of a line, in Python, as docs/link.md describes it; and a line that does damage."""

import struct
import time
import zlib
from collections.abc import Callable

FLAG, ESCAPE = b"\x7e", b"\x7d"
SLOT_WORDS = 16
MEMORY = 1 << 14
IDENTITY = struct.pack("<4s4I", b"TLWL", 1 | 2 << 8 | SLOT_WORDS << 16, MEMORY, 80_000_000, 0)[:16]

Damage = Callable[[bytes], bytes]


class Device:
    """Registers and memory as bytes; ``writes`` lists the register writes that were carried out."""

    def __init__(self, identity: bytes = IDENTITY):
        self.spaces = {0: bytearray(identity), 1: bytearray(64), 2: bytearray(MEMORY)}
        self.writes: list[tuple[int, int]] = []
        self.last: tuple[int, int] | None = None
        self.inside = b""

    def take(self, line: bytes) -> bytes:
        """Replies to the frames that these bytes complete."""
        *pieces, self.inside = (self.inside + line).split(FLAG)
        return b"".join(self.reply(content) for content in map(self.content, filter(None, pieces)) if content)

    def content(self, piece: bytes) -> bytes:
        body = piece.replace(ESCAPE + b"\x5e", FLAG).replace(ESCAPE + b"\x5d", ESCAPE)
        whole = len(body) % 4 == 0 and len(body) >= 12
        return body[:-4] if whole and zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0] else b""

    def reply(self, content: bytes) -> bytes:
        command, sequence, words, address = struct.unpack_from("<BBHI", content)
        space, data, status, answer = self.spaces.get(command & 0xF), content[8:], 0, b""
        assert len(content) + 4 <= 4 * SLOT_WORDS, "longer than a slot"
        if space is None or command & 0xE0 or len(data) != (4 * words if command & 0x10 else 0):
            status, words = 3, 0
        elif command & 0x10:
            repeated = self.last == (command, sequence)
            if address + len(data) > len(space):
                status = 1
            elif command != 0x11 or not repeated:
                space[address : address + len(data)] = data
                if command == 0x11:
                    self.writes.append((address, int.from_bytes(data, "little")))
        else:
            answer = bytes(space[address : address + 4 * words]).ljust(4 * words, b"\0")
            status = int(address + 4 * words > len(space))
        self.last = (command, sequence) if command == 0x11 else None
        body = struct.pack("<BBH", command | 0x80, sequence, len(answer) // 4) + answer + struct.pack("<I", status)
        body += struct.pack("<I", zlib.crc32(body))
        return FLAG + body.replace(ESCAPE, ESCAPE + b"\x5d").replace(FLAG, ESCAPE + b"\x5e") + FLAG


class Line:
    """A port with a device at its end, for `SerialTransport`; every piece each way passes through the damage.

    Time passes only when the host waits for nothing: at most ``hurry`` seconds each time.
    """

    name, baud = "the line", 100_000_000

    def __init__(self, device: Device, sent: Damage = bytes, returned: Damage = bytes, hurry: float = 0.02):
        self.device, self.sent, self.returned, self.hurry = device, sent, returned, hurry
        self.waiting = b""
        self.closed = False

    def send(self, data: bytes) -> None:
        self.waiting += self.returned(self.device.take(self.sent(data)))

    def receive(self, timeout: float) -> bytes:
        if not self.waiting:
            time.sleep(min(timeout, self.hurry))
        received, self.waiting = self.waiting, b""
        return received

    def close(self) -> None:
        self.closed = True
