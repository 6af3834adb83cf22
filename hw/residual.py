"""Residual addition of one channel: two table look-ups, a sum and a shift, one value per cycle. No reset touches it."""

from typing import ClassVar

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register
from .isa import TABLE_ENTRIES
from .requant import SaturatingShift

__all__ = ["TABLE_PAIR", "ResidualLane"]

TABLE_PAIR = data.StructLayout({"index": range(TABLE_ENTRIES), "a": signed(28), "b": signed(28)})
"""One entry of both residual tables."""


class ResidualLane(wiring.Component):
    """``clamp(zero_point + ((A[value] + B[operand] + offset) >> shift))``, one value per cycle.

    With ``residual`` low ``value`` passes unchanged. ``result`` follows ``value`` and ``operand`` by ``LATENCY`` cycles
    in both cases; the inputs in ``STAGES`` are sampled that many cycles after them. ``offset_below`` takes
    the place of ``offset`` where A + B < 0; both lie in -2**27 - 63 to 2**27 - 1. ``minimum`` must not exceed ``maximum``.
    ``write`` stores ``entry`` in both tables; no residual can be added in that cycle.
    """

    value: In(signed(8))
    operand: In(signed(8))
    write: In(1)
    entry: In(TABLE_PAIR)

    residual: In(1)
    offset: In(signed(29))
    offset_below: In(signed(29))
    shift: In(5)
    zero_point: In(signed(8))
    minimum: In(signed(8))
    maximum: In(signed(8))

    result: Out(signed(8))

    LATENCY = 8
    STAGES: ClassVar = {
        "offset": 3, "offset_below": 3, "shift": 4, "zero_point": 6, "minimum": 7, "maximum": 7, "residual": 7,
    }  # fmt: skip
    """Cycles from ``value`` to the cycle in which an input that many values share is sampled."""

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Cycles 0 and 1: look up, and a register behind the memory, whose output comes late in the cycle.
        terms = []
        for name, index in (("a", self.value), ("b", self.operand)):
            table = memory.Memory(shape=signed(28), depth=TABLE_ENTRIES, init=[])
            m.submodules[f"table_{name}"] = table
            write, read = table.write_port(), table.read_port()
            term = Signal(signed(28), name=f"term_{name}", reset_less=True)
            m.d.comb += [
                write.addr.eq(self.entry.index),
                write.data.eq(self.entry[name]),
                write.en.eq(self.write),
                read.addr.eq(index.as_unsigned()),
                read.en.eq(~self.write),  # else a block RAM needs logic for reading what is being written
            ]
            m.d.sync += term.eq(read.data)
            terms.append(term)

        # Cycle 2.
        sum_ = Signal(signed(29), name="sum", reset_less=True)
        m.d.sync += sum_.eq(terms[0] + terms[1])

        # Cycle 3.
        total = Signal(signed(30), reset_less=True)
        m.d.sync += total.eq(sum_ + Mux(sum_[-1], self.offset_below, self.offset))

        # Cycles 4 and 5. Beyond -256..255 every zero point leads out of int8.
        m.submodules.shifter = shifter = SaturatingShift(value_bits=30, amount_bits=5, result_bits=9)
        m.d.comb += [
            shifter.value.eq(total),
            shifter.amount.eq(self.shift),
        ]

        # Cycle 6.
        shifted = Signal(signed(10), reset_less=True)
        m.d.sync += shifted.eq(shifter.result + self.zero_point)

        # Cycle 7.
        passed = self.value
        for cycle in range(1, self.LATENCY):
            stage = Signal(signed(8), name=f"value_{cycle}", reset_less=True)
            m.d.sync += stage.eq(passed)
            passed = stage
        result = data_register(m, self.result, "clamped")
        with m.If(~self.residual):
            m.d.sync += result.eq(passed)
        with m.Elif(shifted < self.minimum):
            m.d.sync += result.eq(self.minimum)
        with m.Elif(shifted > self.maximum):
            m.d.sync += result.eq(self.maximum)
        with m.Else():
            m.d.sync += result.eq(shifted)
        return m
