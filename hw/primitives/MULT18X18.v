// Simulation model of Gowin's MULT18X18 in the mode that hw/multiplier_gowin.py uses: one clock, always enabled, never
// reset, operands from the fabric. Each register stage may be in (1) or out (0).
// After Gowin UG287, DSP User Guide: MULT18X18.
// SPDX-License-Identifier: Apache-2.0

module MULT18X18(
  input [17:0] A, B, SIA, SIB,
  input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
  output [35:0] DOUT
);
  parameter AREG = 1'b0, BREG = 1'b0, PIPE_REG = 1'b0, OUT_REG = 1'b0;
  parameter ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, SOA_REG = 1'b0;
  parameter MULT_RESET_MODE = "SYNC";

  reg [17:0] a_register = 0, b_register = 0;
  reg [35:0] pipe_register = 0, out_register = 0;
  wire [17:0] a = AREG ? a_register : A;
  wire [17:0] b = BREG ? b_register : B;
  wire [35:0] product = {{18{ASIGN & a[17]}}, a} * {{18{BSIGN & b[17]}}, b};
  wire [35:0] pipe = PIPE_REG ? pipe_register : product;
  always @(posedge CLK) begin
    a_register <= A;
    b_register <= B;
    pipe_register <= product;
    out_register <= pipe;
  end
  assign DOUT = OUT_REG ? out_register : pipe;
endmodule
