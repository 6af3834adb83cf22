"""A serial port of this computer, and what can be wrong with it."""

import contextlib
import errno
import os
from typing import Protocol

import serial

__all__ = ["LinkError", "Port", "PortError", "SerialPort", "UnpluggedError"]

_WRITE_SECONDS = 10.0


class LinkError(RuntimeError):
    """Something is wrong on the way to the board. One line."""


class PortError(LinkError):
    """A port cannot be opened."""


class UnpluggedError(LinkError):
    """A port that was open is gone."""


class Port(Protocol):
    """A line of bytes both ways. ``name`` and ``baud`` (bits per second) are for messages and timeouts."""

    name: str
    baud: int

    def send(self, data: bytes) -> None: ...

    def receive(self, timeout: float) -> bytes:
        """What has come, at least a byte; nothing after ``timeout`` seconds."""
        ...

    def close(self) -> None: ...


class SerialPort:
    """A serial port, opened for this program alone. Raises `PortError`, later `UnpluggedError`."""

    def __init__(self, name: str, baud: int):
        self.name = name
        self.baud = baud
        try:
            self._serial = serial.Serial(name, baud, timeout=0, write_timeout=_WRITE_SECONDS, exclusive=True)
        except (serial.SerialException, OSError, ValueError, OverflowError) as error:
            raise PortError(f"cannot open {name}: {_reason(error, baud)}") from None
        # Else some adapters keep a reply for 16 ms. Where the platform, pyserial's class for it, or the adapter has no such
        # mode, one of these says so, and the line works all the same.
        with contextlib.suppress(AttributeError, NotImplementedError, ValueError, OSError):
            self._serial.set_low_latency_mode(True)

    def send(self, data: bytes) -> None:
        """Write all of ``data``."""
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise UnpluggedError(f"{self.name}: takes no more bytes") from None
        except (serial.SerialException, OSError):
            raise self._unplugged() from None

    def receive(self, timeout: float) -> bytes:
        """What has come, at least a byte; nothing after ``timeout`` seconds."""
        try:
            self._serial.timeout = timeout
            first: bytes = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError):  # TypeError: pyserial, of a port closed meanwhile
            raise self._unplugged() from None

    def close(self) -> None:
        """Give the port back."""
        with contextlib.suppress(OSError):
            self._serial.close()

    def _unplugged(self) -> UnpluggedError:
        return UnpluggedError(f"{self.name}: the port is gone; was it unplugged?")


def _reason(error: Exception, baud: int) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it"
    if number == errno.EACCES:
        return "permission denied (on Linux, be in the group that owns it, such as dialout)"
    return os.strerror(number).lower() if number else f"it is no serial port, or cannot do {baud} baud"
