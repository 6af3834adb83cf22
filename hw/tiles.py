"""The tile loader: weight vectors from the stream into the array's shadow registers, one tile ahead."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .skew import Delay

__all__ = ["TileLoader", "tile_vector_layout"]


def tile_vector_layout(cols: int) -> data.StructLayout:
    """One vector of a weight tile."""
    return data.StructLayout({"data": 8 * cols, "last": 1})


class TileLoader(wiring.Component):
    """Takes a tile's vectors, then waits for ``swap``, the step that starts to use it; the next tile may enter in that cycle.

    A pass may start in the next cycle if a whole tile will be in the shadow registers then: if ``comes``, its last vector is
    there to enter, or if ``here``, a tile is already in them, and no ``swap`` takes it. ``weights`` and
    ``shift`` reach the array ``latency`` (1 or more) cycles later, in step with the wave of a step issued in the same cycle.
    """

    def __init__(self, *, rows: int, cols: int, latency: int):
        self._rows = rows
        self._latency = latency
        super().__init__({
            "tiles": In(stream.Signature(tile_vector_layout(cols))),
            "swap": In(1),
            "comes": Out(1),
            "here": Out(1),
            "weights": Out(data.ArrayLayout(signed(8), cols)),
            "shift": Out(rows),
        })

    def elaborate(self, platform):
        m = Module()
        full = self.here
        take = Signal()
        m.d.comb += [
            self.tiles.ready.eq(~full | self.swap),
            take.eq(self.tiles.valid & self.tiles.ready),
            self.comes.eq(self.tiles.valid & self.tiles.payload.last),
        ]
        m.d.sync += full.eq(self.comes | (full & ~self.swap))

        taken, last = Signal(), Signal()  # a cycle later: whether a vector is taken is known late
        reach = Signal(self._rows, init=1)  # rows that shift on that vector: one more than on the one before
        m.d.sync += [taken.eq(take), last.eq(self.tiles.payload.last)]
        with m.If(taken):
            m.d.sync += reach.eq(Mux(last, 1, (reach << 1) | 1))
        # What is under way at a reset ends in registers that the next tile overwrites.
        m.submodules.weight_delay = weight_delay = Delay(self.weights.shape(), self._latency, reset_less=True)
        m.submodules.shift_delay = shift_delay = Delay(self._rows, self._latency - 1, reset_less=True)
        m.d.comb += [
            weight_delay.i.eq(self.tiles.payload.data),
            shift_delay.i.eq(Mux(taken, reach, 0)),
            self.weights.eq(weight_delay.o),
            self.shift.eq(shift_delay.o),
        ]
        return m
