// Simulation model of Lattice ECP5's MULT18X18D in the mode that hw/multiplier_ecp5.py uses: one clock, always enabled,
// never reset, operands A and B from the fabric, no shift register. Each register stage may be in (CLK0) or out (NONE).
// After Lattice FPGA-TN-02205, ECP5 and ECP5-5G sysDSP Usage Guide: MULT18X18D.
// SPDX-License-Identifier: Apache-2.0

module MULT18X18D(
  input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
  input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
  input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
  output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
  parameter CLK0_DIV = "ENABLED";
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";

  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};

  // A sign is registered with its operand.
  reg [18:0] a_register = 0, b_register = 0;
  reg [35:0] pipeline_register = 0, output_register = 0;
  wire [18:0] a_stage = REG_INPUTA_CLK == "CLK0" ? a_register : {SIGNEDA & a[17], a};
  wire [18:0] b_stage = REG_INPUTB_CLK == "CLK0" ? b_register : {SIGNEDB & b[17], b};
  wire [35:0] product = {{17{a_stage[18]}}, a_stage} * {{17{b_stage[18]}}, b_stage};
  wire [35:0] pipeline_stage = REG_PIPELINE_CLK == "CLK0" ? pipeline_register : product;
  always @(posedge CLK0) begin
    a_register <= {SIGNEDA & a[17], a};
    b_register <= {SIGNEDB & b[17], b};
    pipeline_register <= product;
    output_register <= pipeline_stage;
  end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
    = REG_OUTPUT_CLK == "CLK0" ? output_register : pipeline_stage;

endmodule
