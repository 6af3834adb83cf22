// Simulation model of Gowin's MULT9X9 in the mode that hw/multiplier_gowin.py uses: one clock, always enabled, never
// reset, operands from the fabric. Each register stage may be in (1) or out (0).
// After Gowin UG287, DSP User Guide: MULT9X9.
// SPDX-License-Identifier: Apache-2.0

module MULT9X9(
  input [8:0] A, B, SIA, SIB,
  input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
  output [17:0] DOUT
);
  parameter AREG = 1'b0, BREG = 1'b0, PIPE_REG = 1'b0, OUT_REG = 1'b0;
  parameter ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, SOA_REG = 1'b0;
  parameter MULT_RESET_MODE = "SYNC";

  reg [8:0] a_register = 0, b_register = 0;
  reg [17:0] pipe_register = 0, out_register = 0;
  wire [8:0] a = AREG ? a_register : A;
  wire [8:0] b = BREG ? b_register : B;
  wire [17:0] product = {{9{ASIGN & a[8]}}, a} * {{9{BSIGN & b[8]}}, b};
  wire [17:0] pipe = PIPE_REG ? pipe_register : product;
  always @(posedge CLK) begin
    a_register <= A;
    b_register <= B;
    pipe_register <= product;
    out_register <= pipe;
  end
  assign DOUT = OUT_REG ? out_register : pipe;
endmodule
