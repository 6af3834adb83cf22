// Simulation model of Lattice iCE40 UltraPlus's SB_SPRAM256KA as hw/compact/spram.py uses it: never in standby, asleep or off.
// What it shows behind a write is not defined; here it is the inverse of what was written.
// After Lattice FPGA-TN-02022, Memory Usage Guide for iCE40 Devices: SPRAM.
// SPDX-License-Identifier: Apache-2.0

module SB_SPRAM256KA(
  input [13:0] ADDRESS,
  input [15:0] DATAIN,
  input [3:0] MASKWREN,
  input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
  output reg [15:0] DATAOUT
);
  reg [15:0] words [0:16383];
  wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
  always @(posedge CLOCK)
    if (CHIPSELECT) begin
      if (WREN) words[ADDRESS] <= (DATAIN & mask) | (words[ADDRESS] & ~mask);
      DATAOUT <= WREN ? ~DATAIN : words[ADDRESS];
    end
  always @(posedge CLOCK) if (STANDBY || SLEEP || !POWEROFF) $error("SB_SPRAM256KA: not in this mode");
endmodule
