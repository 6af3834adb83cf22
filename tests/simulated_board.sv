// Bench around `board`: clock, reset, and the far end of its serial line, byte by byte. The line's timing is this file's own.

`timescale 1ns / 1ns

module simulated_board #(
    parameter int DIVISOR = 4  // cycles per bit
) (
    // A byte goes to the board for every change of `send`; `sent` follows.
    input  logic       send  /* verilator public_flat_rw */,
    input  logic [7:0] send_data  /* verilator public_flat_rw */,
    output logic       sent  /* verilator public_flat_rw */,
    // A byte has come from the board for every change of `received`.
    output logic       received  /* verilator public_flat_rw */,
    output logic [7:0] received_data  /* verilator public_flat_rw */,
    output logic       busy  /* verilator public_flat_rw */,
    output logic       error  /* verilator public_flat_rw */
);
  logic clk = 0, rst = 1, rx = 1;
  wire  tx;
  int   cycle = 0;

  initial forever #1 clk = !clk;

  board dut (.*);

  initial {sent, received} = '0;

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 3) rst <= 0;
  end

  // To the board: start bit, data, stop bit.
  int sending = 0;
  wire [9:0] bits = {1'b1, send_data, 1'b0};
  always @(posedge clk)
    if (send != sent) begin
      rx <= bits[sending/DIVISOR];
      sending <= sending + 1;
      if (sending == 10 * DIVISOR - 1) begin
        sending <= 0;
        sent <= send;
      end
    end

  // From the board: the middle of every bit, from the falling edge on.
  int listening = 0;
  always @(posedge clk)
    if (listening == 0) begin
      if (!tx && !rst) listening <= 1;
    end else begin
      listening <= listening + 1;
      if (listening % DIVISOR == DIVISOR / 2 && listening > DIVISOR && listening < 9 * DIVISOR)
        received_data[listening/DIVISOR-1] <= tx;
      if (listening == 9 * DIVISOR + DIVISOR / 2) begin
        if (!tx) $fatal(1, "no stop bit");
        received <= !received;
        listening <= 0;
      end
    end
endmodule
