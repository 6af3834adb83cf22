// Simulation model of Gowin's DPX9B as Yosys maps this project's memories to it: 1,024 words of 18 bits, port A writes and port
// B reads, without output registers (READ_MODE0 and 1) or resets, contents zero at first. What B reads of a word that A writes
// in the same cycle is not defined; here it is the inverse of what was there. What A shows is not modelled. Anything else is
// an error.
// After Gowin UG285, BSRAM & SSRAM User Guide, dual port mode, and Gowin's own simulation library. A word's address begins at
// bit 4; a port writes with CE and WRE, and bits 0 and 1 of its address enable the bytes, of 9 bits each.
// SPDX-License-Identifier: Apache-2.0

module DPX9B(
  output [17:0] DOA, DOB,
  input [17:0] DIA, DIB,
  input [2:0] BLKSELA, BLKSELB,
  input [13:0] ADA, ADB,
  input WREA, WREB, CLKA, CLKB, CEA, CEB, OCEA, OCEB, RESETA, RESETB
);
  parameter READ_MODE0 = 1'b0, READ_MODE1 = 1'b0, WRITE_MODE0 = 2'b00, WRITE_MODE1 = 2'b00, RESET_MODE = "SYNC";
  parameter BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18, BLK_SEL_0 = 3'b000, BLK_SEL_1 = 3'b000;
  parameter [287:0] INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0;
  parameter [287:0] INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0;
  parameter [287:0] INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0;
  parameter [287:0] INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0;
  parameter [287:0] INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0;
  parameter [287:0] INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, INIT_RAM_23 = 0;
  parameter [287:0] INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0;
  parameter [287:0] INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0;
  parameter [287:0] INIT_RAM_30 = 0, INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0;
  parameter [287:0] INIT_RAM_36 = 0, INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0;
  parameter [287:0] INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
  localparam [287:0] CONTENTS =
    INIT_RAM_00 | INIT_RAM_01 | INIT_RAM_02 | INIT_RAM_03 | INIT_RAM_04 | INIT_RAM_05 | INIT_RAM_06 | INIT_RAM_07 |
    INIT_RAM_08 | INIT_RAM_09 | INIT_RAM_0A | INIT_RAM_0B | INIT_RAM_0C | INIT_RAM_0D | INIT_RAM_0E | INIT_RAM_0F |
    INIT_RAM_10 | INIT_RAM_11 | INIT_RAM_12 | INIT_RAM_13 | INIT_RAM_14 | INIT_RAM_15 | INIT_RAM_16 | INIT_RAM_17 |
    INIT_RAM_18 | INIT_RAM_19 | INIT_RAM_1A | INIT_RAM_1B | INIT_RAM_1C | INIT_RAM_1D | INIT_RAM_1E | INIT_RAM_1F |
    INIT_RAM_20 | INIT_RAM_21 | INIT_RAM_22 | INIT_RAM_23 | INIT_RAM_24 | INIT_RAM_25 | INIT_RAM_26 | INIT_RAM_27 |
    INIT_RAM_28 | INIT_RAM_29 | INIT_RAM_2A | INIT_RAM_2B | INIT_RAM_2C | INIT_RAM_2D | INIT_RAM_2E | INIT_RAM_2F |
    INIT_RAM_30 | INIT_RAM_31 | INIT_RAM_32 | INIT_RAM_33 | INIT_RAM_34 | INIT_RAM_35 | INIT_RAM_36 | INIT_RAM_37 |
    INIT_RAM_38 | INIT_RAM_39 | INIT_RAM_3A | INIT_RAM_3B | INIT_RAM_3C | INIT_RAM_3D | INIT_RAM_3E | INIT_RAM_3F;

  wire [1:0] lanes = CEA && WREA ? ADA[1:0] : 2'd0;
  wire [17:0] mask = {{9{lanes[1]}}, {9{lanes[0]}}};
  wire [9:0] written = ADA[13:4], shown = ADB[13:4];
  reg [17:0] words [0:1023];
  reg [17:0] out = 0;
  integer n;
  initial for (n = 0; n < 1024; n = n + 1) words[n] = 0;
  always @(posedge CLKA) if (lanes != 0) words[written] <= (DIA & mask) | (words[written] & ~mask);
  always @(posedge CLKB) if (CEB) out <= written == shown && lanes != 0 ? ~words[shown] : words[shown];
  assign DOA = ~out;
  assign DOB = out;

  always @(posedge CLKB)
    if (WREB || RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1) $error("DPX9B: not in this mode");
  initial
    if (READ_MODE0 != 0 || READ_MODE1 != 0 || BIT_WIDTH_0 != 18 || BIT_WIDTH_1 != 18 || CONTENTS != 0)
      $error("DPX9B: not with these parameters");
endmodule
