"""The post-processors of the compact accelerator: a serial lane for each column and one way out for all of them, or the common
accelerator's lanes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..isa import Rounding
from ..requant import RequantLane
from .lane import SUM_BITS, WINDOW_BITS, SerialLane

__all__ = ["LATENCY", "ParallelPostProcessor", "SerialPostProcessor"]

LATENCY = 3
"""Cycles from the ``start`` that takes a lane's value away to its byte in ``result``."""


def _signature(cols: int) -> dict[str, wiring.Member]:
    return {
        "constants": In(8 * cols),
        "load": In(5),
        "rounding": In(Rounding),
        "zero_point": In(signed(8)),
        "minimum": In(signed(8)),
        "maximum": In(signed(8)),
        "sums": In(data.ArrayLayout(signed(SUM_BITS), cols)),
        "result": Out(8 * cols),
    }


class SerialPostProcessor(wiring.Component):
    """``clamp(zero_point + round(sum * multiplier / 2**shift))`` of ``lanes`` channels, as `hw.requant` has it.

    A byte of ``constants`` is a lane's, ``load`` as in `SerialLane`. ``start`` gives lane number ``lane`` its sum, and takes what
    is in it as the next byte of ``result``, the lowest first. ``period`` is the cycles from a lane's start to its next one, at
    the least; it is known a cycle after the shifts were loaded.
    """

    def __init__(self, lanes: int):
        self._lanes = lanes
        super().__init__({
            **_signature(lanes),
            "lane": In(range(lanes)),
            "start": In(1),
            "period": Out(6),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = [SerialLane() for _ in range(self._lanes)]
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [
                lane.constant.eq(self.constants.word_select(number, 8)),
                lane.load.eq(self.load),
                lane.double.eq(self.rounding == Rounding.DOUBLE),
                lane.sum.eq(self.sums[number]),
                lane.start.eq(self.start & (self.lane == number)),
            ]
        most = [lane.steps for lane in lanes]
        for n in range(self._lanes - 1):
            one, other, *most = most
            larger = Signal(5, name=f"most_{n}")
            m.d.comb += larger.eq(Mux(one > other, one, other))
            most.append(larger)
        m.d.comb += self.period.eq(most[0] + 1)

        # One lane's value: the bit below the result's own is there in any case, that of an odd shift is one too many.
        window = Signal(signed(WINDOW_BITS))
        odd, saturated, negative = Signal(), Signal(), Signal()
        with m.Switch(self.lane):
            for number, lane in enumerate(lanes):
                with m.Case(number):
                    m.d.comb += [
                        window.eq(lane.window),
                        odd.eq(lane.odd),
                        saturated.eq(lane.saturated),
                        negative.eq(lane.negative),
                    ]
        valid = Signal(2)
        halves = Signal(signed(WINDOW_BITS), reset_less=True)
        beyond = [Signal(2, name=f"beyond_{n}", reset_less=True) for n in range(2)]
        m.d.sync += [
            valid.eq(Cat(self.start, valid)),
            halves.eq(Mux(odd, window >> 1, window)),
            beyond[0].eq(Mux(saturated, Cat(negative, ~negative), 0)),
            beyond[1].eq(beyond[0]),
        ]
        shifted = Signal(signed(WINDOW_BITS + 1), reset_less=True)
        m.d.sync += shifted.eq(halves + Cat(Const(1, 1), self.zero_point).as_signed())
        rounded = shifted >> 1
        byte = Signal(8)
        m.d.comb += byte.eq(rounded)
        with m.If(beyond[1][0] | (~beyond[1][1] & (rounded < self.minimum))):
            m.d.comb += byte.eq(self.minimum)
        with m.Elif(beyond[1][1] | (rounded > self.maximum)):
            m.d.comb += byte.eq(self.maximum)
        with m.If(valid[1]):
            m.d.sync += self.result.eq(Cat(self.result[8:], byte))
        return m


class ParallelPostProcessor(wiring.Component):
    """The same of ``cols`` channels, with fewer `RequantLane`s or as many: ``lanes`` channels per cycle.

    ``part`` says which of the channels' ``sums``, a cycle old, are at the lanes. All of ``result`` is there RequantLane.LATENCY
    cycles behind the last part, for one cycle. The multipliers are in blocks of ``target``.
    """

    def __init__(self, cols: int, *, lanes: int, target: str):
        self._cols = cols
        self._lanes = lanes
        self._target = target
        super().__init__({**_signature(cols), "part": In(range(cols // lanes))})

    def elaborate(self, platform):
        m = Module()
        count = self._lanes
        multipliers = Signal(data.ArrayLayout(32, self._cols), reset_less=True)
        shifts = Signal(data.ArrayLayout(6, self._cols), reset_less=True)
        for column in range(self._cols):
            constant = self.constants.word_select(column, 8)
            for byte in range(4):
                with m.If(self.load[byte]):
                    m.d.sync += multipliers[column][8 * byte : 8 * byte + 8].eq(constant)
            with m.If(self.load[4]):
                m.d.sync += shifts[column].eq(constant)
        sums = Signal.like(self.sums, reset_less=True)
        m.d.sync += sums.eq(self.sums)
        values = Signal(8 * count)
        for number in range(count):
            m.submodules[f"lane_{number}"] = lane = RequantLane(target=self._target)
            mine = range(number, self._cols, count)  # channels
            m.d.comb += [
                lane.sum.eq(Array(sums[channel] for channel in mine)[self.part]),
                lane.multiplier.eq(Array(multipliers[channel] for channel in mine)[self.part]),
                lane.shift.eq(Array(shifts[channel] for channel in mine)[self.part]),
                lane.rounding.eq(self.rounding),
                lane.zero_point.eq(self.zero_point),
                lane.minimum.eq(self.minimum),
                lane.maximum.eq(self.maximum),
                values.word_select(number, 8).eq(lane.result),
            ]
        former = Signal(8 * (self._cols - count), reset_less=True)
        m.d.comb += self.result.eq(Cat(former, values))
        m.d.sync += former.eq(self.result[8 * count :])
        return m
