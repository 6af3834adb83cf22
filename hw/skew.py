"""Delays: a fixed one, and the triangle of them that skews a vector into a wavefront."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Delay", "Skew"]


class Delay(wiring.Component):
    """Delays ``i`` by ``cycles`` clock cycles (0 or more); zero at reset, unless it is ``reset_less``."""

    def __init__(self, shape, cycles: int, *, reset_less: bool = False):
        if cycles < 0:
            raise ValueError(f"cycles: {cycles} is not 0 or more")
        self._cycles = cycles
        self._reset_less = reset_less
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        stage = self.i
        for n in range(self._cycles):
            delayed = Signal.like(self.i, name=f"stage_{n}", reset_less=self._reset_less)
            m.d.sync += delayed.eq(stage)
            stage = delayed
        m.d.comb += self.o.eq(stage)
        return m


class Skew(wiring.Component):
    """Delays lane n of ``lanes`` by n cycles, or by ``lanes`` - 1 - n with ``falling`` (which undoes the other).

    No reset touches it.
    """

    def __init__(self, shape, lanes: int, *, falling: bool = False):
        self._shape = shape
        self._lanes = lanes
        self._falling = falling
        vector = data.ArrayLayout(shape, lanes)
        super().__init__({"i": In(vector), "o": Out(vector)})

    def elaborate(self, platform):
        m = Module()
        for lane in range(self._lanes):
            cycles = self._lanes - 1 - lane if self._falling else lane
            stage = self.i[lane]
            for n in range(cycles):
                delayed = Signal(self._shape, name=f"lane_{lane}_{n}", reset_less=True)
                m.d.sync += delayed.eq(stage)
                stage = delayed
            m.d.comb += self.o[lane].eq(stage)
        return m
