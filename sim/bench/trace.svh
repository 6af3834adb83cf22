// SPDX-License-Identifier: Apache-2.0
// Included by bench.sv: writes every scratchpad write and every finished instruction to the file +trace, as sim/trace.py reads it.
// The names of what it looks at can be changed by defines; nothing is made public for it.

`ifndef TRACE_SCRATCHPAD
`define TRACE_SCRATCHPAD dut.scratchpad
`define TRACE_LOAD_DONE dut.load.done
`define TRACE_COMPUTE_DONE dut.postprocessor.done
`define TRACE_STORE_DONE dut.store.done
`endif

  localparam int VECTOR_BITS = 8 * VECTOR_BYTES;

  typedef struct packed {
    logic [VECTOR_BITS-1:0]       data;
    logic [BANK_ADDRESS_BITS-1:0] address;
    logic [1:0]                   bank;
  } vector_write_t;  // write_layout in hw/scratchpad.py

  wire vector_write_t loaded = `TRACE_SCRATCHPAD.loads_payload;
  wire vector_write_t result = `TRACE_SCRATCHPAD.results;
  string trace_path = "";
  int    trace_file = 0;

  initial if ($value$plusargs("trace=%s", trace_path)) trace_file = $fopen(trace_path, "wb");
  final if (trace_file != 0) $fclose(trace_file);

  task automatic record(input logic [3:0] event_number, input vector_write_t write, input logic [7:0] mask);
    $fwrite(trace_file, "%u%u", 32'(cycle - start_cycle), {event_number, write.bank, 18'(write.address), mask});
    for (int lane = 0; lane < VECTOR_BITS / 32; lane++) $fwrite(trace_file, "%u", write.data[32*lane+:32]);
  endtask

  always @(posedge clk)
    if (trace_file != 0 && started) begin
      if (`TRACE_SCRATCHPAD.loads_valid && `TRACE_SCRATCHPAD.loads_ready) record(0, loaded, 8'((1 << UNITS) - 1));
      if (`TRACE_SCRATCHPAD.result_en) record(1, result, 8'(`TRACE_SCRATCHPAD.result_mask));
      if (`TRACE_LOAD_DONE) record(2, '0, '0);
      if (`TRACE_COMPUTE_DONE) record(3, '0, '0);
      if (`TRACE_STORE_DONE) record(4, '0, '0);
    end
