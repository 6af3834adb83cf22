"""The multiplier: signed products at a fixed latency, with the same ports and cycles on every device."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Multiplier", "RowMultiplier", "multiplier_ports"]


def multiplier_ports(a_bits: int, b_bits: int, products: int) -> dict[str, wiring.Member]:
    """Ports of a multiplier of ``products`` independent products."""
    return {
        "a": In(data.ArrayLayout(signed(a_bits), products)),
        "b": In(data.ArrayLayout(signed(b_bits), products)),
        "product": Out(data.ArrayLayout(signed(a_bits + b_bits), products)),
    }


class Multiplier(wiring.Component):
    """``product[n]`` is ``a[n]`` x ``b[n]``, signed, ``LATENCY`` cycles later; a new pair may come in every cycle.

    This one leaves the choice to the synthesizer. Those of `multiplier_ecp5`, `multiplier_ice40` and `multiplier_gowin` are
    equal to it in every cycle: none of them has an enable, or a reset.
    """

    LATENCY = 2

    def __init__(self, *, a_bits: int = 8, b_bits: int = 8, products: int = 1) -> None:
        super().__init__(multiplier_ports(a_bits, b_bits, products))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = Signal.like(self.a, reset_less=True)
        b = Signal.like(self.b, reset_less=True)
        product = Signal.like(self.product, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b)]
        m.d.sync += [product[n].eq(a[n] * b[n]) for n in range(len(a))]
        m.d.comb += self.product.eq(product)
        return m


class RowMultiplier(wiring.Component):
    """An 8 x 8 bit `Multiplier` of adders, where the synthesizer would take a block for a product."""

    PRODUCTS = 1

    def __init__(self) -> None:
        super().__init__(multiplier_ports(8, 8, 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.a[0], self.b[0]

        # First cycle: a x two bits of b. The highest bit of b counts negative.
        pairs = [Signal(signed(10), name=f"pair_{bit}", reset_less=True) for bit in range(0, 8, 2)]
        for bit, pair in zip(range(0, 8, 2), pairs, strict=True):
            low, high = Mux(b[bit], a, 0), Mux(b[bit + 1], a, 0) << 1
            m.d.sync += pair.eq(low - high if bit == 6 else low + high)

        # Second cycle.
        product = Signal(signed(16), reset_less=True)
        halves = [Signal(signed(12), name=f"half_{n}") for n in range(2)]
        m.d.comb += [half.eq(pairs[2 * n] + (pairs[2 * n + 1] << 2)) for n, half in enumerate(halves)]
        m.d.sync += product.eq(halves[0] + (halves[1] << 4))
        m.d.comb += self.product[0].eq(product)
        return m
