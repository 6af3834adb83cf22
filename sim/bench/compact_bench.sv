// SPDX-License-Identifier: Apache-2.0
// Bench around a compact `tilewright`: fills its memories through the host's port, starts it, waits, and reads them back.
//
// Plusargs: +image and +dump (files: the program memory, then the activation memory, words of 32 bits, little-endian; the dump
// is of the activation memory alone, both have zeros where there is no memory); +program_words and +bank_words (what there is
// of the program memory and of each quarter of the activation memory); +base (the program's address); +max_cycles (0: no
// limit); +trace (a file for sim/trace.py, of a bench with TILEWRIGHT_TRACE).

`timescale 1ns / 1ns

module compact_bench (
    output logic        finished  /* verilator public_flat_rw */,
    output logic        done  /* verilator public_flat_rw */,
    output logic [63:0] cycle  /* verilator public_flat_rw */,
    output logic [31:0] cycles  /* verilator public_flat_rw */,  // busy, as the bench counts
    output logic [31:0] counted  /* verilator public_flat_rw */,  // as the accelerator does
    output logic [31:0] error  /* verilator public_flat_rw */,
    output logic [31:0] error_pc  /* verilator public_flat_rw */,
    output logic [31:0] active  /* verilator public_flat_rw */,
    output logic [31:0] wait_weights  /* verilator public_flat_rw */,
    output logic [31:0] wait_input  /* verilator public_flat_rw */,
    output logic [31:0] wait_output  /* verilator public_flat_rw */,
    output logic [31:0] wait_tokens  /* verilator public_flat_rw */,
    output logic [31:0] idle  /* verilator public_flat_rw */
);
  localparam int WORDS = 16384;
  localparam int SIDE = `TILEWRIGHT_SIDE;  // bytes of the accelerator's own words
  localparam int CONTROL = 32'h010, ERROR = 32'h018, ERROR_PC = 32'h01c, BASE_PROGRAM = 32'h030, CYCLES_LO = 32'h050;

  logic clk = 0;
  logic rst = 1;
  initial forever #1 clk = !clk;

  typedef struct packed {
    logic [31:0] data;
    logic [31:0] address;
    logic        write;
  } request_t;  // hw/boards/requests.py
  request_t registers_requests_payload, memory_requests_payload;
  logic registers_requests_valid = 0, memory_requests_valid = 0;
  wire registers_requests_ready, memory_requests_ready, registers_reply_valid, memory_reply_valid;
  wire [32:0] registers_reply, memory_reply;  // an error behind 32 bits of data
  wire [2:0] status, category;

  tilewright dut (.*);

  logic [31:0] words[2*WORDS];
  int base = 0, max_cycles = 0, program_words = WORDS, bank_words = WORDS / 4, file;
  string image_path, dump_path, trace_path;
  int trace_file = 0;
  logic [31:0] answer;

  // Everything changes in the middle of a cycle. A request is taken at its end; a register answers in the next one, a memory two
  // cycles after that.
  task automatic access_memory(input logic write, input int address, input logic [31:0] data);
    memory_requests_payload = '{write: write, address: address, data: data};
    memory_requests_valid = 1;
    @(negedge clk);
    memory_requests_valid = 0;
    repeat (2) @(negedge clk);
    answer = memory_reply[31:0];
    if (!memory_reply_valid || memory_reply[32]) $fatal(1, "memory 0x%x: no answer, or an error", address);
    @(negedge clk);
  endtask

  task automatic access_register(input logic write, input int address, input logic [31:0] data);
    registers_requests_payload = '{write: write, address: address, data: data};
    registers_requests_valid = 1;
    @(negedge clk);
    registers_requests_valid = 0;
    answer = registers_reply[31:0];
    if (!registers_reply_valid || registers_reply[32]) $fatal(1, "register 0x%x: no answer, or an error", address);
    @(negedge clk);
  endtask

  initial begin
    {finished, done, counted, error, error_pc} = '0;
    void'($value$plusargs("base=%d", base));
    void'($value$plusargs("max_cycles=%d", max_cycles));
    void'($value$plusargs("program_words=%d", program_words));
    void'($value$plusargs("bank_words=%d", bank_words));
    if (!$value$plusargs("image=%s", image_path) || !$value$plusargs("dump=%s", dump_path)) $fatal(1, "no +image or +dump");
    file = $fopen(image_path, "rb");
    for (int n = 0; n < 2 * WORDS; n++) begin
      for (int byte_number = 0; byte_number < 4; byte_number++) words[n][8*byte_number+:8] = 8'($fgetc(file));
    end
    $fclose(file);
    if ($value$plusargs("trace=%s", trace_path)) trace_file = $fopen(trace_path, "wb");

    repeat (4) @(negedge clk);
    rst = 0;
    @(negedge clk);
    for (int n = 0; n < program_words; n++) access_memory(1, 4 * n, words[n]);
    for (int n = 0; n < WORDS; n++) if (n % (WORDS / 4) < bank_words) access_memory(1, 4 * (WORDS + n), words[WORDS+n]);
    access_register(1, BASE_PROGRAM, base);
    access_register(1, CONTROL, 1);
    while (status[0] && (max_cycles == 0 || cycles < 32'(max_cycles))) @(negedge clk);
    done = status[1];
    access_register(0, ERROR, 0);
    error = answer;
    access_register(0, ERROR_PC, 0);
    error_pc = answer;
    access_register(0, CYCLES_LO, 0);
    counted = answer;
    if (!status[0]) begin
      file = $fopen(dump_path, "wb");
      for (int n = 0; n < WORDS; n++) begin
        answer = 0;
        if (n % (WORDS / 4) < bank_words) access_memory(0, 4 * (WORDS + n), 0);
        $fwrite(file, "%u", answer);
      end
      $fclose(file);
    end
    if (trace_file != 0) $fclose(trace_file);
    trace_file = 0;
    finished = 1;
  end

  // Events as in trace.svh: of writes the bank and the word in it, 16 units of which each has one word.
  task automatic record(input logic [3:0] event_number, input logic [13:0] address, input logic [8*SIDE-1:0] data);
    $fwrite(trace_file, "%u%u", cycles + 1, {event_number, address[13:12], 18'(address[11:0]), 8'd1});
    for (int part = 0; part < SIDE / 4; part++) $fwrite(trace_file, "%u", data[32*part+:32]);
  endtask

  initial begin
    {cycle, cycles} = '0;
    {active, wait_weights, wait_input, wait_output, wait_tokens, idle} = '0;
  end

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (status[0]) begin
      cycles <= cycles + 1;
      case (category)
        0: active <= active + 1;
        1: wait_weights <= wait_weights + 1;
        2: wait_input <= wait_input + 1;
        3: wait_output <= wait_output + 1;
        4: wait_tokens <= wait_tokens + 1;
        default: idle <= idle + 1;
      endcase
`ifdef TILEWRIGHT_TRACE
      if (trace_file != 0) begin
        if (dut.drain.write) record(1, dut.drain.address, dut.postprocessor.result);
        if (dut.sequencer.passed_load) record(2, '0, '0);
        if (dut.sequencer.finished) record(3, '0, '0);
        if (dut.sequencer.passed_store) record(4, '0, '0);
      end
`endif
    end
  end
endmodule
