"""The weight stream: fetched in the order of use, handed to the array, the constants and the residual tables."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from . import isa
from .axi import BURST_BEATS, BurstSplitter, ReadClientSignature
from .stream_fifo import SkidBuffer, StreamFIFO

__all__ = ["WeightEngine"]

_COUNTS = ("blocks", "groups", "tiles", "rows", "last_rows")
_PAIR_BITS = 64
_TABLE_BITS = 28
_QUEUE = 4


class _Kind(enum.Enum, shape=2):
    CONSTANTS = 0
    TILES = 1
    TABLES = 2


_NAME = data.StructLayout({
    "tiles": 1,
    "constants": 1,
    "plane": range(isa.CONSTANT_VECTORS),
    "last": 1,  # of its tile, constant or table
    "ends": 1,  # the last of its instruction
})  # fmt: skip
"""What a vector of the stream is; neither of a tile nor a constant, it has entries of a table."""


class WeightEngine(wiring.Component):
    """Fetch WEIGHTS streams into a FIFO of ``fifo_bytes``; name the vectors at its head and hand them out in order.

    The fetch runs ahead, through up to 5 instructions. Base plus offset is a multiple of 16 bytes (the low four bits
    count as zero), an instruction's bytes are those that its fields describe. ``tiles`` are vectors of ``cols`` bytes
    with the last of each tile marked, ``constants`` come with their plane 0 to 8, ``tables`` one pair per cycle with
    the operand's byte (absent without ``residual``). One vector per cycle; 3 cycles from a
    beat to its vector, 4 if a vector is more than a beat.

    ``done`` pulses one cycle after an instruction's last vector has left the FIFO, ``error`` in its place after a word with an
    error response; nothing leaves any more then until the component is reset. ``busy`` from an instruction's
    acceptance until all is handed out; ``advance`` when a beat or a vector moves.
    """

    def __init__(self, cols: int, axi_bytes: int, fifo_bytes: int, residual: bool = True):
        self._cols = cols
        self._axi_bytes = axi_bytes
        self._fifo_bytes = fifo_bytes
        self._residual = residual
        if fifo_bytes < 2 * BURST_BEATS * axi_bytes:
            raise ValueError(f"fifo_bytes: {fifo_bytes!r} is less than two bursts of {BURST_BEATS} x {axi_bytes} bytes")
        pair = {"index": 8, "a": signed(_TABLE_BITS), "b": signed(_TABLE_BITS)}
        tables = {"tables": Out(stream.Signature(data.StructLayout(pair)))}
        super().__init__(
            {
                "instructions": In(stream.Signature(isa.WEIGHTS)),
                "bases": In(data.ArrayLayout(32, isa.BASES)),
                "read": Out(ReadClientSignature(8 * axi_bytes)),
                "tiles": Out(stream.Signature(data.StructLayout({"data": 8 * cols, "last": 1}))),
                "constants": Out(
                    stream.Signature(data.StructLayout({"plane": range(isa.CONSTANT_VECTORS), "data": 8 * cols}))
                ),
                **(tables if residual else {}),
                "done": Out(1),
                "error": Out(1),
                "busy": Out(1),
                "advance": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(self._axi_bytes)
        queued = data.StructLayout({name: isa.WEIGHTS[name].shape for name in ("stream", *_COUNTS)})
        m.submodules.queue = queue = StreamFIFO(queued, _QUEUE)
        instruction = self.instructions
        address = self.bases[instruction.p.base.as_value()] + instruction.p.offset
        m.d.comb += [
            splitter.transfers.p.address.eq(Cat(C(0, 4), address[4:32])),
            splitter.transfers.p.run_bytes.eq(instruction.p.bytes),
            splitter.transfers.p.runs.eq(1),
            queue.i.p.stream.eq(instruction.p.stream),
            *(queue.i.p[name].eq(instruction.p[name] - 1) for name in _COUNTS),
            splitter.transfers.valid.eq(instruction.valid & queue.i.ready),
            queue.i.valid.eq(instruction.valid & splitter.transfers.ready),
            instruction.ready.eq(queue.i.ready & splitter.transfers.ready),
        ]
        vector = self._fetch(m, splitter)
        head = self._name(m, queue.o, vector)
        self._hand_out(m, head)
        m.d.comb += [
            self.busy.eq(splitter.busy | queue.level.any() | self._naming | head.valid),
            self.advance.eq(self.read.beat_valid | (head.valid & head.ready)),
        ]
        return m

    def _fetch(self, m, splitter):
        """Request bursts for which the FIFO has room. Returns the stream of vectors that leaves it.

        The FIFO's word is the wider of beat and vector, so that it never slows down the bus. A payload's ``flush`` is
        an input: with it the rest of the word is dropped behind this vector.
        """
        beat_bits, vector_bits = 8 * self._axi_bytes, 8 * self._cols
        word_bits = max(beat_bits, vector_bits)
        pack = word_bits // beat_bits
        unpack = word_bits // vector_bits
        word = data.StructLayout({"data": word_bits, "error": 1})
        m.submodules.words = words = StreamFIFO(word, 8 * self._fifo_bytes // word_bits)

        free = Signal(range(self._fifo_bytes // self._axi_bytes + 1), init=self._fifo_bytes // self._axi_bytes)
        next_free = Signal.like(free)
        room = Signal(init=1)  # for the longest burst
        requests = self.read.requests
        requested = requests.valid & requests.ready
        popped = Signal()  # a cycle later: whether a vector is taken is known late
        m.d.sync += popped.eq(words.o.valid & words.o.ready)
        m.d.comb += [
            requests.p.eq(splitter.bursts.p.burst),
            requests.valid.eq(splitter.bursts.valid & room),
            splitter.bursts.ready.eq(requests.ready & room),
            next_free.eq(Mux(requested, free - requests.p.beats, free) + Mux(popped, pack, 0)),
        ]
        m.d.sync += [free.eq(next_free), room.eq(next_free[exact_log2(BURST_BEATS) :].any())]

        read = self.read
        if pack == 1:
            m.d.comb += [
                words.i.p.data.eq(read.beat.data),
                words.i.p.error.eq(read.beat.error),
                words.i.valid.eq(read.beat_valid),
            ]
        else:
            count = Signal(range(pack))
            m.d.sync += words.i.valid.eq(read.beat_valid & (count == pack - 1))
            with m.If(read.beat_valid):
                m.d.sync += [
                    count.eq(count + 1),
                    words.i.p.data.eq(Cat(words.i.p.data, read.beat.data)[beat_bits:]),
                    words.i.p.error.eq(read.beat.error | (words.i.p.error & (count != 0))),
                ]

        vector = stream.Signature(data.StructLayout({"data": vector_bits, "error": 1})).create(path=("vector",))
        self._flush = Signal()
        m.d.comb += vector.p.error.eq(words.o.p.error)
        if unpack == 1:
            m.d.comb += [
                vector.p.data.eq(words.o.p.data),
                vector.valid.eq(words.o.valid),
                words.o.ready.eq(vector.ready),
            ]
        else:
            part = Signal(range(unpack))
            last = (part == unpack - 1) | self._flush
            m.d.comb += [
                vector.p.data.eq(words.o.p.data.word_select(part, vector_bits)),
                vector.valid.eq(words.o.valid),
                words.o.ready.eq(vector.ready & last),
            ]
            with m.If(vector.valid & vector.ready):
                m.d.sync += part.eq(Mux(last, 0, part + 1))
        return vector

    def _name(self, m, instructions, vector):
        """Give every vector its kind, plane and end of tile. Returns them, registered.

        The buffer keeps the FIFO apart from whether a vector is taken, which is known late in a cycle. A word's error is known
        late as well: its vector goes into the buffer. The data goes into one of two registers and is chosen behind them, so that
        whether it is taken does not go to all of it.
        """
        names = self._walk(m, instructions)
        m.submodules.head = buffer = SkidBuffer(data.StructLayout({"name": _NAME, "error": 1}))
        named, head = buffer.i, buffer.o
        self._head_data = Signal(8 * self._cols)
        held = [Signal(8 * self._cols, name=f"data_{side}", reset_less=True) for side in range(2)]
        entry, way_out = Signal(), Signal()
        take = Signal()
        failed, reported, ended = Signal(), Signal(), Signal()
        m.d.comb += [
            vector.ready.eq(names.valid & named.ready & ~failed),
            take.eq(vector.valid & vector.ready),
            names.ready.eq(take),
            self._flush.eq(names.p.ends),
            named.valid.eq(take),
            named.p.error.eq(vector.p.error),
            self._head_data.eq(Mux(way_out, *reversed(held))),
            named.p.name.eq(names.p),
            self.error.eq(failed & ~reported),
            self.done.eq(ended & ~failed),
        ]
        with m.If(take):
            m.d.sync += entry.eq(~entry)
        for side, register in enumerate(held):
            with m.If(named.ready & (entry == side)):
                m.d.sync += register.eq(vector.p.data)
        with m.If(head.valid & head.ready):
            m.d.sync += way_out.eq(~way_out)
        m.d.sync += [ended.eq(take & names.p.ends), failed.eq(failed | (take & vector.p.error)), reported.eq(failed)]
        return head

    def _walk(self, m, instructions):
        """Walk the streams' structure, ahead of the vectors. Returns their names.

        All counters run down to 0; the queue holds the counts less one.
        """
        m.submodules.names = buffer = SkidBuffer(_NAME)
        counts = Signal(instructions.payload.shape(), reset_less=True)
        kind = Signal(_Kind, reset_less=True)
        plane = Signal(range(isa.CONSTANT_VECTORS), reset_less=True)
        # Of a tile, constant or table.
        step = Signal(range(max(isa.TABLE_BYTES // self._cols, isa.CONSTANT_VECTORS)), reset_less=True)
        tile, group, block = (Signal.like(counts[name], name=name, reset_less=True) for name in ("tiles", "groups", "blocks"))
        walking = Signal()
        move, tile_ends, group_ends, ends, next_last = (
            Signal(name=name) for name in ("move", "tile_ends", "group_ends", "ends", "next_last")
        )
        next_step, next_tile, next_group, next_block = (
            Signal.like(counter, name=f"next_{counter.name}") for counter in (step, tile, group, block)
        )
        step_ends, last_tile, last_group, last_block = (  # the counters that are 0
            Signal(name=f"{counter.name}_is_0", reset_less=True) for counter in (step, tile, group, block)
        )
        m.d.comb += [
            move.eq(walking & buffer.i.ready),
            tile_ends.eq(step_ends & (kind == _Kind.TILES) & last_tile),
            group_ends.eq(tile_ends & last_group),
            ends.eq((group_ends & last_block) | (step_ends & (kind == _Kind.TABLES))),
            next_last.eq(Mux((kind == _Kind.TILES) & ~last_tile, tile == 1, counts.tiles == 0)),
            buffer.i.valid.eq(walking),
            buffer.i.p.tiles.eq(kind == _Kind.TILES),
            buffer.i.p.constants.eq(kind == _Kind.CONSTANTS),
            buffer.i.p.plane.eq(plane),
            buffer.i.p.last.eq(step_ends),
            buffer.i.p.ends.eq(ends),
            instructions.ready.eq(~walking | (move & ends)),
        ]
        self._naming = walking | buffer.o.valid

        size = Mux(group_ends, isa.CONSTANT_VECTORS - 1, Mux(next_last, counts.last_rows, counts.rows))
        m.d.comb += [
            next_step.eq(Mux(step_ends, size, step - 1)),
            next_tile.eq(Mux(last_tile, counts.tiles, tile - 1)),
            next_group.eq(Mux(last_group, counts.groups, group - 1)),
            next_block.eq(block - 1),
        ]
        with m.If(move):
            m.d.sync += [step.eq(next_step), step_ends.eq(next_step == 0), plane.eq(plane + 1)]
            with m.If(step_ends):
                m.d.sync += [kind.eq(Mux(group_ends, _Kind.CONSTANTS, _Kind.TILES)), plane.eq(0)]
                with m.If(kind == _Kind.TILES):
                    m.d.sync += [tile.eq(next_tile), last_tile.eq(next_tile == 0)]
            with m.If(tile_ends):
                m.d.sync += [group.eq(next_group), last_group.eq(next_group == 0)]
            with m.If(group_ends):
                m.d.sync += [block.eq(next_block), last_block.eq(next_block == 0)]
        with m.If(instructions.ready):
            tables = instructions.p.stream == isa.Stream.TABLES
            m.d.sync += [
                walking.eq(instructions.valid),
                counts.eq(instructions.p),
                kind.eq(Mux(tables, _Kind.TABLES, _Kind.CONSTANTS)),
                step.eq(Mux(tables, isa.TABLE_BYTES // self._cols - 1, isa.CONSTANT_VECTORS - 1)),
                step_ends.eq(0),
                plane.eq(0),
                tile.eq(instructions.p.tiles),
                last_tile.eq(instructions.p.tiles == 0),
                group.eq(instructions.p.groups),
                last_group.eq(instructions.p.groups == 0),
                block.eq(instructions.p.blocks),
                last_block.eq(instructions.p.blocks == 0),
            ]
        return buffer.o

    def _hand_out(self, m, head):
        m.d.comb += [
            self.tiles.p.data.eq(self._head_data),
            self.tiles.p.last.eq(head.p.name.last),
            self.constants.p.data.eq(self._head_data),
            self.constants.p.plane.eq(head.p.name.plane),
        ]
        with m.If(head.p.error):
            m.d.comb += head.ready.eq(1)  # goes nowhere
        with m.Elif(head.p.name.tiles):
            m.d.comb += [self.tiles.valid.eq(head.valid), head.ready.eq(self.tiles.ready)]
        with m.Elif(head.p.name.constants):
            m.d.comb += [self.constants.valid.eq(head.valid), head.ready.eq(self.constants.ready)]
        if not self._residual:
            return
        with m.Else():
            pairs = 8 * self._cols // _PAIR_BITS
            pair = Signal(_PAIR_BITS)
            index = Signal(8)
            if pairs == 0:  # a pair is two vectors
                low = Signal(8 * self._cols)
                second = Signal()
                m.d.comb += [
                    pair.eq(Cat(low, self._head_data)),
                    self.tables.valid.eq(head.valid & second),
                    head.ready.eq(~second | self.tables.ready),
                ]
                with m.If(head.valid & head.ready):
                    m.d.sync += [low.eq(self._head_data), second.eq(~second)]
            else:
                part = index[: exact_log2(pairs)]
                m.d.comb += [
                    pair.eq(self._head_data.word_select(part, _PAIR_BITS)),
                    self.tables.valid.eq(head.valid),
                    head.ready.eq(self.tables.ready & part.all()),
                ]
            m.d.comb += [
                self.tables.p.index.eq(index),
                self.tables.p.a.eq(pair[:_TABLE_BITS].as_signed()),
                self.tables.p.b.eq(pair[32 : 32 + _TABLE_BITS].as_signed()),
            ]
            with m.If(self.tables.valid & self.tables.ready):
                m.d.sync += index.eq(index + 1)
