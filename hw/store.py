"""STORE: vectors of the activation memory to bytes of external memory."""

from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import exact_log2

from . import isa
from .axi import AXI4WriteSignature, BurstSplitter
from .load import PixelWalker, image_of, runs_of
from .realign import BeatWalker, Realigner
from .scratchpad import Scratchpad
from .skew import Delay
from .stream_fifo import SkidBuffer, StreamFIFO

__all__ = ["READ_CREDITS", "StoreEngine"]

READ_CREDITS = 8
"""Vectors that STORE has read, or asked for, and not passed on."""


class StoreEngine(wiring.Component):
    """Run STORE instructions, one after the other; the next one starts while write responses of the last are
    outstanding.

    ``read_data`` is the vector at the address of ``reads`` Scratchpad.STORE_LATENCY cycles after the request was accepted.
    ``done`` pulses when an instruction's last write response is there, ``error`` a cycle after one that reports an error (then
    not ``done``). At most ``outstanding`` bursts await their response. ``halt`` starts no more bursts and completes those on AW
    with empty strobes, a cycle later and until the component is reset; ``quiet`` says that none is left. ``busy`` from an
    instruction's acceptance to its ``done``; ``advance`` when a vector, beat or response moves.
    """

    def __init__(self, vector_bytes: int, unit_bytes: int, bank_words: int, axi_bytes: int, outstanding: int = 8):
        self._vector_bytes = vector_bytes
        self._unit_bytes = unit_bytes
        self._bank_words = bank_words
        self._axi_bytes = axi_bytes
        self._outstanding = outstanding
        super().__init__(
            {
                "instructions": In(stream.Signature(isa.TRANSFER)),
                "bases": In(data.ArrayLayout(32, isa.BASES)),
                "reads": Out(stream.Signature(data.StructLayout({"bank": 2, "address": range(bank_words)}))),
                "read_data": In(8 * vector_bytes),
                "axi": Out(AXI4WriteSignature(8 * axi_bytes)),
                "halt": In(1),
                "quiet": Out(1),
                "done": Out(1),
                "error": Out(1),
                "busy": Out(1),
                "advance": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(self._axi_bytes)
        m.submodules.walker = walker = BeatWalker(self._axi_bytes)
        m.submodules.pixels = pixels = PixelWalker(self._vector_bytes, self._unit_bytes, self._bank_words)
        m.submodules.realigner = realigner = Realigner(self._vector_bytes, self._axi_bytes)

        running = Signal()
        accept, accepted = Signal(), Signal()
        # A register: `halt` comes from far away.
        self._halted = halted = Signal()
        m.d.sync += halted.eq(halted | self.halt)
        m.d.comb += [
            accept.eq(self.instructions.valid & self.instructions.ready),
            self.instructions.ready.eq(
                ~running & ~halted & splitter.transfers.ready & walker.transfers.ready & pixels.images.ready
            ),
            splitter.transfers.p.eq(runs_of(self.instructions.p, self.bases)),
            walker.transfers.p.eq(splitter.accepted),  # in time for the first vector
            pixels.images.p.eq(image_of(self.instructions.p)),
            splitter.transfers.valid.eq(accept),
            walker.transfers.valid.eq(accepted),
            pixels.images.valid.eq(accept),
        ]
        m.d.sync += accepted.eq(accept)
        with m.If(accept):
            m.d.sync += running.eq(1)

        self._read_vectors(m, pixels, realigner)
        self._write_beats(m, splitter, walker, realigner, running)
        return m

    def _read_vectors(self, m, pixels, realigner):
        """Read the scratchpad, never more than there is room for, and pass the vectors on to the realigner."""
        chunk = data.StructLayout({"data": 8 * self._vector_bytes, "count": range(self._vector_bytes + 1)})
        m.submodules.vectors = vectors = StreamFIFO(chunk, READ_CREDITS)
        credits = Signal(range(READ_CREDITS + 1), init=READ_CREDITS)
        spent = Signal()  # all credits
        read, passed = Signal(), Signal()
        m.d.comb += [
            passed.eq(vectors.o.valid & vectors.o.ready),
            self.reads.valid.eq(pixels.vectors.valid & ~spent),
            pixels.vectors.ready.eq(self.reads.ready & ~spent),
            self.reads.p.bank.eq(pixels.vectors.p.bank),
            self.reads.p.address.eq(pixels.vectors.p.address),
            read.eq(self.reads.valid & self.reads.ready),
            vectors.i.p.data.eq(self.read_data),
            realigner.i.p.data.eq(vectors.o.p.data),
            realigner.i.p.count.eq(vectors.o.p.count),
            realigner.i.valid.eq(vectors.o.valid),
            vectors.o.ready.eq(realigner.i.ready),
        ]
        asked = data.StructLayout({"valid": 1, "count": vectors.i.p.count.shape()})
        m.submodules.read_delay = delay = Delay(asked, Scratchpad.STORE_LATENCY)
        m.d.comb += [
            delay.i.valid.eq(read),
            delay.i.count.eq(pixels.vectors.p.count),
            vectors.i.valid.eq(delay.o.valid),
            vectors.i.p.count.eq(delay.o.count),
        ]
        m.d.sync += [credits.eq(credits - read + passed), spent.eq((spent | (read & (credits == 1))) & ~passed)]

    def _write_beats(self, m, splitter, walker, realigner, running):
        """AW bursts, the W beats that they promised, and the count of B responses."""
        axi = self.axi
        m.submodules.responses = responses = fifo.SyncFIFO(
            width=1, depth=self._outstanding
        )  # bit: last of its instruction

        issue = Signal()
        full = Signal()  # of responses that are awaited
        answered = axi.bvalid & responses.r_rdy
        m.d.sync += full.eq(~answered & (full | (issue & (responses.level == self._outstanding - 1))))
        m.d.comb += [
            axi.awsize.eq(exact_log2(self._axi_bytes)),
            axi.awburst.eq(1),  # INCR
            issue.eq(splitter.bursts.valid & splitter.bursts.ready),
            splitter.bursts.ready.eq((~axi.awvalid | axi.awready) & ~full & ~self._halted),
            responses.w_data.eq(splitter.bursts.p.last),
            responses.w_en.eq(issue),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awaddr.eq(splitter.bursts.p.burst.address),
                axi.awlen.eq(splitter.bursts.p.burst.beats - 1),
            ]

        # Beats follow the bursts that are on AW, whether accepted or not; after `halt` they come without data. A beat of a burst
        # that was promised has a flag, one with data or one without: the counter says it late.
        promised = Signal(range(self._outstanding + 1))
        none, next_none = Signal(init=1), Signal()
        owed, owed_empty = Signal(), Signal()
        leaves = Signal()
        stops = self._halted | self.halt
        m.submodules.beats = buffer = SkidBuffer(walker.beats.payload.shape())
        connect(m, walker.beats, buffer.i)
        beat = buffer.o
        empty = Signal()
        m.d.comb += [
            realigner.requests.p.start.eq(beat.p.start),
            realigner.requests.p.count.eq(beat.p.count),
            realigner.requests.p.tag.eq(beat.p.burst_last),
            realigner.requests.valid.eq(beat.valid & owed),
            realigner.o.ready.eq(axi.wready),
            empty.eq(beat.valid & owed_empty & ~realigner.busy),
            beat.ready.eq((realigner.requests.ready & owed) | (empty & axi.wready)),
            leaves.eq(beat.valid & beat.ready & beat.p.burst_last),
            next_none.eq((none | (leaves & (promised == 1))) & ~issue),
            axi.wvalid.eq(realigner.o.valid | empty),
            axi.wdata.eq(realigner.o.p.data),
            axi.wstrb.eq(Mux(empty, 0, realigner.o.p.mask)),
            axi.wlast.eq(Mux(empty, beat.p.burst_last, realigner.o.p.tag)),
        ]
        with m.If(beat.valid & beat.ready & beat.p.last):
            m.d.sync += running.eq(0)  # all bursts are on AW, all vectors read, the last beat is under way
        m.d.sync += [
            promised.eq(promised + issue - leaves),
            none.eq(next_none),
            owed.eq(~next_none & ~stops),
            owed_empty.eq(~next_none & stops),
        ]

        m.d.sync += self.error.eq(axi.bvalid & axi.bresp[1])
        m.d.comb += [
            axi.bready.eq(1),
            responses.r_en.eq(axi.bvalid),
            self.done.eq(axi.bvalid & responses.r_rdy & responses.r_data & ~axi.bresp[1]),
            self.busy.eq(running | responses.r_rdy),
            self.quiet.eq(~axi.awvalid & ~responses.r_rdy),
            self.advance.eq((self.reads.valid & self.reads.ready) | (axi.wvalid & axi.wready) | axi.bvalid),
        ]
