"""What is on the FPGA: accelerator, its external memory in block RAM, and the host's link to both."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ..accelerator import Accelerator
from ..params import Parameters
from ..requests import RequestsToAXI4Lite
from .memory import OnChipMemory
from .serial_link import SerialLink

__all__ = ["BoardDesign"]


class BoardDesign(wiring.Component):
    """An accelerator with ``memory_kib`` KiB of memory behind a serial line of ``baud`` bits per second.

    ``clock_hz`` is the frequency of its one clock domain. ``busy`` and ``error`` are the accelerator's, for LEDs.
    Raises ``ValueError`` for a memory that is no multiple of 4 KiB, and for a rate that the clock cannot make.
    """

    def __init__(self, params: Parameters, memory_kib: int, clock_hz: int, baud: int):
        self._params = params
        self._memory_kib = memory_kib
        self._link = SerialLink(1024 * memory_kib, clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self._params)
        m.submodules.memory = memory = OnChipMemory(self._memory_kib, self._params.axi_bits)
        m.submodules.link = link = self._link
        m.submodules.registers = registers = RequestsToAXI4Lite()
        connect(m, accelerator.m_axi, memory.axi)
        connect(m, registers.axi, accelerator.s_axil)
        connect(m, link.registers, registers.requests)
        connect(m, link.memory, memory.requests)
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            self.busy.eq(accelerator.status.busy),
            self.error.eq(accelerator.status.error),
        ]
        return m
