"""What the driver needs from whatever connects it to an accelerator."""

from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """Registers (32-bit words at byte offsets) and external memory (bytes, as the accelerator addresses them).

    Implemented by `tilewright.sim.transport.SimulatedTransport` and `tilewright.host.serial_transport.SerialTransport`.
    """

    @property
    def memory_bytes(self) -> int:
        """Size of the external memory, from address 0 on."""
        ...

    def read_register(self, offset: int) -> int: ...

    def write_register(self, offset: int, value: int) -> None: ...

    def read_memory(self, address: int, size: int) -> bytes: ...

    def write_memory(self, address: int, data: bytes) -> None: ...
