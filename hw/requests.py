"""Single words, one at a time: what the link asks of registers and memory, and registers behind AXI4-Lite."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import AXI4LiteSignature

__all__ = ["REPLY", "REQUEST", "RequestSignature", "RequestsToAXI4Lite"]

REQUEST = data.StructLayout({"write": 1, "address": 32, "data": 32})
"""Read or write the 32-bit word at a byte address, a multiple of 4."""

REPLY = data.StructLayout({"data": 32, "error": 1})


class RequestSignature(wiring.Signature):
    """A master of single words. For each request that was taken, ``reply`` is there for the one cycle of
    ``reply_valid``, at least a cycle later. No request is taken before the one before it was answered."""

    def __init__(self):
        super().__init__({"requests": Out(stream.Signature(REQUEST)), "reply": In(REPLY), "reply_valid": In(1)})

    def __eq__(self, other):
        return type(self) is type(other)


class RequestsToAXI4Lite(wiring.Component):
    """Pass requests on to an AXI4-Lite slave. An address beyond its ``address_bits`` is answered with an error."""

    def __init__(self, address_bits: int = 12):
        self._address_bits = address_bits
        super().__init__({"requests": In(RequestSignature()), "axi": Out(AXI4LiteSignature(32, address_bits))})

    def elaborate(self, platform):
        m = Module()
        axi, port = self.axi, self.requests
        request = Signal(REQUEST)
        m.d.comb += [
            axi.awaddr.eq(request.address),
            axi.araddr.eq(request.address),
            axi.wdata.eq(request.data),
            axi.wstrb.eq(0b1111),
            port.reply.data.eq(axi.rdata),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.FSM(name="requests"):
            with m.State("IDLE"):
                m.d.comb += port.requests.ready.eq(1)
                m.d.sync += request.eq(port.requests.p)
                with m.If(port.requests.valid):
                    with m.If(port.requests.p.address[self._address_bits :].any()):
                        m.next = "OUTSIDE"
                    with m.Elif(port.requests.p.write):
                        m.d.sync += [axi.awvalid.eq(1), axi.wvalid.eq(1)]
                        m.next = "WRITE"
                    with m.Else():
                        m.d.sync += axi.arvalid.eq(1)
                        m.next = "READ"
            with m.State("OUTSIDE"):
                m.d.comb += [port.reply_valid.eq(1), port.reply.error.eq(1)]
                m.next = "IDLE"
            with m.State("WRITE"):
                m.d.comb += [axi.bready.eq(1), port.reply_valid.eq(axi.bvalid), port.reply.error.eq(axi.bresp[1])]
                with m.If(axi.bvalid):
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.comb += [axi.rready.eq(1), port.reply_valid.eq(axi.rvalid), port.reply.error.eq(axi.rresp[1])]
                with m.If(axi.rvalid):
                    m.next = "IDLE"
        return m
