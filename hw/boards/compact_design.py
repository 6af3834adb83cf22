"""What is on an FPGA with the compact accelerator: that, with its memories, and the host's link to both."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ..compact.accelerator import CompactAccelerator
from ..compact.host_port import MEMORY_BYTES
from ..params import Parameters
from .serial_link import SerialLink

__all__ = ["CompactBoardDesign"]


class CompactBoardDesign(wiring.Component):
    """A compact accelerator behind a serial line of ``baud`` bits per second; otherwise as `BoardDesign`."""

    def __init__(self, params: Parameters, clock_hz: int, baud: int):
        self._params = params
        self._link = SerialLink(MEMORY_BYTES, clock_hz, baud)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = CompactAccelerator(self._params)
        m.submodules.link = link = self._link
        connect(m, link.registers, accelerator.registers)
        connect(m, link.memory, accelerator.memory)
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            self.busy.eq(accelerator.status.busy),
            self.error.eq(accelerator.status.error),
        ]
        return m
