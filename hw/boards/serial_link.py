"""The host's link with its serial line: bits in and out, register and memory accesses on the other side."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..requests import RequestSignature
from .link import Link
from .uart import UARTReceiver, UARTTransmitter, divisor

__all__ = ["SerialLink"]


class SerialLink(wiring.Component):
    """A `Link` behind a serial line of ``baud`` bits per second, in a clock domain of ``clock_hz``.

    Raises ``ValueError`` for a rate that the clock cannot make.
    """

    def __init__(self, memory_bytes: int, clock_hz: int, baud: int):
        self._memory_bytes = memory_bytes
        self._clock_hz = clock_hz
        self._divisor = divisor(clock_hz, baud)
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "registers": Out(RequestSignature()),
            "memory": Out(RequestSignature()),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UARTReceiver(self._divisor)
        m.submodules.link = link = Link(memory_bytes=self._memory_bytes, clock_hz=self._clock_hz)
        m.submodules.transmitter = transmitter = UARTTransmitter(self._divisor)
        connect(m, receiver.o, link.rx)
        connect(m, link.tx, transmitter.i)
        connect(m, link.registers, flipped(self.registers))
        connect(m, link.memory, flipped(self.memory))
        m.d.comb += [receiver.line.eq(self.rx), self.tx.eq(transmitter.line)]
        return m
