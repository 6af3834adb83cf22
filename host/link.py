"""Requests to the device behind a serial line: several on their way at once, each repeated until it is answered."""

import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tilewright.hw.boards.link import HEADER, IDENTITY, LINK_MAGIC, LINK_VERSION, OVERHEAD, REPLY_FLAG, Space, Status

from .framing import FrameReader, frame
from .port import LinkError, Port, PortError

__all__ = ["DeviceError", "Identity", "Link", "NoAnswerError", "NoDeviceError", "Request"]

_STATUS_TEXTS = {
    Status.BUS: "was answered with an error: no such address",
    Status.TIMEOUT: "was not answered inside the device",
    Status.REQUEST: "was not understood: another version of the link?",
}

Progress = Callable[[int, int], None]
"""Told how many words of how many have been transferred."""


class NoAnswerError(LinkError):
    """The device does not answer any more."""


class NoDeviceError(PortError):
    """No Tilewright device is at the port, or one of another version."""


class DeviceError(LinkError):
    """The device got a request and could not carry it out."""


@dataclass(frozen=True)
class Request:
    """Read ``words`` 32-bit words from ``address`` on (a multiple of 4), or write ``data``, if there is any."""

    space: Space
    address: int
    words: int
    data: bytes = b""

    @property
    def command(self) -> int:
        """The low byte of the frame."""
        return HEADER.const({"space": self.space, "write": bool(self.data)}).as_bits() & 0xFF

    @property
    def answer_words(self) -> int:
        """Words of data in the reply."""
        return 0 if self.data else self.words

    def __str__(self) -> str:
        return f"{'write' if self.data else 'read'} of {self.space.name.lower()} at {self.address:#x}"


@dataclass(frozen=True)
class Identity:
    """What the device says about itself. ``slots`` requests of at most ``slot_words`` words can be on their way."""

    slots: int
    slot_words: int
    memory_bytes: int
    clock_hz: int


@dataclass
class _Sent:
    """A request on its way: its place in the list, its frame, when it was last sent, how often."""

    index: int
    request: Request
    line: bytes
    deadline: float = 0.0
    attempts: int = field(default=0)


class Link:
    """A device on a serial port. ``retries`` counts requests that had to be sent again.

    A request is repeated if there is no answer after the time that it takes on the line plus ``patience`` seconds, and
    given up after ``attempts``. Raises `NoDeviceError` if none answers to begin with.
    """

    def __init__(self, port: Port, *, patience: float = 0.3, attempts: int = 6):
        self._port = port
        self._patience = patience
        self._attempts = attempts
        self._reader = FrameReader()
        self._sequence = os.urandom(1)[0]
        self.retries = 0
        self.identity = Identity(1, 0, 0, 0)
        port.receive(0)  # what was on its way to someone else; what is still to come is damaged or answers nobody
        self.identity = self._identify()

    def exchange(self, requests: Sequence[Request], progress: Progress | None = None) -> list[bytes]:
        """Carry out requests, each one's data. Their order is not certain: they must not depend on each other.

        Raises `DeviceError`, `NoAnswerError`, and `tilewright.host.port.UnpluggedError`.
        """
        answers: dict[int, bytes] = {}
        flying: dict[int, _Sent] = {}
        total, done = sum(request.words for request in requests), 0
        waiting = iter(enumerate(requests))
        while len(answers) < len(requests):
            while len(flying) < self.identity.slots and (item := next(waiting, None)) is not None:
                self._sequence = (self._sequence + 1) % 256
                flying[self._sequence] = self._launch(*item, self._sequence, flying)
            for sequence, sent in flying.items():
                if sent.deadline < time.monotonic():
                    self._repeat(sequence, sent, flying)
            first = min(sent.deadline for sent in flying.values())
            for content in self._reader.feed(self._port.receive(max(0.001, first - time.monotonic()))):
                sequence, data = self._match(content, flying)
                if data is not None:
                    sent = flying.pop(sequence)
                    answers[sent.index] = data
                    done += sent.request.words
                    if progress is not None:
                        progress(done, total)
        return [answers[index] for index in range(len(requests))]

    def _launch(self, index: int, request: Request, sequence: int, flying: dict[int, _Sent]) -> _Sent:
        head = struct.pack("<BBHI", request.command, sequence, request.words, request.address)
        sent = _Sent(index, request, frame(head + request.data))
        self._send(sent, [*flying.values(), sent])
        return sent

    def _repeat(self, sequence: int, sent: _Sent, flying: dict[int, _Sent]) -> None:
        if sent.attempts == self._attempts:
            raise NoAnswerError(
                f"{self._port.name}: no answer to a {sent.request} after {sent.attempts} attempts; "
                "is the board still connected and configured?"
            )
        self.retries += 1
        self._send(sent, list(flying.values()))

    def _send(self, sent: _Sent, flying: Sequence[_Sent]) -> None:
        self._port.send(sent.line)
        sent.attempts += 1
        # Everything that may be on the line before this one's answer has come, escapes included.
        sizes = [len(other.line) + 8 * (other.request.answer_words + OVERHEAD + 1) for other in flying]
        sent.deadline = time.monotonic() + self._patience + 10 * sum(sizes) / self._port.baud

    def _match(self, content: bytes, flying: dict[int, _Sent]) -> tuple[int, bytes | None]:
        """The request that a frame answers, by sequence number, and its data; None for an answer to nobody."""
        if len(content) < 8 or len(content) % 4:
            return 0, None
        command, sequence, words = struct.unpack_from("<BBH", content)
        status = int.from_bytes(content[-4:], "little")
        sent = flying.get(sequence)
        if sent is None or command != sent.request.command | REPLY_FLAG or len(content) != 4 * words + 8:
            return sequence, None
        if status != Status.OK.value:
            text = _STATUS_TEXTS.get(Status(status)) if status < len(Status) else f"failed with status {status}"
            raise DeviceError(f"{self._port.name}: a {sent.request} {text}")
        return sequence, content[4:-4] if words == sent.request.answer_words else None

    def _identify(self) -> Identity:
        try:
            (answer,) = self.exchange([Request(Space.IDENTITY, 0, len(IDENTITY))])
        except NoAnswerError:
            damaged = self._reader.damaged
            reason = f"only noise answers ({damaged} damaged frames)" if damaged else "nothing answers"
            raise NoDeviceError(
                f"{self._port.name}: {reason} at {self._port.baud} baud; "
                "is the board configured with a Tilewright bitstream of this rate?"
            ) from None
        magic, protocol, memory_bytes, clock_hz = struct.unpack("<4I", answer)
        version, slots, slot_words = protocol & 0xFF, protocol >> 8 & 0xFF, protocol >> 16
        if magic != LINK_MAGIC or version != LINK_VERSION:
            raise NoDeviceError(
                f"{self._port.name}: the device speaks version {version} of the link, not {LINK_VERSION}"
                if magic == LINK_MAGIC
                else f"{self._port.name}: what answers is no Tilewright device"
            )
        return Identity(slots, slot_words, memory_bytes, clock_hz)
