"""The driver's transport over a serial line to a board."""

from types import TracebackType

from tilewright.hw.boards.link import OVERHEAD, Space

from .link import Link, Progress, Request
from .port import Port, SerialPort

__all__ = ["SerialTransport"]

_WORD = 4


class SerialTransport:
    """An accelerator on a board; satisfies `tilewright.host.transport.Transport`. A context manager that closes the port.

    ``progress`` is told how many words of a transfer of memory have passed, and of how many. Raises `LinkError`.
    """

    def __init__(self, port: Port, *, patience: float = 0.3, progress: Progress | None = None):
        self._port = port
        self.link = Link(port, patience=patience)
        self.progress = progress

    @classmethod
    def open(cls, name: str, baud: int, *, progress: Progress | None = None) -> "SerialTransport":
        """Open the serial port ``name`` and find the device behind it."""
        port = SerialPort(name, baud)
        try:
            return cls(port, progress=progress)
        except BaseException:
            port.close()
            raise

    def __enter__(self) -> "SerialTransport":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._port.close()

    @property
    def memory_bytes(self) -> int:
        """Size of the external memory, from address 0 on."""
        return self.link.identity.memory_bytes

    @property
    def clock_hz(self) -> int:
        """The accelerator's clock."""
        return self.link.identity.clock_hz

    def read_register(self, offset: int) -> int:
        """A 32-bit register."""
        (answer,) = self.link.exchange([Request(Space.REGISTERS, offset, 1)])
        return int.from_bytes(answer, "little")

    def write_register(self, offset: int, value: int) -> None:
        """Write a 32-bit register, once, however often the request has to be repeated."""
        self.link.exchange([Request(Space.REGISTERS, offset, 1, value.to_bytes(_WORD, "little"))])

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of external memory."""
        skip = address % _WORD
        words = -(-(skip + size) // _WORD)
        answers = self.link.exchange(
            [Request(Space.MEMORY, at, count) for at, count in self._blocks(address - skip, words)], self.progress
        )
        return b"".join(answers)[skip : skip + size]

    def write_memory(self, address: int, data: bytes) -> None:
        """Change bytes of external memory; the words at both ends are read first if they change only in part."""
        if not data:
            return
        before, after = address % _WORD, -(address + len(data)) % _WORD
        start = address - before
        if before:
            data = self.read_memory(start, before) + data
        if after:
            data += self.read_memory(start + len(data), after)
        requests = [
            Request(Space.MEMORY, at, count, data[at - start : at - start + _WORD * count])
            for at, count in self._blocks(start, len(data) // _WORD)
        ]
        self.link.exchange(requests, self.progress)

    def _blocks(self, address: int, words: int) -> list[tuple[int, int]]:
        """Cut words into requests: address and words of each."""
        most = self.link.identity.slot_words - OVERHEAD
        return [(address + _WORD * at, min(most, words - at)) for at in range(0, words, most)]
