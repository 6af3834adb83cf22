"""A serial line: bytes of eight bits, least significant first, between a start and a stop bit, without parity."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RECEIVED", "UARTReceiver", "UARTTransmitter", "divisor"]

RECEIVED = data.StructLayout({"data": 8, "error": 1})
"""A byte, and whether it cannot be trusted: its stop bit was low, or one before it was lost."""


def divisor(clock_hz: float, baud: int) -> int:
    """Cycles per bit. Raises ``ValueError`` for fewer than 4, and if the rate would be off by more than 2 %."""
    cycles = round(clock_hz / baud)
    if cycles < 4:
        raise ValueError(f"baud: {baud} leaves {clock_hz / baud:.1f} of the {clock_hz / 1e6:g} MHz clock's cycles per bit, not 4")
    if abs(clock_hz / cycles / baud - 1) > 0.02:
        raise ValueError(f"baud: {baud} of a {clock_hz / 1e6:g} MHz clock is {clock_hz / cycles:.0f}, off by more than 2 %")
    return cycles


class UARTReceiver(wiring.Component):
    """Bytes from a line, each bit of ``divisor`` (4 or more) cycles, sampled in its middle.

    A byte waits at ``o`` until it is taken; if the next one comes first it replaces it, with ``error``. A start bit
    that has gone by the middle of its time is none.
    """

    def __init__(self, divisor: int):
        if divisor < 4:
            raise ValueError(f"divisor: {divisor!r} is not 4 or more")
        self._divisor = divisor
        super().__init__({"line": In(1, init=1), "o": Out(stream.Signature(RECEIVED))})

    def elaborate(self, platform):
        m = Module()
        first, line = Signal(init=1), Signal(init=1)
        m.d.sync += [first.eq(self.line), line.eq(first)]
        timer = Signal(range(self._divisor))
        bits = Signal(range(8))
        byte = Signal(8)
        m.d.sync += timer.eq(timer - 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM(name="receiver"):
            with m.State("IDLE"):
                m.d.sync += timer.eq(self._divisor // 2 - 1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._divisor - 1), bits.eq(7)]
                m.next = "DATA"
                with m.If(line):
                    m.next = "IDLE"
            with m.State("DATA"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._divisor - 1), bits.eq(bits - 1), byte.eq(Cat(byte[1:], line))]
                with m.If(bits == 0):
                    m.next = "STOP"
            with m.State("STOP"), m.If(timer == 0):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(byte),
                    self.o.p.error.eq(~line | (self.o.valid & ~self.o.ready)),
                ]
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UARTTransmitter(wiring.Component):
    """Bytes to a line, each bit of ``divisor`` cycles; the next one follows without a gap if it is there."""

    def __init__(self, divisor: int):
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._divisor))
        left = Signal(range(11))  # bits still to come, the stop bit among them
        bits = Signal(9, init=0x1FF)
        ends = Signal()
        m.d.comb += [ends.eq(timer == 0), self.i.ready.eq(ends & (left == 0))]
        with m.If(~ends):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [self.line.eq(bits[0]), bits.eq(Cat(bits[1:], 1)), left.eq(left - 1), timer.eq(self._divisor - 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [self.line.eq(0), bits.eq(Cat(self.i.payload, 1)), left.eq(9), timer.eq(self._divisor - 1)]
        return m
