"""LOAD: bytes of external memory to vectors of the activation memory."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import exact_log2

from . import isa
from .axi import BURST_BEATS, RUNS, BurstSplitter, ReadClientSignature
from .params import BANKS
from .realign import BeatWalker, Realigner
from .stream_fifo import SkidBuffer, StreamFIFO, StreamRegister

__all__ = ["IMAGE", "LoadEngine", "PixelWalker", "image_of", "runs_of"]

IMAGE = data.StructLayout({
    name: isa.TRANSFER[name].shape for name in ("address", "bank", "row_step", "rows", "width", "channels")
})  # fmt: skip
"""The on-chip side of a TRANSFER instruction."""


def image_of(instruction) -> Value:
    """`IMAGE` of a TRANSFER instruction."""
    return Cat(getattr(instruction, name) for name in IMAGE.members)


def runs_of(instruction, bases) -> Value:
    """`RUNS` of a TRANSFER instruction; ``bases`` is an array of the base registers."""
    address = (bases[instruction.base.as_value()] + instruction.offset)[:32]
    run_bytes = Cat(instruction.run_bytes, C(0, RUNS["run_bytes"].width - len(instruction.run_bytes)))
    return Cat(address, run_bytes, instruction.runs, instruction.run_pitch)


class PixelWalker(wiring.Component):
    """The vectors of an image in the order of their bytes: where each lies and how many bytes of it count.

    ``address`` is a word of the bank, ``last`` marks the image's last vector. One vector per cycle; the first comes
    one cycle after the image.
    """

    def __init__(self, vector_bytes: int, unit_bytes: int, bank_words: int):
        self._vector_bytes = vector_bytes
        self._units = vector_bytes // unit_bytes
        self._bank_words = bank_words
        self.vector = data.StructLayout({
            "bank": 2, "address": range(bank_words), "count": range(vector_bytes + 1), "last": 1,
        })  # fmt: skip
        super().__init__(
            {
                "images": In(stream.Signature(IMAGE)),
                "vectors": Out(stream.Signature(self.vector)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        vector, image = self.vectors.payload, self.images.payload
        low = exact_log2(self._vector_bytes)
        sub = exact_log2(self._units)
        words = range(self._bank_words)
        row = Signal(words)  # address of the current row
        row_step = Signal(words)
        width = Signal(IMAGE["width"].width)
        blocks = Signal(signed(IMAGE["channels"].width - low + 1))  # vectors of a pixel, less two
        tail = Signal(range(1, self._vector_bytes + 1))  # bytes in a pixel's last vector
        rows_left = Signal(IMAGE["rows"].width)
        pixels_left = Signal(IMAGE["width"].width)
        blocks_left = Signal.like(blocks)  # the same of those that are left: negative at the last one

        most = Signal(signed(IMAGE["channels"].width + 1))
        first_tail = Signal.like(tail)
        next_row = Signal(words)
        pixel_ends, next_ends = Signal(), Signal()
        row_ends = Signal()
        m.d.comb += [
            first_tail.eq(most[:low] + 1),
            most.eq(image.channels - 1 - self._vector_bytes),
            self.images.ready.eq(~self.vectors.valid),
            next_row.eq(Mux(vector.bank == BANKS - 1, row + row_step, row)),
            pixel_ends.eq(blocks_left < 0),
            next_ends.eq(Mux(pixel_ends, blocks < 0, blocks_left == 0)),
            row_ends.eq(pixel_ends & (pixels_left == 1)),
            vector.last.eq(row_ends & (rows_left == 1)),
        ]
        with m.If(~self.vectors.valid):
            m.d.sync += [
                self.vectors.valid.eq(self.images.valid),
                vector.bank.eq(image.bank),
                vector.address.eq(image.address >> sub),
                row.eq(image.address >> sub),
                row_step.eq(image.row_step >> sub),
                width.eq(image.width),
                blocks.eq(most >> low),
                tail.eq(first_tail),
                vector.count.eq(Mux(most < 0, first_tail, self._vector_bytes)),
                rows_left.eq(image.rows),
                pixels_left.eq(image.width),
                blocks_left.eq(most >> low),
            ]
        with m.Elif(self.vectors.ready):
            m.d.sync += [
                vector.address.eq(vector.address + 1),
                blocks_left.eq(blocks_left - 1),
                vector.count.eq(Mux(next_ends, tail, self._vector_bytes)),
            ]
            with m.If(pixel_ends):
                m.d.sync += [blocks_left.eq(blocks), pixels_left.eq(pixels_left - 1)]
            with m.If(row_ends):
                m.d.sync += [
                    vector.bank.eq(vector.bank + 1),
                    vector.address.eq(next_row),
                    row.eq(next_row),
                    pixels_left.eq(width),
                    rows_left.eq(rows_left - 1),
                    self.vectors.valid.eq(rows_left != 1),
                ]
        return m


class LoadEngine(wiring.Component):
    """Run LOAD instructions, one after the other and two cycles apart or more; the next one's bursts are requested while the last
    one's data is written.

    ``writes`` are whole vectors, zero beyond the pixel's channels. ``done`` is high in the cycle behind that in which
    an instruction's last vector is accepted, ``error`` for one cycle when a beat with an error response comes up; then
    the instruction stops until the component is reset. ``fifo_beats`` bounds the requests in flight. ``busy`` from an
    instruction's acceptance to its ``done``; ``advance`` when a beat or a vector moves.

    One beat per cycle if pixels are whole vectors of a beat or more, else one vector per cycle. The first request comes
    2 cycles after the instruction, a beat's bytes are on ``writes`` 8 cycles after the beat.
    """

    def __init__(self, vector_bytes: int, unit_bytes: int, bank_words: int, axi_bytes: int, fifo_beats: int = 64):
        self._vector_bytes = vector_bytes
        self._unit_bytes = unit_bytes
        self._bank_words = bank_words
        self._axi_bytes = axi_bytes
        self._fifo_beats = fifo_beats
        if fifo_beats < BURST_BEATS:
            raise ValueError(f"fifo_beats: {fifo_beats!r} is not {BURST_BEATS} or more")
        write = data.StructLayout({"bank": 2, "address": range(bank_words), "data": 8 * vector_bytes})
        super().__init__(
            {
                "instructions": In(stream.Signature(isa.TRANSFER)),
                "bases": In(data.ArrayLayout(32, isa.BASES)),
                "read": Out(ReadClientSignature(8 * axi_bytes)),
                "writes": Out(stream.Signature(write)),
                "done": Out(1),
                "error": Out(1),
                "busy": Out(1),
                "advance": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(self._axi_bytes)
        transfer = data.StructLayout({"runs": RUNS, "image": IMAGE})
        m.submodules.queue = queue = StreamFIFO(transfer, 3)
        m.submodules.beats = beats = StreamFIFO(self.read.beat.shape(), self._fifo_beats)
        m.submodules.walker = walker = BeatWalker(self._axi_bytes)
        m.submodules.pixels = pixels = PixelWalker(self._vector_bytes, self._unit_bytes, self._bank_words)
        tag = pixels.vector
        m.submodules.realigner = realigner = Realigner(self._axi_bytes, self._vector_bytes, tag)

        # Registers between them: a FIFO's memory answers late in the cycle, and whether something is taken is known late.
        place = {name: field.shape for name, field in tag}
        write = data.StructLayout({"bank": place["bank"], "address": place["address"], "data": 8 * self._vector_bytes, "last": 1})
        m.submodules.beat = beat = StreamRegister(self.read.beat.shape())
        m.submodules.walked = walked = SkidBuffer(walker.beats.payload.shape())
        m.submodules.vectors = vectors = SkidBuffer(tag)
        m.submodules.written = written = SkidBuffer(write)
        connect(m, beats.o, beat.i)
        connect(m, walker.beats, walked.i)
        connect(m, pixels.vectors, vectors.i)

        # Accept an instruction: its bursts are cut at once; a cycle later, before the next one, the rest goes into the queue.
        instruction = self.instructions
        image = Signal(IMAGE, reset_less=True)
        accept, accepted = Signal(), Signal()
        m.d.sync += [accepted.eq(accept), image.eq(image_of(instruction.p))]
        m.d.comb += [
            accept.eq(instruction.valid & instruction.ready),
            splitter.transfers.p.eq(runs_of(instruction.p, self.bases)),
            splitter.transfers.valid.eq(accept),
            queue.i.p.runs.eq(splitter.accepted),
            queue.i.p.image.eq(image),
            queue.i.valid.eq(accepted),
            instruction.ready.eq(queue.i.ready & splitter.transfers.ready),
        ]

        # Request what there is room for.
        free = Signal(range(self._fifo_beats + 1), init=self._fifo_beats)
        next_free = Signal.like(free)
        room = Signal(init=self._fifo_beats >= BURST_BEATS)  # for the longest burst
        requests = self.read.requests
        requested = requests.valid & requests.ready
        popped = Signal()  # a cycle later: whether a beat is taken is known late
        m.d.sync += popped.eq(beats.o.valid & beats.o.ready)
        m.d.comb += [
            requests.p.eq(splitter.bursts.p.burst),
            requests.valid.eq(splitter.bursts.valid & room),
            splitter.bursts.ready.eq(requests.ready & room),
            next_free.eq(Mux(requested, free - requests.p.beats, free) + popped),
        ]
        m.d.sync += [free.eq(next_free), room.eq(next_free >= BURST_BEATS)]

        # One transfer at a time goes through beats, bytes and vectors.
        running = Signal()
        ends = Signal()
        failed = Signal()
        m.d.comb += [
            walker.transfers.p.eq(queue.o.p.runs),
            pixels.images.p.eq(queue.o.p.image),
            walker.transfers.valid.eq(queue.o.valid & queue.o.ready),
            pixels.images.valid.eq(queue.o.valid & queue.o.ready),
            queue.o.ready.eq(~running & walker.transfers.ready & pixels.images.ready),
            beats.i.p.eq(self.read.beat),
            beats.i.valid.eq(self.read.beat_valid),
            realigner.i.p.data.eq(beat.o.p.data),
            realigner.i.p.start.eq(walked.o.p.start),
            realigner.i.p.count.eq(walked.o.p.count),
        ]
        with m.If(queue.o.valid & queue.o.ready):
            m.d.sync += running.eq(1)
        with m.If(~failed):
            m.d.comb += [
                realigner.i.valid.eq(beat.o.valid & walked.o.valid & ~beat.o.p.error),
                beat.o.ready.eq(realigner.i.ready & walked.o.valid),
                walked.o.ready.eq(realigner.i.ready & beat.o.valid),
            ]
            with m.If(beat.o.valid & walked.o.valid & beat.o.p.error):
                m.d.sync += [failed.eq(1), self.error.eq(1)]
        with m.If(self.error):
            m.d.sync += self.error.eq(0)

        m.d.comb += [
            realigner.requests.p.count.eq(vectors.o.p.count),
            realigner.requests.p.tag.eq(vectors.o.p),
            realigner.requests.valid.eq(vectors.o.valid),
            vectors.o.ready.eq(realigner.requests.ready),
            written.i.p.bank.eq(realigner.o.p.tag.bank),
            written.i.p.address.eq(realigner.o.p.tag.address),
            written.i.p.data.eq(realigner.o.p.data),
            written.i.p.last.eq(realigner.o.p.tag.last),
            written.i.valid.eq(realigner.o.valid),
            realigner.o.ready.eq(written.i.ready),
            *(self.writes.p[name].eq(written.o.p[name]) for name, _ in self.writes.p.shape()),
            self.writes.valid.eq(written.o.valid),
            written.o.ready.eq(self.writes.ready),
            ends.eq(self.writes.valid & self.writes.ready & written.o.p.last),
            self.busy.eq(running | self.done | queue.o.valid | queue.level.any() | splitter.busy),
            self.advance.eq(self.read.beat_valid | (self.writes.valid & self.writes.ready)),
        ]
        m.d.sync += self.done.eq(ends)
        with m.If(self.done):
            m.d.sync += running.eq(0)
        return m
