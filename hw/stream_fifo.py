"""A first-in first-out queue between two streams."""

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register

__all__ = ["SkidBuffer", "StreamFIFO", "StreamRegister"]


class StreamFIFO(wiring.Component):
    """`amaranth.lib.fifo.SyncFIFOBuffered` that keeps the payload's shape.

    Holds ``depth`` payloads (at least 3, so that it can take and give one per cycle) in a memory with synchronous
    reads; a payload comes out two cycles after it went in. ``level`` counts the payloads inside.
    """

    def __init__(self, shape, depth: int):
        if depth < 3:
            raise ValueError(f"depth: {depth!r} is not 3 or more")
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(
            width=Value.cast(self.i.payload).shape().width, depth=self._depth
        )
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            self.o.payload.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.level),
        ]
        return m


class StreamRegister(wiring.Component):
    """A register in a stream, for a payload that comes late in its cycle: out a cycle after it went in, one per cycle."""

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        payload = data_register(m, self.o.payload, "payload")
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), payload.eq(self.i.payload)]
        return m


class SkidBuffer(wiring.Component):
    """Two registers in a stream: out a cycle after it went in, one per cycle, and ``ready`` comes from a register."""

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        payload = data_register(m, self.o.payload, "payload")
        spare = Signal.like(self.i.payload, name="spare", reset_less=True)
        spared = Signal()
        m.d.comb += self.i.ready.eq(~spared)
        with m.If(~spared):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(spared | self.i.valid),
                payload.eq(Mux(spared, spare, self.i.payload)),
                spared.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += spared.eq(1)
        return m
