"""The queue in front of a post-processor with fewer lanes than columns: vectors of sums in, parts of them out."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import SumSignature

__all__ = ["SumQueue"]


class SumQueue(wiring.Component):
    """Vectors of ``cols`` ``sums`` in, parts of ``lanes`` sums out, one per cycle; a vector's parts follow each other.

    Whoever starts a result says ``expected`` in the cycle of its step. After a cycle with ``room`` up to ``depth`` results may be
    started, one per cycle; it counts those up to LATE cycles before. The last part of a vector that finds the queue empty leaves
    ``latency`` cycles behind it.
    """

    LATE = 3

    def __init__(self, *, cols: int, lanes: int, depth: int):
        self._cols = cols
        self._lanes = lanes
        self._depth = depth
        super().__init__({
            "expected": In(1),
            "sums": In(SumSignature(cols)),
            "parts": Out(SumSignature(lanes, cols // lanes)),
            "room": Out(1, init=1),
        })

    @staticmethod
    def latency(cols: int, lanes: int) -> int:
        """Cycles from a vector's arrival in an empty queue to its last part."""
        return 2 + cols // lanes

    @staticmethod
    def threshold(cols: int, lanes: int, depth: int) -> int:
        """Results under way with which there is room: while ``depth`` more start, a part of them leaves."""
        return depth * lanes // cols - SumQueue.LATE - 2

    def elaborate(self, platform):
        m = Module()
        count = self._cols // self._lanes
        entry_shape = data.StructLayout({
            "sums": data.ArrayLayout(data.ArrayLayout(signed(32), self._lanes), count), "block_end": 1, "end": 1,
        })  # fmt: skip
        m.submodules.entries = entries = memory.Memory(shape=entry_shape, depth=self._depth, init=[])
        write, read = entries.write_port(), entries.read_port()
        waiting = Signal(range(self._depth + 1))
        part = Signal(range(count))
        take = Signal()
        busy = Signal()  # an entry is at the memory's output
        entry = Signal(entry_shape, reset_less=True)  # a cycle later, in a block RAM's own output register
        m.d.comb += [
            write.data.sums.eq(self.sums.data),
            write.data.block_end.eq(self.sums.block_end),
            write.data.end.eq(self.sums.end),
            write.en.eq(self.sums.valid),
            # The last part of a vector goes out while the next one is read.
            take.eq((waiting != 0) & (~busy | (part == count - 1))),
            read.en.eq(take),
        ]
        m.d.sync += waiting.eq(waiting + self.sums.valid - take)
        with m.If(self.sums.valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(take):
            m.d.sync += [read.addr.eq(read.addr + 1), part.eq(0), busy.eq(1)]
        with m.Elif(part == count - 1):
            m.d.sync += busy.eq(0)
        with m.Else():
            m.d.sync += part.eq(part + 1)
        last = Signal()
        m.d.sync += [
            entry.eq(read.data),
            self.parts.valid.eq(busy),
            self.parts.part.eq(part),
            last.eq(busy & (part == count - 1)),
        ]
        m.d.comb += [
            self.parts.data.eq(entry.sums[self.parts.part]),
            self.parts.block_end.eq(last & entry.block_end),
            self.parts.end.eq(last & entry.end),
        ]

        # Results that are started and not yet read.
        under_way = Signal(range(2 * self._depth))
        expected, left = Signal(), Signal()
        m.d.sync += [
            expected.eq(self.expected),
            left.eq(take),
            under_way.eq(under_way + expected - left),
            self.room.eq(under_way <= self.threshold(self._cols, self._lanes, self._depth)),
        ]
        return m
