"""From a board's oscillator to the accelerator's clock: dividers of the FPGA's PLL, and a Verilog module around it.

The modules are text because Verilog's attributes, which ECP5's PLL needs for its analog settings, do not pass through
`tilewright.hw.verilog`. All have the ports ``clki``, ``clko`` and ``locked``, and the name `MODULE`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MODULE", "PLL", "ecp5_pll", "gowin_pll"]

MODULE = "pll"

_MHZ = 1_000_000
_ECP5_DIVIDERS = range(1, 129)
_ECP5_PHASE_HZ = (3.125 * _MHZ, 400 * _MHZ)
_ECP5_VCO_HZ = (400 * _MHZ, 800 * _MHZ)
_GOWIN_DIVIDERS = range(1, 65)
_GOWIN_OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
_GOWIN_PHASE_HZ = (3 * _MHZ, 500 * _MHZ)
_GOWIN_VCO_HZ = (500 * _MHZ, 1250 * _MHZ)


@dataclass(frozen=True)
class PLL:
    """``output_hz`` is input / ``input_divider`` * ``feedback_divider``, and ``output_divider`` times that the VCO's."""

    input_hz: int
    input_divider: int
    feedback_divider: int
    output_divider: int
    verilog: str

    @property
    def output_hz(self) -> float:
        """The frequency that it makes."""
        return self.input_hz * self.feedback_divider / self.input_divider


def ecp5_pll(input_hz: int, output_hz: int) -> PLL:
    """EHXPLLL of an ECP5, fed back from CLKOP. Limits: Lattice FPGA-DS-02012, "sysCLOCK PLL Timing".

    The output is at most ``output_hz``. Raises ``ValueError`` if it gets no closer than 5 %.
    """
    i, f, o = _dividers(input_hz, output_hz, _ECP5_DIVIDERS, _ECP5_DIVIDERS, _ECP5_PHASE_HZ, _ECP5_VCO_HZ)
    verilog = f"""
module {MODULE}(input clki, output clko, output locked);
  (* FREQUENCY_PIN_CLKI="{input_hz / _MHZ:g}", FREQUENCY_PIN_CLKOP="{input_hz * f / i / _MHZ:g}",
     ICP_CURRENT="12", LPF_RESISTOR="8", MFG_ENABLE_FILTEROPAMP="1", MFG_GMCREF_SEL="2" *)
  EHXPLLL #(
    .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
    .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
    .FEEDBK_PATH("CLKOP"), .CLKI_DIV({i}), .CLKFB_DIV({f}),
    .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV({o}), .CLKOP_CPHASE({o - 1}), .CLKOP_FPHASE(0)
  ) ehxplll (
    .CLKI(clki), .CLKFB(clko), .CLKOP(clko), .LOCK(locked), .RST(1'b0), .STDBY(1'b0), .CLKINTFB(),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1),
    .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0)
  );
endmodule
"""
    return PLL(input_hz, i, f, o, verilog)


def gowin_pll(input_hz: int, output_hz: int, device: str = "GW2A-18C") -> PLL:
    """rPLL of a Gowin GW2A, fed back inside. Limits: Gowin UG286 and DS102, speed grade 7.

    The output is at most ``output_hz``. Raises ``ValueError`` if it gets no closer than 5 %.
    """
    i, f, o = _dividers(input_hz, output_hz, _GOWIN_DIVIDERS, _GOWIN_OUTPUT_DIVIDERS, _GOWIN_PHASE_HZ, _GOWIN_VCO_HZ)
    verilog = f"""
module {MODULE}(input clki, output clko, output locked);
  rPLL #(
    .DEVICE("{device}"), .FCLKIN("{input_hz / _MHZ:g}"), .CLKFB_SEL("internal"),
    .IDIV_SEL({i - 1}), .FBDIV_SEL({f - 1}), .ODIV_SEL({o}),
    .DYN_IDIV_SEL("false"), .DYN_FBDIV_SEL("false"), .DYN_ODIV_SEL("false"), .DYN_SDIV_SEL(2), .DYN_DA_EN("false"),
    .PSDA_SEL("0000"), .DUTYDA_SEL("1000"), .CLKOUT_FT_DIR(1'b1), .CLKOUTP_FT_DIR(1'b1),
    .CLKOUT_DLY_STEP(0), .CLKOUTP_DLY_STEP(0), .CLKOUT_BYPASS("false"), .CLKOUTP_BYPASS("false"),
    .CLKOUTD_BYPASS("false"), .CLKOUTD_SRC("CLKOUT"), .CLKOUTD3_SRC("CLKOUT")
  ) rpll (
    .CLKIN(clki), .CLKOUT(clko), .LOCK(locked), .CLKFB(1'b0), .RESET(1'b0), .RESET_P(1'b0),
    .FBDSEL(6'b0), .IDSEL(6'b0), .ODSEL(6'b0), .PSDA(4'b0), .DUTYDA(4'b0), .FDLY(4'b0),
    .CLKOUTP(), .CLKOUTD(), .CLKOUTD3()
  );
endmodule
"""
    return PLL(input_hz, i, f, o, verilog)


def _dividers(
    input_hz: int,
    output_hz: int,
    dividers: range,
    output_dividers: range | tuple[int, ...],
    phase_hz: tuple[float, float],
    vco_hz: tuple[float, float],
) -> tuple[int, int, int]:
    """Input, feedback and output divider: highest output, then least input divider, then the VCO nearest to mid-range."""

    def legal() -> Iterator[tuple[float, int, float, tuple[int, int, int]]]:
        for i in dividers:
            if not phase_hz[0] <= input_hz / i <= phase_hz[1]:
                continue
            for f in dividers:
                hz = input_hz * f / i
                if not 0.95 * output_hz <= hz <= output_hz:
                    continue
                for o in output_dividers:
                    if vco_hz[0] <= hz * o <= vco_hz[1]:
                        yield output_hz - hz, i, abs(hz * o - sum(vco_hz) / 2), (i, f, o)

    best = min(legal(), default=None)
    if best is None:
        raise ValueError(f"clock_hz: the PLL makes no {output_hz / _MHZ:g} MHz of {input_hz / _MHZ:g} MHz")
    return best[-1]
