// SPDX-License-Identifier: Apache-2.0
// Bench around `tilewright`: clock, registers, external memory. Python sees the ports alone and waits for `finished`.
//
// Plusargs, all optional (cycles unless it says otherwise): +image=FILE +dump=FILE +failure=FILE +trace=FILE, +memory_bytes,
// +read_latency (address to first beat), +write_latency (last beat to response), +bandwidth (percent of cycles with a beat,
// in each direction), +outstanding (bursts that each direction accepts), +max_cycles and +mute (both from the start),
// +start_address (of the register whose bit 0 starts), +read_error_base +read_error_bytes +write_error_base +write_error_bytes.

`timescale 1ns / 1ns

module bench #(
    parameter int AXI_BITS = 128,
    parameter int LITE_ADDRESS_BITS = 12,
    parameter int VECTOR_BYTES = 16,  // of the activation memory
    parameter int UNITS = 1,  // in a vector
    parameter int BANK_ADDRESS_BITS = 11
) (
    // One register access for every change of `request`; `reply` follows when it is done.
    input  logic        request  /* verilator public_flat_rw */,
    input  logic        write  /* verilator public_flat_rw */,
    input  logic [31:0] address  /* verilator public_flat_rw */,
    input  logic [31:0] write_data  /* verilator public_flat_rw */,
    output logic        reply  /* verilator public_flat_rw */,
    output logic [31:0] read_data  /* verilator public_flat_rw */,
    output logic [ 1:0] response  /* verilator public_flat_rw */,

    // Rises on an interrupt after the start, after `max_cycles`, or when the bench stops (a file says why).
    output logic        finished  /* verilator public_flat_rw */,
    output logic        interrupted  /* verilator public_flat_rw */,
    output logic        stopped  /* verilator public_flat_rw */,
    output logic [63:0] cycle  /* verilator public_flat_rw */,
    output logic [63:0] start_cycle  /* verilator public_flat_rw */,  // the start write was accepted
    output logic [63:0] last_write_cycle  /* verilator public_flat_rw */  // the latest write response was accepted
);
  localparam int BYTES = AXI_BITS / 8;
  localparam int SIZE = $clog2(BYTES);

  logic clk = 0;
  logic rst = 1;
  initial forever #1 clk = !clk;

  wire m_axi_awid, m_axi_awvalid, m_axi_wlast, m_axi_wvalid, m_axi_bready, m_axi_arid, m_axi_arvalid, m_axi_rready;
  wire [31:0] m_axi_awaddr, m_axi_araddr;
  wire [7:0] m_axi_awlen, m_axi_arlen;
  wire [2:0] m_axi_awsize, m_axi_arsize;
  wire [1:0] m_axi_awburst, m_axi_arburst;
  wire [AXI_BITS-1:0] m_axi_wdata;
  wire [BYTES-1:0] m_axi_wstrb;
  logic m_axi_awready, m_axi_wready, m_axi_bid, m_axi_bvalid, m_axi_arready, m_axi_rid, m_axi_rlast, m_axi_rvalid;
  logic [1:0] m_axi_bresp, m_axi_rresp;
  logic [AXI_BITS-1:0] m_axi_rdata;
  logic s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready;
  wire s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid;
  logic [LITE_ADDRESS_BITS-1:0] s_axil_awaddr, s_axil_araddr;
  logic [31:0] s_axil_wdata;
  logic [3:0] s_axil_wstrb;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire [31:0] s_axil_rdata;
  wire irq;

  tilewright dut (.*);

  // ---------------------------------------------------------------------------------------------------- settings and files
  int memory_bytes = 1 << 20;
  longint read_latency = 20, write_latency = 4, max_cycles = 0, mute = 0;
  int bandwidth = 100, outstanding = 64, start_address = 0;
  longint read_error_base = 0, read_error_bytes = 0, write_error_base = 0, write_error_bytes = 0;
  string image_path = "", dump_path = "", failure_path = "";
  logic [AXI_BITS-1:0] memory[];
  logic [31:0] first_written = '1, last_written = 0;  // words

  function automatic logic [AXI_BITS-1:0] swapped(input logic [AXI_BITS-1:0] word);
    return {<<8{word}};  // $fread puts a file's first byte into the highest
  endfunction

  initial begin
    automatic int file;
    automatic logic [AXI_BITS-1:0] word;
    void'($value$plusargs("memory_bytes=%d", memory_bytes));
    void'($value$plusargs("read_latency=%d", read_latency));
    void'($value$plusargs("write_latency=%d", write_latency));
    void'($value$plusargs("bandwidth=%d", bandwidth));
    void'($value$plusargs("outstanding=%d", outstanding));
    void'($value$plusargs("max_cycles=%d", max_cycles));
    void'($value$plusargs("mute=%d", mute));
    void'($value$plusargs("start_address=%d", start_address));
    void'($value$plusargs("read_error_base=%d", read_error_base));
    void'($value$plusargs("read_error_bytes=%d", read_error_bytes));
    void'($value$plusargs("write_error_base=%d", write_error_base));
    void'($value$plusargs("write_error_bytes=%d", write_error_bytes));
    void'($value$plusargs("image=%s", image_path));
    void'($value$plusargs("dump=%s", dump_path));
    void'($value$plusargs("failure=%s", failure_path));
    memory = new[memory_bytes / BYTES];
    if (image_path != "") begin
      file = $fopen(image_path, "rb");
      for (int n = 0; n < memory_bytes / BYTES; n++) begin
        word = '0;
        if ($fread(word, file) != BYTES) break;
        memory[n] = swapped(word);
      end
      $fclose(file);
    end
  end

  final begin
    automatic int file;
    if (dump_path != "") begin
      file = $fopen(dump_path, "wb");
      for (logic [31:0] n = first_written; n <= last_written && first_written != '1; n++)
        for (int lane = 0; lane < AXI_BITS / 32; lane++) $fwrite(file, "%u", memory[n][32*lane+:32]);
      $fclose(file);
    end
  end

  task automatic stop(input string why);
    automatic int file;
    if (!stopped && failure_path != "") begin
      file = $fopen(failure_path, "w");
      $fdisplay(file, "cycle %0d: %s", cycle, why);
      $fclose(file);
    end
    stopped <= 1;
  endtask

  // ------------------------------------------------------------------------------------------------------- start and finish
  logic started = 0;
  wire  muted = started && mute != 0 && cycle - start_cycle >= mute;
  assign finished = stopped || interrupted || (started && max_cycles != 0 && cycle - start_cycle >= max_cycles);

  initial begin
    cycle = 0;
    start_cycle = 0;
    last_write_cycle = 0;
    stopped = 0;
    interrupted = 0;
  end

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 3) rst <= 0;
    if (started && irq) interrupted <= 1;
    if (m_axi_bvalid && m_axi_bready) last_write_cycle <= cycle;
  end

  // --------------------------------------------------------------------------------------------------------------- registers
  logic accepted_address = 0, accepted_data = 0;
  logic idle = 1;

  initial begin
    reply = 0;
    {s_axil_awvalid, s_axil_wvalid, s_axil_arvalid, s_axil_bready, s_axil_rready} = '0;
  end

  always @(posedge clk)
    if (!rst) begin
      if (idle && request != reply) begin
        idle <= 0;
        s_axil_awaddr <= address[LITE_ADDRESS_BITS-1:0];
        s_axil_araddr <= address[LITE_ADDRESS_BITS-1:0];
        s_axil_wdata <= write_data;
        s_axil_wstrb <= '1;
        {s_axil_awvalid, s_axil_wvalid, s_axil_bready} <= {3{write}};
        {s_axil_arvalid, s_axil_rready} <= {2{!write}};
        accepted_address <= 0;
        accepted_data <= 0;
      end
      if (s_axil_arvalid && s_axil_arready) s_axil_arvalid <= 0;
      if (s_axil_awvalid && s_axil_awready) begin
        s_axil_awvalid <= 0;
        accepted_address <= 1;
      end
      if (s_axil_wvalid && s_axil_wready) begin
        s_axil_wvalid <= 0;
        accepted_data <= 1;
      end
      if (!started && (s_axil_awvalid || s_axil_wvalid) && (accepted_address || (s_axil_awvalid && s_axil_awready))
          && (accepted_data || (s_axil_wvalid && s_axil_wready)) && address == start_address && write_data[0]) begin
        started <= 1;
        start_cycle <= cycle;
      end
      if ((s_axil_bvalid && s_axil_bready) || (s_axil_rvalid && s_axil_rready)) begin
        {s_axil_bready, s_axil_rready} <= '0;
        response <= s_axil_bvalid ? s_axil_bresp : s_axil_rresp;
        read_data <= s_axil_rdata;
        reply <= request;
        idle <= 1;
      end
    end

  // -------------------------------------------------------------------------------------------------------- external memory
  typedef struct {
    logic        id;
    logic [31:0] address;  // of the next beat
    logic [ 8:0] beats;  // left
    longint      due;
  } burst_t;

  burst_t reads[$];
  burst_t writes[$];
  burst_t answers[$];  // `beats` is the response
  int read_credit = 100, write_credit = 100;
  logic [1:0] write_response = OKAY;
  localparam logic [1:0] OKAY = 0, SLVERR = 2, DECERR = 3;

  initial {m_axi_rvalid, m_axi_bvalid, m_axi_wready, m_axi_arready, m_axi_awready} = '0;

  function automatic logic [1:0] outcome(input logic [31:0] at, input longint base, input longint bytes);
    if (longint'(at) >= longint'(memory_bytes)) return DECERR;
    return (longint'(at) >= base && longint'(at) < base + bytes) ? SLVERR : OKAY;
  endfunction

  always @(posedge clk) begin : read_channel
    automatic burst_t burst;
    if (m_axi_arvalid && m_axi_arready)
      reads.push_back('{m_axi_arid, {m_axi_araddr[31:SIZE], SIZE'(0)}, 9'(m_axi_arlen) + 9'd1, cycle + read_latency});
    read_credit = read_credit + bandwidth > 199 ? 199 : read_credit + bandwidth;
    if (!m_axi_rvalid || m_axi_rready) begin
      m_axi_rvalid <= 0;
      if (reads.size() != 0 && reads[0].due <= cycle + 1 && read_credit >= 100 && !muted) begin
        burst = reads[0];
        read_credit = read_credit - 100;
        m_axi_rvalid <= 1;
        m_axi_rid <= burst.id;
        m_axi_rlast <= burst.beats == 1;
        m_axi_rresp <= outcome(burst.address, read_error_base, read_error_bytes);
        m_axi_rdata <= burst.address < memory_bytes ? memory[burst.address[31:SIZE]] : '1;
        reads[0].address = burst.address + BYTES;
        reads[0].beats = burst.beats - 1;
        if (burst.beats == 1) void'(reads.pop_front());
      end
    end
    m_axi_arready <= !rst && reads.size() < outstanding;
  end

  always @(posedge clk) begin : write_channel
    automatic burst_t burst;
    automatic logic [1:0] beat_response;
    if (m_axi_awvalid && m_axi_awready)
      writes.push_back('{m_axi_awid, {m_axi_awaddr[31:SIZE], SIZE'(0)}, 9'(m_axi_awlen) + 9'd1, 0});
    if (m_axi_wvalid && m_axi_wready) begin
      burst = writes[0];
      if (m_axi_wlast != (burst.beats == 1)) stop("AXI: WLAST is not on the burst's last beat");
      beat_response = outcome(burst.address, write_error_base, write_error_bytes);
      if (beat_response == OKAY) begin
        for (int n = 0; n < BYTES; n++)
          if (m_axi_wstrb[n]) memory[burst.address[31:SIZE]][8*n+:8] = m_axi_wdata[8*n+:8];
        if (burst.address >> SIZE < first_written) first_written = burst.address >> SIZE;
        if (burst.address >> SIZE > last_written) last_written = burst.address >> SIZE;
      end else write_response = beat_response;
      write_credit = write_credit - 100;
      writes[0].address = burst.address + BYTES;
      writes[0].beats = burst.beats - 1;
      if (burst.beats == 1) begin
        void'(writes.pop_front());
        answers.push_back('{burst.id, 0, 9'(write_response), cycle + write_latency});
        write_response = OKAY;
      end
    end
    write_credit = write_credit + bandwidth > 199 ? 199 : write_credit + bandwidth;
    m_axi_awready <= !rst && writes.size() + answers.size() < outstanding;
    m_axi_wready <= writes.size() != 0 && write_credit >= 100;

    if (!m_axi_bvalid || m_axi_bready) begin
      m_axi_bvalid <= 0;
      if (answers.size() != 0 && answers[0].due <= cycle + 1 && !muted) begin
        m_axi_bvalid <= 1;
        m_axi_bid <= answers[0].id;
        m_axi_bresp <= answers[0].beats[1:0];
        void'(answers.pop_front());
      end
    end
  end

  // ------------------------------------------------------------------------------------------------------- rules of the bus
  logic [45:0] held_ar, held_aw;
  logic [AXI_BITS+BYTES:0] held_w;
  logic waiting_ar = 0, waiting_aw = 0, waiting_w = 0;
  wire [45:0] payload_ar = {m_axi_arid, m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst};
  wire [45:0] payload_aw = {m_axi_awid, m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst};
  wire [AXI_BITS+BYTES:0] payload_w = {m_axi_wdata, m_axi_wstrb, m_axi_wlast};

  task automatic check_burst(input string channel, input logic [31:0] first, input logic [7:0] len, input logic [2:0] size,
                             input logic [1:0] burst);
    if (burst != 1) stop({"AXI: ", channel, "BURST is not INCR"});
    if (size != SIZE) stop({"AXI: ", channel, "SIZE is not the width of the bus"});
    if (32'(first[11:SIZE]) + 32'(len) >= 4096 / BYTES) stop({"AXI: a burst on ", channel, " crosses 4 KiB"});
  endtask

  always @(posedge clk)
    if (!rst) begin
      waiting_ar <= m_axi_arvalid && !m_axi_arready;
      waiting_aw <= m_axi_awvalid && !m_axi_awready;
      waiting_w <= m_axi_wvalid && !m_axi_wready;
      held_ar <= payload_ar;
      held_aw <= payload_aw;
      held_w <= payload_w;
      if (waiting_ar && !(m_axi_arvalid && payload_ar == held_ar)) stop("AXI: AR changed before ARREADY");
      if (waiting_aw && !(m_axi_awvalid && payload_aw == held_aw)) stop("AXI: AW changed before AWREADY");
      if (waiting_w && !(m_axi_wvalid && payload_w == held_w)) stop("AXI: W changed before WREADY");
      if (m_axi_arvalid) check_burst("AR", m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst);
      if (m_axi_awvalid) check_burst("AW", m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst);
    end

`ifdef TILEWRIGHT_TRACE
`include "trace.svh"
`endif
endmodule
