"""The multipliers of Gowin's Arora and LittleBee families: MULT9X9, and MULT18X18 in the place of two of them."""

from amaranth import *
from amaranth.lib import wiring

from .multiplier import multiplier_ports

__all__ = ["GowinMultiplier"]


class GowinMultiplier(wiring.Component):
    """A `Multiplier` in a MULT9X9 if both operands fit 9 bits, else in a MULT18X18, with input and output registers.

    Gowin, DSP User Guide (UG287): primitives MULT9X9 and MULT18X18.
    """

    PRODUCTS = 1

    def __init__(self, *, a_bits: int = 8, b_bits: int = 8) -> None:
        for name, bits in (("a_bits", a_bits), ("b_bits", b_bits)):
            if not 1 <= bits <= 18:
                raise ValueError(f"{name}: {bits} is not 1 to 18")
        super().__init__(multiplier_ports(a_bits, b_bits, 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.a[0], self.b[0]
        width = 9 if max(len(a), len(b)) <= 9 else 18
        operands = [Signal(signed(width), name=name) for name in ("a_wide", "b_wide")]
        full = Signal(2 * width)
        m.d.comb += [operands[0].eq(a), operands[1].eq(b)]
        registers = {"AREG": 1, "BREG": 1, "PIPE_REG": 0, "OUT_REG": 1, "ASIGN_REG": 0, "BSIGN_REG": 0, "SOA_REG": 0}
        m.submodules.block = Instance(
            f"MULT{width}X{width}",
            **{f"p_{name}": Const(value, 1) for name, value in registers.items()},
            p_MULT_RESET_MODE="SYNC",
            i_A=operands[0],
            i_B=operands[1],
            i_SIA=Const(0, width),
            i_SIB=Const(0, width),
            i_ASIGN=Const(1),
            i_BSIGN=Const(1),
            i_ASEL=Const(0),
            i_BSEL=Const(0),
            i_CE=Const(1),
            i_CLK=ClockSignal(),
            i_RESET=Const(0),
            o_DOUT=full,
        )
        m.d.comb += self.product[0].eq(full[: len(a) + len(b)])
        return m
