"""A memory of 64 KiB with a single port: two SB_SPRAM256KA of an iCE40 UltraPlus, or a twin of any device's memory."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SPRAM_WORDS", "SinglePortMemory"]

SPRAM_WORDS = 1 << 14


class SinglePortMemory(wiring.Component):
    """`SPRAM_WORDS` words of 32 bits. In a cycle of ``enable`` it writes ``data`` if ``write``, and reads if not.

    ``word`` is there a cycle after the read, for one cycle at least; behind a write it is not defined.
    Lattice, FPGA-TN-02022: Memory Usage Guide for iCE40 Devices, SPRAM.
    """

    address: In(14)
    data: In(32)
    write: In(1)
    enable: In(1)
    word: Out(32)

    def __init__(self, target: str = "generic"):
        self._target = target
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        if self._target == "ice40":
            for half in range(2):
                bits = slice(16 * half, 16 * half + 16)
                m.submodules[f"half_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_ADDRESS=self.address,
                    i_DATAIN=self.data[bits],
                    i_MASKWREN=Const(0b1111, 4),
                    i_WREN=self.write,
                    i_CHIPSELECT=self.enable,
                    i_CLOCK=ClockSignal(),
                    i_STANDBY=Const(0),
                    i_SLEEP=Const(0),
                    i_POWEROFF=Const(1),
                    o_DATAOUT=self.word[bits],
                )
            return m
        m.submodules.cells = cells = memory.Memory(shape=32, depth=SPRAM_WORDS, init=[])
        read, write = cells.read_port(), cells.write_port()
        m.d.comb += [
            read.addr.eq(self.address),
            read.en.eq(self.enable & ~self.write),
            write.addr.eq(self.address),
            write.data.eq(self.data),
            write.en.eq(self.enable & self.write),
            self.word.eq(read.data),
        ]
        return m
