// Simulation model of Lattice iCE40 UltraPlus's SB_MAC16 in the mode that hw/multiplier_ice40.py uses: two signed 8 x 8 bit
// products, registered at the operands and at the products, always enabled, never reset.
// After Lattice FPGA-TN-02007, DSP Function Usage Guide for iCE40 Devices: 8x8 pipelined multiplier.
// SPDX-License-Identifier: Apache-2.0

module SB_MAC16(
  input CLK, CE,
  input [15:0] A, B, C, D,
  input AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT, OLOADTOP, OLOADBOT,
  input ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN,
  output [31:0] O
);
  parameter [0:0] NEG_TRIGGER = 0, A_REG = 0, B_REG = 0, C_REG = 0, D_REG = 0;
  parameter [0:0] TOP_8x8_MULT_REG = 0, BOT_8x8_MULT_REG = 0;
  parameter [0:0] PIPELINE_16x16_MULT_REG1 = 0, PIPELINE_16x16_MULT_REG2 = 0;
  parameter [1:0] TOPOUTPUT_SELECT = 0, BOTOUTPUT_SELECT = 0;
  parameter [0:0] MODE_8x8 = 0, A_SIGNED = 0, B_SIGNED = 0;

  reg [15:0] a = 0, b = 0;
  reg [15:0] top = 0, bottom = 0;
  always @(posedge CLK) begin
    a <= A;
    b <= B;
    top <= {{8{a[15]}}, a[15:8]} * {{8{b[15]}}, b[15:8]};
    bottom <= {{8{a[7]}}, a[7:0]} * {{8{b[7]}}, b[7:0]};
  end
  assign O = {top, bottom};

  localparam MODE = {A_REG, B_REG, TOP_8x8_MULT_REG, BOT_8x8_MULT_REG, MODE_8x8, A_SIGNED, B_SIGNED};
  initial if (MODE != 7'b1111111 || TOPOUTPUT_SELECT != 2 || BOTOUTPUT_SELECT != 2) $error("SB_MAC16: not in this mode");
endmodule
