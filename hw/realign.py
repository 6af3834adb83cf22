"""Bytes at any alignment: which bytes of a beat belong to a transfer, and how they are packed anew."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .axi import BURST_BEATS, RUNS

__all__ = ["BeatWalker", "Realigner"]


class BeatWalker(wiring.Component):
    """Say of every beat of a transfer, in order, which of its bytes count: ``count`` bytes from byte ``start`` on.

    ``burst_last`` marks the last beat of each of `BurstSplitter`'s bursts, ``last`` that of the transfer. One beat per cycle;
    the first comes one cycle after the transfer.
    """

    def __init__(self, beat_bytes: int):
        self._beat_bytes = beat_bytes
        beat = {"start": range(beat_bytes), "count": range(beat_bytes + 1), "burst_last": 1, "last": 1}
        super().__init__({
            "transfers": In(stream.Signature(RUNS)),
            "beats": Out(stream.Signature(data.StructLayout(beat))),
        })

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._beat_bytes)
        high = exact_log2(self._beat_bytes * BURST_BEATS)
        transfer = Signal(RUNS)  # of its address only the low bits matter: those of the next run
        left = Signal(RUNS["run_bytes"].width)
        position = Signal(high)
        room = Signal(low + 1)
        run_ends = Signal()
        beat = self.beats.payload
        m.d.comb += [
            self.transfers.ready.eq(~self.beats.valid),
            room.eq(self._beat_bytes - position[:low]),
            run_ends.eq(left <= room),
            beat.start.eq(position[:low]),
            beat.count.eq(Mux(run_ends, left, room)),
            beat.burst_last.eq(run_ends | position[low:].all()),
            beat.last.eq(run_ends & (transfer.runs == 1)),
        ]
        with m.If(self.transfers.valid & self.transfers.ready):
            m.d.sync += [
                transfer.eq(self.transfers.payload),
                transfer.address.eq(self.transfers.p.address + self.transfers.p.run_pitch),
                left.eq(self.transfers.p.run_bytes),
                position.eq(self.transfers.p.address),
                self.beats.valid.eq(1),
            ]
        with m.Elif(self.beats.valid & self.beats.ready):
            m.d.sync += [left.eq(left - room), position.eq(position + room)]
            with m.If(run_ends):
                m.d.sync += [
                    left.eq(transfer.run_bytes),
                    position.eq(transfer.address),
                    transfer.address.eq(transfer.address + transfer.run_pitch),
                    transfer.runs.eq(transfer.runs - 1),
                    self.beats.valid.eq(transfer.runs != 1),
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

    A chunk at ``i`` lies in bytes ``start`` to ``start + count - 1`` of its data. Each of ``requests`` makes one chunk at
    ``o``, of the next ``count`` bytes, at bytes ``start`` on; ``mask`` marks them and all other bytes are zero. ``tag`` goes
    with it. Every byte put in must be asked for. One chunk in and one out per cycle; a byte is out 4 cycles after it came in
    (input register, ring, window, output register), a chunk 2 cycles after its request at the earliest.

    ``busy`` says that a requested chunk is on its way.
    """

    def __init__(self, input_bytes: int, output_bytes: int, tag=1):
        self._input_bytes = input_bytes
        self._output_bytes = output_bytes
        self._tag = tag
        i = {"data": 8 * input_bytes, "start": range(input_bytes), "count": range(input_bytes + 1)}
        requests = {"start": range(output_bytes), "count": range(output_bytes + 1), "tag": tag}
        o = {"data": 8 * output_bytes, "mask": output_bytes, "tag": tag}
        super().__init__({
            "i": In(stream.Signature(data.StructLayout(i))),
            "requests": In(stream.Signature(data.StructLayout(requests))),
            "o": Out(stream.Signature(data.StructLayout(o))),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = max(self._input_bytes, self._output_bytes)
        lane_bits = exact_log2(lanes)
        # A ring of four words of `lanes` bytes: room for a chunk coming, one going, and what neither fits.
        words = [Signal(8 * lanes, name=f"word_{index}") for index in range(4)]
        pointer_bits = lane_bits + 3  # two bits of word, one of wrap
        taken = Signal(pointer_bits)  # bytes accepted at i
        stored = Signal(pointer_bits)  # bytes in the ring
        given = Signal(pointer_bits)  # bytes gone to the window

        # Input: rotate the chunk to the lane where it belongs, then write it.
        used = Signal(pointer_bits)
        turn_in = Signal(lane_bits)
        marked = Signal(9 * lanes)  # each byte with a bit that says if it counts
        m.d.comb += [
            used.eq(taken - given),
            self.i.ready.eq(used <= 4 * lanes - self._input_bytes),
            turn_in.eq(taken - self.i.p.start),
            marked.eq(_marked(self.i.p, self._input_bytes)),
        ]
        rotated = Signal(9 * lanes)
        rotated_valid = Signal()
        rotated_end = Signal(pointer_bits)
        m.d.sync += [
            rotated_valid.eq(self.i.valid & self.i.ready),
            rotated.eq(_rotate(m, "turn_in", marked, 9, turn_in)),
            rotated_end.eq(taken + self.i.p.count),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += taken.eq(taken + self.i.p.count)
        with m.If(rotated_valid):
            m.d.sync += stored.eq(rotated_end)
            for lane in range(lanes):
                target = Signal(2, name=f"target_{lane}")
                m.d.comb += target.eq(stored[lane_bits:] + (stored[:lane_bits] > lane))
                for index, word in enumerate(words):
                    with m.If(rotated[9 * lane + 8] & (target == index)):
                        m.d.sync += word[8 * lane : 8 * lane + 8].eq(rotated[9 * lane : 9 * lane + 8])

        # Output: pick the lanes that hold the chunk, then rotate them to where it was asked for.
        available = Signal(pointer_bits)
        window = Signal(8 * lanes)
        turn_out = Signal(lane_bits)
        window_mask = Signal(self._output_bytes)
        window_tag = Signal(self._tag)
        window_valid = Signal()
        move = Signal()
        request = self.requests.payload
        m.d.comb += [
            available.eq(stored - given),
            move.eq(~self.o.valid | self.o.ready),
            self.requests.ready.eq((available >= request.count) & (~window_valid | move)),
            self.busy.eq(window_valid | self.o.valid),
        ]
        with m.If(move):
            out = _rotate(m, "turn_out", window, 8, turn_out)
            m.d.sync += [
                self.o.valid.eq(window_valid),
                self.o.p.data.eq(out[: 8 * self._output_bytes] & Cat(bit.replicate(8) for bit in window_mask)),
                self.o.p.mask.eq(window_mask),
                self.o.p.tag.eq(window_tag),
                window_valid.eq(0),
            ]
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += [
                window_valid.eq(1),
                given.eq(given + request.count),
                turn_out.eq(request.start - given),
                window_mask.eq(_mask(request, self._output_bytes)),
                window_tag.eq(request.tag),
            ]
            for lane in range(lanes):
                source = Signal(2, name=f"source_{lane}")
                m.d.comb += source.eq(given[lane_bits:] + (given[:lane_bits] > lane))
                with m.Switch(source):
                    for index, word in enumerate(words):
                        with m.Case(index):
                            m.d.sync += window[8 * lane : 8 * lane + 8].eq(word[8 * lane : 8 * lane + 8])
        return m


def _mask(chunk, size: int) -> Value:
    """A bit for each of ``size`` bytes: is it one of the chunk's?"""
    end = chunk.start + chunk.count
    return Cat((chunk.start <= index) & (end > index) for index in range(size))


def _marked(chunk, size: int) -> Value:
    """The chunk's bytes, each followed by its bit of `_mask`."""
    mask = _mask(chunk, size)
    return Cat(Cat(chunk.data[8 * index : 8 * index + 8], mask[index]) for index in range(size))
