"""Bytes at any alignment: which bytes of a beat belong to a transfer, and how they are packed anew."""

from collections.abc import Callable

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .axi import BURST_BEATS, RUNS

__all__ = ["BeatWalker", "Realigner"]


class BeatWalker(wiring.Component):
    """Say of every beat of a transfer, in order, which of its bytes count: ``count`` bytes from byte ``start`` on.

    ``burst_last`` marks the last beat of each of `BurstSplitter`'s bursts, ``last`` that of the transfer. One beat per
    cycle; the first comes 2 cycles after the transfer.
    """

    def __init__(self, beat_bytes: int):
        self._beat_bytes = beat_bytes
        beat = {"start": range(beat_bytes), "count": range(beat_bytes + 1), "burst_last": 1, "last": 1}
        super().__init__({
            "transfers": In(stream.Signature(RUNS)),
            "beats": Out(stream.Signature(data.StructLayout(beat))),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._beat_bytes)
        window = exact_log2(BURST_BEATS)
        transfer = Signal(RUNS, reset_less=True)  # its address is that of the next run; only the low bits matter
        walking = Signal()
        start = Signal(low, reset_less=True)  # in the beat
        beat = Signal(window, reset_less=True)  # in the burst
        more = Signal(RUNS["run_bytes"].width - low + 1, reset_less=True)  # beats of the run behind this one
        tail = Signal(low, reset_less=True)  # last byte of the run, in its beat
        run_ends = Signal(reset_less=True)
        last_run, move = Signal(), Signal()
        m.d.comb += [
            self.transfers.ready.eq(~walking),
            last_run.eq(transfer.runs == 1),
            move.eq(~self.beats.valid | self.beats.ready),
        ]

        def begin(address: Value, run_bytes: Value) -> list:
            extent = address[:low] + run_bytes - 1
            beats = extent[low : low + len(more)]
            return [
                start.eq(address[:low]), beat.eq(address[low : low + window]), tail.eq(extent[:low]), more.eq(beats),
                run_ends.eq(beats == 0),
            ]  # fmt: skip

        m.d.sync += walking.eq(Mux(walking, ~(move & run_ends & last_run), self.transfers.valid))
        with m.If(move):
            m.d.sync += [
                self.beats.valid.eq(walking),
                self.beats.p.start.eq(start),
                self.beats.p.count.eq(Mux(run_ends, tail + 1, self._beat_bytes) - start),
                self.beats.p.burst_last.eq(run_ends | beat.all()),
                self.beats.p.last.eq(run_ends & last_run),
            ]
        with m.If(~walking):
            m.d.sync += [
                transfer.eq(self.transfers.payload),
                transfer.address.eq(self.transfers.p.address + self.transfers.p.run_pitch),
                *begin(self.transfers.p.address, self.transfers.p.run_bytes),
            ]
        with m.Elif(move):
            m.d.sync += [start.eq(0), beat.eq(beat + 1), more.eq(more - 1), run_ends.eq(more == 1)]
            with m.If(run_ends):
                m.d.sync += [
                    *begin(transfer.address, transfer.run_bytes),
                    transfer.address.eq(transfer.address + transfer.run_pitch),
                    transfer.runs.eq(transfer.runs - 1),
                ]
        return m


def _rotate(m: Module, name: str, lanes: Value, lane_bits: int, amount: Value) -> Value:
    """Rotate ``lanes`` up by ``amount`` lanes: one level of multiplexers per bit of ``amount``."""
    for bit in range(len(amount)):
        level = Signal(lanes.shape(), name=f"{name}_{bit}")
        m.d.comb += level.eq(Mux(amount[bit], lanes.rotate_left(lane_bits << bit), lanes))
        lanes = level
    return lanes


class Realigner(wiring.Component):
    """Take chunks of 1 to ``input_bytes`` bytes, give chunks of 1 to ``output_bytes`` bytes (both powers of two).

    A chunk at ``i`` lies in bytes ``start`` to ``start + count - 1`` of its data. Each of ``requests`` makes one
    chunk at ``o``, of the next ``count`` bytes, at bytes ``start`` on; ``mask`` marks them and all other bytes are
    zero. ``tag`` goes with it. Every byte put in must be asked for. One chunk in and one out per cycle; a byte is out
    4 cycles after it came in (input register, ring, window, output register), a chunk 2 cycles after its request at
    the earliest.

    ``busy`` says that a requested chunk is on its way.
    """

    def __init__(self, input_bytes: int, output_bytes: int, tag=1):
        self._input_bytes = input_bytes
        self._output_bytes = output_bytes
        self._tag = tag
        i = {"data": 8 * input_bytes, "start": range(input_bytes), "count": range(input_bytes + 1)}
        requests = {"start": range(output_bytes), "count": range(output_bytes + 1), "tag": tag}
        o = {"data": 8 * output_bytes, "mask": output_bytes, "tag": tag}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(i))),
                "requests": In(stream.Signature(data.StructLayout(requests))),
                "o": Out(stream.Signature(data.StructLayout(o))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = max(self._input_bytes, self._output_bytes)
        lane_bits = exact_log2(lanes)
        # A ring of four words of `lanes` bytes: room for a chunk coming, one going, and what neither fits.
        words = [Signal(8 * lanes, name=f"word_{index}", reset_less=True) for index in range(4)]
        taken, stored, given = (Signal(lane_bits + 2, name=name) for name in ("taken", "stored", "given"))  # byte of the ring
        available = Signal(range(4 * lanes + 1))  # bytes stored and not given
        self._count_bytes(m, lanes, available)
        self._store_chunks(m, words, lanes, lane_bits, taken, stored)
        self._give_chunks(m, words, lanes, lane_bits, available, given)
        return m

    def _count_bytes(self, m, lanes, available):
        """Count bytes, and take chunks that there is room for. Whether one comes or goes is known late in the cycle."""
        used = Signal.like(available)  # bytes accepted and not given
        ready = Signal(init=1)  # beside the counter: what comes in waits for it
        put, give = self.i.valid & self.i.ready, self.requests.valid & self.requests.ready
        less, more, both = (Signal.like(used, name=name) for name in ("less", "more", "both"))
        m.d.comb += [
            less.eq(used - self.requests.p.count),
            more.eq(used + self.i.p.count),
            both.eq(less + self.i.p.count),
            self.i.ready.eq(ready),
        ]

        def choose(change: Callable[[Value], Value]) -> Value:
            return Mux(give, Mux(put, change(both), change(less)), Mux(put, change(more), change(used)))

        m.d.sync += [
            available.eq(Mux(give, less, used)),
            used.eq(choose(lambda level: level)),
            ready.eq(choose(lambda level: level <= 4 * lanes - self._input_bytes)),
        ]

    def _store_chunks(self, m, words, lanes, lane_bits, taken, stored):
        """Rotate each chunk to the lane where it belongs, and a cycle later write it to the ring."""
        put = self.i.valid & self.i.ready
        turn = Signal(lane_bits)
        end = Signal(lane_bits + 1)  # of the chunk, from the word's first lane on
        m.d.comb += [turn.eq(taken - self.i.p.start), end.eq(taken[:lane_bits] + self.i.p.count)]
        chunk = Signal(8 * lanes, reset_less=True)
        marks = Signal(lanes)
        valid = Signal()
        next_chunk = Signal(8 * lanes)
        behind_start, before_end = ~_below(taken[:lane_bits], lanes), _below(end[:lane_bits], lanes)
        m.d.comb += next_chunk.eq(self.i.p.data)
        m.d.sync += [
            chunk.eq(_rotate(m, "turned", next_chunk, 8, turn)),
            marks.eq(Mux(end[lane_bits], behind_start | before_end, behind_start & before_end)),
            valid.eq(put),
            stored.eq(taken),
        ]
        with m.If(put):
            m.d.sync += taken.eq(taken + self.i.p.count)

        beyond = Signal(lanes)  # the lanes of the word behind the one where the chunk begins
        m.d.comb += beyond.eq(_below(stored[:lane_bits], lanes))
        for index, word in enumerate(words):
            here = valid & (stored[lane_bits : lane_bits + 2] == index)
            behind = valid & (stored[lane_bits : lane_bits + 2] == (index - 1) % 4)
            enable = Signal(lanes, name=f"enable_{index}")
            m.d.comb += enable.eq(marks & ((~beyond & here.replicate(lanes)) | (beyond & behind.replicate(lanes))))
            for lane in range(lanes):
                with m.If(enable[lane]):
                    m.d.sync += word.word_select(lane, 8).eq(chunk.word_select(lane, 8))

    def _give_chunks(self, m, words, lanes, lane_bits, available, given):
        """Pick the lanes that hold the chunk asked for, and a cycle later rotate them to where it should lie."""
        window = Signal(8 * lanes, reset_less=True)
        turn = Signal(lane_bits)
        marks = Signal(self._output_bytes)
        tag = Signal(self._tag)
        valid = Signal()
        move = Signal()
        request = self.requests.payload
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            self.requests.ready.eq((available >= request.count) & (~valid | move)),
            self.busy.eq(valid | self.o.valid),
        ]
        with m.If(move):
            out = _rotate(m, "turned_back", window, 8, turn)[: 8 * self._output_bytes]
            m.d.sync += [
                self.o.valid.eq(valid),
                self.o.p.data.eq(out & Cat(mark.replicate(8) for mark in marks)),
                self.o.p.mask.eq(marks),
                self.o.p.tag.eq(tag),
                valid.eq(0),
            ]

        # Two neighbouring words are one of the even and one of the odd ones.
        first = given[lane_bits : lane_bits + 2]
        even = Signal(8 * lanes)
        odd = Signal(8 * lanes)
        take_odd = Signal(lanes)
        m.d.comb += [
            even.eq(Mux(first[0] ^ first[1], words[2], words[0])),
            odd.eq(Mux(first[1], words[3], words[1])),
            take_odd.eq(_below(given[:lane_bits], lanes) ^ first[0].replicate(lanes)),
        ]
        picked = (Mux(take_odd[lane], odd.word_select(lane, 8), even.word_select(lane, 8)) for lane in range(lanes))
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += [
                valid.eq(1),
                given.eq(given + request.count),
                window.eq(Cat(picked)),
                turn.eq(request.start - given),
                marks.eq(_marks(request, self._output_bytes)),
                tag.eq(request.tag),
            ]


def _below(position: Value, size: int) -> Value:
    """A bit for each of ``size`` bytes: does it come before ``position``?"""
    bits = len(position)
    return Cat(position > C(index, bits) if index < 2**bits - 1 else C(0, 1) for index in range(size))


def _marks(chunk, size: int) -> Value:
    """A bit for each of ``size`` bytes: is it one of the chunk's?"""
    end = (chunk.start + chunk.count)[: size.bit_length()]
    return _below(end, size) & ~_below(chunk.start, size)
