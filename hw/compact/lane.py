"""Requantization of one channel by shifting and adding, two bits of the sum in a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SUM_BITS", "WINDOW_BITS", "SerialLane"]

SUM_BITS = 24
"""Of a sum with its bias."""

WINDOW_BITS = 12

_MULTIPLIER_BITS = 31
_PRODUCT_BITS = 34
_HALF = 30  # double rounding adds or subtracts 2**30, by the sum's sign


class SerialLane(wiring.Component):
    """``sum`` x multiplier, shifted right, as far as a result of int8 needs it.

    The multiplier (31 bits) and the shift s (26 to 62) come as bytes in ``constant``: ``load[n]`` for byte n of the
    multiplier, ``load[4]`` for the shift. ``start`` takes a sum; after ``steps`` = s / 2 more cycles, until the next
    ``start``, ``window`` is ``(sum * multiplier + d) >> (2 * steps - 1)`` modulo 2**WINDOW_BITS, where d is 0, or with ``double``
    and s > 31 2**30 by the sum's sign (see `hw.requant`). ``odd`` says that s is odd: that one of the bits shifted out is
    still there. ``saturated`` says that the value is beyond -1024..1023 halves of an odd shift's result,
    ``negative`` on which side.
    """

    constant: In(8)
    load: In(5)
    double: In(1)
    sum: In(signed(SUM_BITS))
    start: In(1)
    steps: Out(5)
    window: Out(signed(WINDOW_BITS))
    odd: Out(1)
    saturated: Out(1)
    negative: Out(1)

    def elaborate(self, platform):
        m = Module()
        multiplier = Signal(_MULTIPLIER_BITS, reset_less=True)
        for byte in range(4):
            part = multiplier[8 * byte : 8 * byte + 8]
            with m.If(self.load[byte]):
                m.d.sync += part.eq(self.constant)
        with m.If(self.load[4]):
            m.d.sync += [self.odd.eq(self.constant[0]), self.steps.eq(self.constant[1:])]

        # Digits of the sum are -1, 0, 1 and 2: none of the products needs an addition.
        left = Signal(5)
        rest = Signal(signed(SUM_BITS), reset_less=True)
        borrowed = Signal(reset_less=True)
        digit = Signal(2)
        low, high = rest[0], rest[1]
        m.d.comb += [
            digit[0].eq(low ^ borrowed),
            digit[1].eq(high ^ (low & borrowed)),
        ]
        wide = Signal(_PRODUCT_BITS)
        term = Signal(_PRODUCT_BITS)
        m.d.comb += wide.eq(multiplier)
        with m.Switch(digit):
            with m.Case(1):
                m.d.comb += term.eq(wide)
            with m.Case(2):
                m.d.comb += term.eq(wide << 1)
            with m.Case(3):
                m.d.comb += term.eq(~wide)

        # The total before its shift by two; the lowest bit below carries the minus of digit -1 into one chain of carries.
        total = Signal(signed(_PRODUCT_BITS), reset_less=True)
        added = Signal(_PRODUCT_BITS + 1)
        m.d.comb += added.eq(Cat(Const(1, 1), (total >> 2).as_unsigned(), total[-1], total[-1]) + Cat(digit.all(), term))
        doubles = Signal()
        m.d.comb += doubles.eq(self.double & self.steps[4])
        with m.If(self.start):
            m.d.sync += [
                rest.eq(self.sum),
                left.eq(self.steps),
                borrowed.eq(0),
                total.eq(Cat(Const(0, _HALF + 2), doubles, doubles & self.sum[-1])),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                rest.eq(rest >> 2),
                left.eq(left - 1),
                borrowed.eq(high & (low | borrowed)),
                total.eq(added[1:]),
            ]
        above = total[WINDOW_BITS:]
        m.d.comb += [
            self.window.eq(total[1 : 1 + WINDOW_BITS]),
            self.negative.eq(total[-1]),
            self.saturated.eq(above.any() & ~above.all()),
        ]
        return m
