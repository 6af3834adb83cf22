"""Requantization of one channel: a 32-bit sum becomes an int8 value, one per cycle. No reset touches it."""

import itertools
from typing import ClassVar

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register
from .isa import Rounding
from .multiplier_target import wide_multiplier

__all__ = ["RequantLane", "SaturatingShift"]


class SaturatingShift(wiring.Component):
    """``result`` is ``value >> amount``, saturated to ``result_bits`` bits, ``LATENCY`` cycles later.

    ``value`` is signed, of ``value_bits``; ``amount`` is 0 to ``2**amount_bits - 1``, ``amount_bits`` at least 4. Whole
    bytes are shifted first, and only the window that the rest of the shift can reach is kept, with a flag for what lies
    above it; then 0 to 7 bits.
    """

    LATENCY = 2

    def __init__(self, *, value_bits: int, amount_bits: int, result_bits: int) -> None:
        self._window_bits = result_bits + 7
        super().__init__({
            "value": In(signed(value_bits)),
            "amount": In(amount_bits),
            "result": Out(signed(result_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        value_bits, window_bits, result_bits = len(self.value), self._window_bits, len(self.result)
        steps = range(1 << (len(self.amount) - 3))
        sign = self.value[-1]
        extended = Cat(self.value, sign.replicate(8 * len(steps) + window_bits))
        beyond = self.value.as_unsigned() ^ sign.replicate(value_bits)

        # Bit n: the value does not fit the window that starts at byte n.
        overflows = Signal(len(steps))
        above: Value = Const(0, 1)
        for step in reversed(steps):
            low = min(8 * step + window_bits - 1, value_bits - 1)
            above = above | beyond[low : None if step == steps[-1] else low + 8].any()
            m.d.comb += overflows[step].eq(above)

        window = Signal(window_bits, reset_less=True)
        window_sign = Signal(reset_less=True)
        window_overflow = Signal(reset_less=True)
        fine = Signal(3, reset_less=True)
        m.d.sync += [
            window_sign.eq(sign),
            window_overflow.eq(overflows.bit_select(self.amount[3:], 1)),
            fine.eq(self.amount[:3]),
        ]
        with m.Switch(self.amount[3:]):
            for step in steps:
                with m.Case(step):
                    m.d.sync += window.eq(extended[8 * step : 8 * step + window_bits])

        different = Signal(8)
        saturates = Signal(8)
        m.d.comb += different.eq(window[result_bits - 1 :] ^ window_sign.replicate(8))
        for step in range(8):
            m.d.comb += saturates[step].eq(different[step:].any())
        result = data_register(m, self.result, "shifted")
        with m.If(window_overflow | saturates.bit_select(fine, 1)):
            m.d.sync += result.eq(Cat((~window_sign).replicate(result_bits - 1), window_sign))
        with m.Else():
            m.d.sync += result.eq(window.bit_select(fine, result_bits))
        return m


class RequantLane(wiring.Component):
    """``clamp(zero_point + round((sum + bias) * multiplier / 2**shift))``, one value per cycle, no enable.

    ``sum + bias`` is taken modulo 2**32. With the total right shift s = ``shift``, 0 to 62, and p the product:

    - SINGLE, and DOUBLE up to s = 31: ``(p + 2**(s - 1)) >> s`` (just p for s = 0).
    - DOUBLE beyond: ``y = (p + 2**30) >> 31``, then ``(y + 2**(s - 32) - (y < 0)) >> (s - 31)``.

    ``result`` follows the operands by ``LATENCY`` cycles. The inputs in ``STAGES`` are sampled that many cycles after
    the operands. ``minimum`` must not exceed ``maximum``. Its four products of 17 x 17 bits are in blocks of ``target``.
    """

    sum: In(signed(32))
    bias: In(signed(32))
    multiplier: In(31)
    shift: In(6)

    rounding: In(Rounding)
    zero_point: In(signed(8))
    minimum: In(signed(8))
    maximum: In(signed(8))

    result: Out(signed(8))

    LATENCY = 8
    STAGES: ClassVar = {"rounding": 1, "zero_point": 6, "minimum": 7, "maximum": 7}
    """Cycles from the operands to the cycle in which an input that many values share is sampled."""

    def __init__(self, *, target: str = "generic") -> None:
        self._target = target
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Cycles 0 and 1: bias, and four products of at most 17 x 17 bits, signed, so that each fits one multiplier block.
        x = Signal(signed(32))
        m.d.comb += x.eq(self.sum + self.bias)
        shift = self._delay(m, "shift", self.shift, 4)
        negative = self._delay(m, "negative", x[-1], 1)
        x_parts = {"low": x[:16], "high": x[16:].as_signed()}
        multiplier_parts = {"low": self.multiplier[:16], "high": self.multiplier[16:]}
        products = {}
        for (x_name, x_part), (m_name, m_part) in itertools.product(x_parts.items(), multiplier_parts.items()):
            multiplier = wide_multiplier(self._target, 17, 17)
            m.submodules[f"multiplier_{x_name}_{m_name}"] = multiplier
            m.d.comb += [multiplier.a[0].eq(x_part), multiplier.b[0].eq(m_part)]
            products[x_name, m_name] = multiplier.product[0]
        low, high = products["low", "low"][:32], products["high", "high"][:31].as_signed()

        # Cycle 2: the outer products side by side, the inner ones added. Later a half is added at bit s - 1 and the
        # result cut at bit s. Double rounding needs no more than that and, for s > 31, 2**30 added or subtracted here,
        # by the sign: (y + 2**(s - 32) - (y < 0)) >> (s - 31) is (p + 2**30 - (y < 0) * 2**31 + 2**(s - 1)) >> s, and
        # for -2**30 <= p < 0, where y is 0, both signs give 0.
        outer = Signal(signed(64), reset_less=True)
        inner = Signal(signed(33), reset_less=True)
        half = Signal(signed(2), reset_less=True)  # what that is at bit 30
        with m.If((self.rounding == Rounding.DOUBLE) & shift[0][5]):
            m.d.sync += half.eq(Mux(negative[0], -1, 1))
        with m.Else():
            m.d.sync += half.eq(0)
        m.d.sync += [
            outer.eq(Cat(low[:30], Cat(low[30:], high).as_signed() + half)),
            inner.eq(products["low", "high"] + products["high", "low"]),
        ]

        # Cycle 3.
        product = Signal(signed(64), reset_less=True)
        m.d.sync += product.eq(Cat(outer[:16], outer[16:].as_signed() + inner))

        # Cycles 4 and 5: a bit more than the result, for the half. Beyond -256..255 every zero point leads out of int8.
        m.submodules.shifter = shifter = SaturatingShift(value_bits=65, amount_bits=6, result_bits=10)
        m.d.comb += [
            shifter.value.eq(Cat(Const(0, 1), product)),
            shifter.amount.eq(shift[3]),
        ]

        # Cycle 6: half and zero point in one addition.
        doubled = Signal(signed(11), reset_less=True)
        m.d.sync += doubled.eq(shifter.result + Cat(Const(1, 1), self.zero_point).as_signed())
        rounded = doubled >> 1

        # Cycle 7.
        result = data_register(m, self.result, "clamped")
        with m.If(rounded < self.minimum):
            m.d.sync += result.eq(self.minimum)
        with m.Elif(rounded > self.maximum):
            m.d.sync += result.eq(self.maximum)
        with m.Else():
            m.d.sync += result.eq(rounded)
        return m

    @staticmethod
    def _delay(m: Module, name: str, value: Value, cycles: int) -> list[Signal]:
        """``value`` one, two, ... ``cycles`` cycles later."""
        stages = [Signal(len(value), name=f"{name}_{cycle}", reset_less=True) for cycle in range(1, cycles + 1)]
        for stage, previous in zip(stages, [value, *stages], strict=False):
            m.d.sync += stage.eq(previous)
        return stages
