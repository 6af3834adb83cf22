// Simulation model of Lattice ECP5's DCCA: the gate in front of a global wire, always open.
// After Lattice FPGA-TN-02200, ECP5 and ECP5-5G sysCLOCK PLL/DLL Design and Usage Guide.
// SPDX-License-Identifier: Apache-2.0

module DCCA(input CLKI, CE, output CLKO);
  assign CLKO = CLKI;
  always @(CE) if (!CE) $error("DCCA: not in this mode");
endmodule
