"""What is on the FPGA: accelerator, its external memory in block RAM, and the host's link to both."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ..accelerator import Accelerator
from ..params import Parameters
from .link import Link
from .memory import OnChipMemory
from .requests import RequestsToAXI4Lite
from .uart import UARTReceiver, UARTTransmitter, divisor

__all__ = ["BoardDesign"]


class BoardDesign(wiring.Component):
    """An accelerator with ``memory_kib`` KiB of memory behind a serial line of ``baud`` bits per second.

    ``clock_hz`` is the frequency of its one clock domain. ``busy`` and ``error`` are the accelerator's, for LEDs.
    Raises ``ValueError`` for a memory that is no multiple of 4 KiB, and for a rate that the clock cannot make.
    """

    def __init__(self, params: Parameters, memory_kib: int, clock_hz: int, baud: int):
        self._params = params
        self._memory_kib = memory_kib
        self._clock_hz = clock_hz
        self._divisor = divisor(clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self._params)
        m.submodules.memory = memory = OnChipMemory(self._memory_kib, self._params.axi_bits)
        m.submodules.receiver = receiver = UARTReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UARTTransmitter(self._divisor)
        m.submodules.link = link = Link(memory_bytes=1024 * self._memory_kib, clock_hz=self._clock_hz)
        m.submodules.registers = registers = RequestsToAXI4Lite()
        connect(m, accelerator.m_axi, memory.axi)
        connect(m, registers.axi, accelerator.s_axil)
        connect(m, link.registers, registers.requests)
        connect(m, link.memory, memory.requests)
        connect(m, receiver.o, link.rx)
        connect(m, link.tx, transmitter.i)
        m.d.comb += [
            receiver.line.eq(self.rx),
            self.tx.eq(transmitter.line),
            self.busy.eq(accelerator.status.busy),
            self.error.eq(accelerator.status.error),
        ]
        return m
