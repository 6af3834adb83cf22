"""The PLL of an iCE40, as `hw.boards.pll` has those of other families."""

from .pll import MODULE, PLL

__all__ = ["ice40_pll"]

_MHZ = 1_000_000
_PHASE_HZ = (10 * _MHZ, 133 * _MHZ)
_VCO_HZ = (533 * _MHZ, 1066 * _MHZ)
_FILTERS = ((17, 1), (26, 2), (44, 3), (66, 4), (101, 5), (133, 6))
"""Up to how many MHz of the phase detector which range of the filter is right."""


def ice40_pll(input_hz: int, output_hz: int) -> PLL:
    """SB_PLL40_PAD, fed back by itself. Limits: Lattice FPGA-TN-02052, sysCLOCK PLL Design Guide for iCE40, and FPGA-DS-02008.

    The output is at most ``output_hz``. Raises ``ValueError`` if it gets no closer than 5 %.
    """
    found = []
    for i in range(1, 17):
        if not _PHASE_HZ[0] <= input_hz / i <= _PHASE_HZ[1]:
            continue
        for f in range(1, 129):
            for o in range(1, 7):
                vco = input_hz * f / i
                hz = vco / 2**o
                if _VCO_HZ[0] <= vco <= _VCO_HZ[1] and 0.95 * output_hz <= hz <= output_hz:
                    found.append((output_hz - hz, i, o, f))
    if not found:
        raise ValueError(f"clock_hz: the PLL makes no {output_hz / _MHZ:g} MHz of {input_hz / _MHZ:g} MHz")
    _, i, o, f = min(found)
    filter_range = next(number for most, number in _FILTERS if input_hz / i <= most * _MHZ)
    verilog = f"""
module {MODULE}(input clki, output clko, output locked);
  SB_PLL40_PAD #(
    .FEEDBACK_PATH("SIMPLE"), .DIVR(4'd{i - 1}), .DIVF(7'd{f - 1}), .DIVQ(3'd{o}), .FILTER_RANGE(3'd{filter_range})
  ) pll (
    .PACKAGEPIN(clki), .PLLOUTGLOBAL(clko), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
  );
endmodule
"""
    return PLL(input_hz, i << o, f, 1 << o, verilog)
