"""The multiplier of Lattice iCE40 UltraPlus: two 8 x 8 bit products in a block SB_MAC16."""

from amaranth import *
from amaranth.lib import wiring

from .multiplier import multiplier_ports

__all__ = ["SbMac16"]


class SbMac16(wiring.Component):
    """A `Multiplier` of two 8 x 8 bit products in a SB_MAC16, with its registers at the operands and the products.

    Lattice, DSP Function Usage Guide for iCE40 Devices (FPGA-TN-02007): two independent 8 x 8 multipliers, pipelined.
    """

    PRODUCTS = 2

    def __init__(self) -> None:
        super().__init__(multiplier_ports(8, 8, 2))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        off = dict.fromkeys((
            "AHOLD", "BHOLD", "CHOLD", "DHOLD", "OHOLDTOP", "OHOLDBOT", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT",
            "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "CI", "ACCUMCI", "SIGNEXTIN",
        ), Const(0))  # fmt: skip
        parameters = {
            "A_REG": 1, "B_REG": 1, "C_REG": 0, "D_REG": 0, "TOP_8x8_MULT_REG": 1, "BOT_8x8_MULT_REG": 1,
            "PIPELINE_16x16_MULT_REG1": 0, "PIPELINE_16x16_MULT_REG2": 0, "MODE_8x8": 1, "A_SIGNED": 1, "B_SIGNED": 1,
            "NEG_TRIGGER": 0,
        }  # fmt: skip
        product = 2  # of an output selection
        m.submodules.block = Instance(
            "SB_MAC16",
            **{f"p_{name}": Const(value, 1) for name, value in parameters.items()},
            p_TOPOUTPUT_SELECT=Const(product, 2),
            p_BOTOUTPUT_SELECT=Const(product, 2),
            i_CLK=ClockSignal(),
            i_CE=Const(1),
            i_A=self.a.as_value(),
            i_B=self.b.as_value(),
            i_C=Const(0, 16),
            i_D=Const(0, 16),
            **{f"i_{name}": value for name, value in off.items()},
            o_O=self.product.as_value(),
        )
        return m
