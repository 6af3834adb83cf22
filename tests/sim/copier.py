"""A stand-in for the accelerator on the same buses: copies bursts, or writes down in which cycle each beat came."""

import enum

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from tilewright.hw.axi import AXI4LiteSignature, AXI4Signature

BEATS = 16
"""Beats in a burst."""


class Register(enum.IntEnum):
    """Byte addresses of the registers."""

    CONTROL = 0x00  # a write of bit 0 starts
    SOURCE = 0x04
    TARGET = 0x08
    BURSTS = 0x0C  # 1 .. 64
    GAP = 0x10  # cycles between read addresses
    WATCHDOG = 0x14  # cycles without a response after which it gives up; 0 is never
    MODE = 0x18  # bit 0: write the cycle of each beat, not its data; bit 1: break WLAST; bit 2: change a waiting W
    STATUS = 0x1C  # bit 0: running, 1: bus error, 2: gave up


class Copier(wiring.Component):
    """Copies BURSTS bursts from SOURCE to TARGET. A beat that came in cycle c is on W in cycle c + 2 or later."""

    def __init__(self, data_bits: int):
        self._data_bits = data_bits
        super().__init__({"m_axi": Out(AXI4Signature(data_bits)), "s_axil": In(AXI4LiteSignature()), "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        axi = self.m_axi
        register = {name: Signal(32, name=name.name.lower()) for name in Register}
        start = self._registers(m, register)
        mode = register[Register.MODE]
        running, failed, gave_up = Signal(), Signal(), Signal()
        m.d.comb += register[Register.STATUS].eq(Cat(running, failed, gave_up))

        cycle, gap, silence = Signal(32), Signal(32), Signal(32)
        reads, addresses, answers = Signal(7), Signal(7), Signal(7)
        beat = Signal(range(BEATS))
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=self._data_bits, depth=1024)
        m.d.comb += [
            axi.arvalid.eq(running & reads.any() & ~gap.any()),
            axi.araddr.eq(register[Register.SOURCE]),
            axi.rready.eq(1),
            beats.w_en.eq(axi.rvalid),
            beats.w_data.eq(Mux(mode[0], cycle, axi.rdata)),
            axi.awvalid.eq(running & addresses.any()),
            axi.awaddr.eq(register[Register.TARGET]),
            axi.wvalid.eq(beats.r_rdy),
            axi.wdata.eq(beats.r_data ^ Mux(mode[2], cycle, 0)),
            axi.wstrb.eq(~0),
            axi.wlast.eq((beat == BEATS - 1) ^ mode[1]),
            beats.r_en.eq(axi.wready),
            axi.bready.eq(1),
        ]
        for channel in ("ar", "aw"):
            m.d.comb += [
                getattr(axi, f"{channel}len").eq(BEATS - 1),
                getattr(axi, f"{channel}size").eq(exact_log2(self._data_bits // 8)),
                getattr(axi, f"{channel}burst").eq(1),
            ]
        m.d.sync += [cycle.eq(cycle + 1), silence.eq(silence + 1)]
        with m.If(gap.any()):
            m.d.sync += gap.eq(gap - 1)
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [gap.eq(register[Register.GAP]), reads.eq(reads - 1)]
            m.d.sync += register[Register.SOURCE].eq(register[Register.SOURCE] + BEATS * self._data_bits // 8)
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += addresses.eq(addresses - 1)
            m.d.sync += register[Register.TARGET].eq(register[Register.TARGET] + BEATS * self._data_bits // 8)
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += beat.eq(beat + 1)
        with m.If((axi.rvalid & axi.rresp.any()) | (axi.bvalid & axi.bresp.any())):
            m.d.sync += failed.eq(1)
        with m.If(axi.rvalid | axi.bvalid):
            m.d.sync += silence.eq(0)
        with m.If(axi.bvalid):
            m.d.sync += answers.eq(answers - 1)
            with m.If(answers == 1):
                m.d.sync += [running.eq(0), self.irq.eq(1)]
        with m.If(running & (silence + 1 == register[Register.WATCHDOG])):
            m.d.sync += [running.eq(0), self.irq.eq(1), gave_up.eq(1)]
        with m.If(start):
            m.d.sync += [
                *(count.eq(register[Register.BURSTS]) for count in (reads, addresses, answers)),
                *(count.eq(0) for count in (cycle, silence)),
                running.eq(1),
            ]
        return m

    def _registers(self, m: Module, register: dict[Register, Signal]) -> Value:
        """Registers behind the AXI4-Lite port; high when a write starts the copy."""
        bus = self.s_axil
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        written = bus.awvalid & bus.wvalid & ~bus.bvalid
        m.d.comb += [bus.awready.eq(written), bus.wready.eq(written), bus.arready.eq(~bus.rvalid)]
        with m.If(written):
            m.d.sync += bus.bvalid.eq(1)
            for name in sorted(set(Register) - {Register.CONTROL, Register.STATUS}):
                with m.If(bus.awaddr == name):
                    m.d.sync += register[name].eq(bus.wdata)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += bus.rvalid.eq(1)
            for name in Register:
                with m.If(bus.araddr == name):
                    m.d.sync += bus.rdata.eq(register[name])
        return written & (bus.awaddr == Register.CONTROL) & bus.wdata[0]
