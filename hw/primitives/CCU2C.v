// Simulation model of Lattice ECP5's CCU2C: two positions of a carry chain, each a LUT4 whose low entries of A and B (with C
// and D 0) are the carry where the LUT4 is 0. INJECT1 must be "NO". Inputs that are not connected are 1 in the device; the
// hardware connects all but the first CIN of a chain, which no output may depend on: here it is unknown to tools that know
// unknown values, and 0 to the others.
// After Lattice FPGA-DS-02012, ECP5 and ECP5-5G Family Data Sheet: PFU, ripple mode.
// SPDX-License-Identifier: Apache-2.0

module CCU2C(
  input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
  output S0, S1, COUT
);
  parameter [15:0] INIT0 = 0, INIT1 = 0;
  parameter INJECT1_0 = "NO", INJECT1_1 = "NO";

  wire propagate0 = INIT0[{D0, C0, B0, A0}];
  wire propagate1 = INIT1[{D1, C1, B1, A1}];
  wire carry = propagate0 ? CIN : INIT0[{2'b00, B0, A0}];
  assign S0 = propagate0 ^ CIN;
  assign S1 = propagate1 ^ carry;
  assign COUT = propagate1 ? carry : INIT1[{2'b00, B1, A1}];
endmodule
