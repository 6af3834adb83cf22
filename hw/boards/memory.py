"""External memory on the chip: block RAM behind an AXI4 slave, shared with the host's link."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from ..axi import AXI4Signature
from ..requests import REQUEST, RequestSignature
from ..stream_fifo import SkidBuffer

__all__ = ["OnChipMemory"]

_OKAY, _SLVERR = 0, 2
_INCR = 1
_PAGE_BITS = 12
_ADDRESS = data.StructLayout({"id": 1, "addr": 32, "len": 8, "size": 3, "burst": 2})


class OnChipMemory(wiring.Component):
    """``kib`` KiB (a multiple of 4) from address 0 on, behind a bus of ``axi_bits`` and behind single words.

    A beat per cycle each way, reads and writes at once, answers in order. A word has precedence over a beat, from the cycle
    behind that of its request on. What lies beyond the end is answered with SLVERR, and so are bursts that are not INCR, or of
    beats narrower than the bus: their writes do nothing. `READ_LATENCY` is the cycles from a read address to its first beat,
    `WRITE_LATENCY` those from a burst's last beat to its response, both on a bus that nobody holds up. OUTSTANDING bursts are
    taken, each way; TURNOVER cycles before the last beat of the first one that is read another can take its place.
    """

    READ_LATENCY = 6
    WRITE_LATENCY = 2
    OUTSTANDING = 3
    TURNOVER = 3

    def __init__(self, kib: int, axi_bits: int):
        if kib < 4 or kib % 4:
            raise ValueError(f"memory_kib: {kib!r} is not a multiple of 4")
        self._kib = kib
        self._axi_bits = axi_bits
        super().__init__({"axi": In(AXI4Signature(axi_bits)), "requests": In(RequestSignature())})

    def elaborate(self, platform):
        m = Module()
        cells = memory.Memory(shape=self._axi_bits, depth=self._kib * 8192 // self._axi_bits, init=[])
        m.submodules.cells = cells
        self._low = exact_log2(self._axi_bits // 8)
        word = Signal(REQUEST, reset_less=True)
        asked, by_word = Signal(), Signal()
        with m.If(self.requests.requests.ready):
            m.d.sync += [asked.eq(self.requests.requests.valid), word.eq(self.requests.requests.p)]
        with m.If(by_word):
            m.d.sync += asked.eq(0)
        writes = Signal()
        m.d.sync += writes.eq(by_word & word.write)
        self._write(m, cells.write_port(granularity=8), word, writes)
        self._read(m, cells.read_port(), word, asked, by_word)
        return m

    def _outside(self, address: Value) -> Value:
        pages = self._kib // 4
        if pages & (pages - 1):
            return address[_PAGE_BITS:] >= pages
        return address[_PAGE_BITS + exact_log2(pages) :].any()  # without a carry chain

    def _addresses(self, m, channel: str):
        """The addresses of a channel, ``ar`` or ``aw``, behind a buffer."""
        m.submodules[f"{channel}_buffer"] = buffer = SkidBuffer(_ADDRESS)
        m.d.comb += [
            *(buffer.i.p[name].eq(getattr(self.axi, f"{channel}{name}")) for name in _ADDRESS.members),
            buffer.i.valid.eq(getattr(self.axi, f"{channel}valid")),
            getattr(self.axi, f"{channel}ready").eq(buffer.i.ready),
        ]
        return buffer.o

    def _write(self, m, port, word, by_word):
        """What is written reaches the cells a cycle later, long before it can be read behind its response."""
        axi = self.axi
        address = self._addresses(m, "aw")
        beat_shape = data.StructLayout({"data": self._axi_bits, "strb": self._axi_bits // 8, "last": 1})
        m.submodules.w_buffer = buffer = SkidBuffer(beat_shape)
        beat = buffer.o
        writing = Signal()
        page = Signal(32 - _PAGE_BITS)
        place = Signal(_PAGE_BITS - self._low)
        fault = Signal()
        final = Signal()
        lane = word.address[2 : self._low]
        m.d.comb += [
            *(buffer.i.p[name].eq(getattr(axi, f"w{name}")) for name in beat_shape.members),
            buffer.i.valid.eq(axi.wvalid),
            axi.wready.eq(buffer.i.ready),
            # The response of the burst before must be gone when this one's is due.
            beat.ready.eq(writing & ~by_word & (~axi.bvalid | axi.bready)),
            final.eq(beat.valid & beat.ready & beat.p.last),
            address.ready.eq(~writing | final),
        ]
        write_address = Signal.like(port.addr, reset_less=True)
        write_data = Signal.like(port.data, reset_less=True)
        write_enable = Signal.like(port.en)
        m.d.comb += [port.addr.eq(write_address), port.data.eq(write_data), port.en.eq(write_enable)]
        m.d.sync += [
            write_address.eq(Cat(place, page)),
            write_data.eq(beat.p.data),
            write_enable.eq(Mux(beat.valid & beat.ready & ~fault, beat.p.strb, 0)),
        ]
        with m.If(by_word):
            m.d.sync += [
                write_address.eq(word.address[self._low :]),
                write_data.eq(word.data.replicate(self._axi_bits // 32)),
                write_enable.eq(Mux(self._outside(word.address), 0, 0b1111) << (lane << 2)),
            ]
        with m.If(beat.valid & beat.ready):
            m.d.sync += place.eq(place + 1)
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(final):
            m.d.sync += [axi.bvalid.eq(1), axi.bresp.eq(Mux(fault, _SLVERR, _OKAY)), writing.eq(0)]
        identifier = Signal.like(axi.awid)
        with m.If(final):
            m.d.sync += axi.bid.eq(identifier)
        with m.If(address.valid & address.ready):
            m.d.sync += [
                writing.eq(1),
                identifier.eq(address.p.id),
                page.eq(address.p.addr[_PAGE_BITS:]),
                place.eq(address.p.addr[self._low :]),
                fault.eq(self._outside(address.p.addr) | (address.p.burst != _INCR) | (address.p.size != self._low)),
            ]

    def _read(self, m, port, word, asked, by_word):
        """Address, cells, their word, output: all held up together by a beat that is not taken. The cells lie far apart."""
        axi, answer = self.axi, self.requests.reply
        address = self._addresses(m, "ar")
        reading = Signal()
        page = Signal(32 - _PAGE_BITS)
        place = Signal(_PAGE_BITS - self._low)
        left = Signal.like(axi.arlen)
        fault = Signal()
        identifier = Signal.like(axi.arid)

        advance, issue, final = Signal(), Signal(), Signal()
        read = data.StructLayout({"beat": 1, "word": 1, "last": 1, "fault": 1, "id": axi.rid.shape()})
        steps = [Signal(read, name=f"step_{step}") for step in range(3)]
        here = steps[-1]
        at = Signal.like(port.addr, reset_less=True)
        data_read = Signal.like(port.data, reset_less=True)
        busy = Signal()  # with a word
        m.d.comb += [
            advance.eq(~axi.rvalid | axi.rready),
            self.requests.requests.ready.eq(~busy & ~asked),
            by_word.eq(asked & advance),
            issue.eq(reading & advance & ~by_word),
            final.eq(issue & (left == 0)),
            address.ready.eq(~reading | final),
            port.addr.eq(at),
            port.en.eq(advance),
        ]
        with m.If(issue):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1)]
        with m.If(final):
            m.d.sync += reading.eq(0)
        with m.If(address.valid & address.ready):
            m.d.sync += [
                reading.eq(1),
                identifier.eq(address.p.id),
                page.eq(address.p.addr[_PAGE_BITS:]),
                place.eq(address.p.addr[self._low :]),
                left.eq(address.p.len),
                fault.eq(self._outside(address.p.addr) | (address.p.burst != _INCR) | (address.p.size != self._low)),
            ]

        lane = Signal(max(self._low - 2, 1))
        m.d.sync += self.requests.reply_valid.eq(here.word & advance)
        with m.If(by_word):
            m.d.sync += [busy.eq(1), lane.eq(word.address[2 : self._low]), answer.error.eq(self._outside(word.address))]
        with m.If(self.requests.reply_valid):
            m.d.sync += busy.eq(0)
        with m.If(advance):
            m.d.sync += [
                at.eq(Mux(by_word, word.address[self._low :], Cat(place, page))),
                data_read.eq(port.data),
                steps[0].eq(Cat(issue, by_word, final, fault, identifier)),
                *(step.eq(former) for former, step in pairwise(steps)),
                axi.rvalid.eq(here.beat),
                axi.rlast.eq(here.last),
                axi.rresp.eq(Mux(here.fault, _SLVERR, _OKAY)),
                axi.rid.eq(here.id),
                axi.rdata.eq(data_read),
            ]
        if self._axi_bits == 32:
            m.d.comb += answer.data.eq(axi.rdata)
        else:
            m.d.comb += answer.data.eq(axi.rdata.word_select(lane, 32))
