// SPDX-License-Identifier: Apache-2.0
// Bench around `tilewright`: clock, registers, external memory. Python sees the ports alone and waits for `finished`.
//
// Plusargs, all optional: +max_cycles and +mute (the memory falls silent), both from the start; +start_address (of the register
// whose bit 0 starts); +trace (a file, for a bench with TILEWRIGHT_TRACE); and those of the memory in axi_memory.sv.

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

    // Rises on an interrupt after the start, after `max_cycles`, or when a rule of the bus was broken.
    output logic        finished  /* verilator public_flat_rw */,
    output logic        interrupted  /* verilator public_flat_rw */,
    output logic        stopped  /* verilator public_flat_rw */,
    output logic [63:0] cycle  /* verilator public_flat_rw */,
    output logic [63:0] start_cycle  /* verilator public_flat_rw */,  // the start write was answered
    output logic [63:0] last_write_cycle  /* verilator public_flat_rw */  // the memory's latest write was answered
);
  logic clk = 0;
  logic rst = 1;
  initial forever #1 clk = !clk;

  // ----------------------------------------------------------------------------------------------------- device and memory
  localparam int BYTES = AXI_BITS / 8;
  wire m_axi_awid, m_axi_awvalid, m_axi_awready, m_axi_wlast, m_axi_wvalid, m_axi_wready, m_axi_bid, m_axi_bvalid, m_axi_bready;
  wire m_axi_arid, m_axi_arvalid, m_axi_arready, m_axi_rid, m_axi_rlast, m_axi_rvalid, m_axi_rready;
  wire [31:0] m_axi_awaddr, m_axi_araddr;
  wire [7:0] m_axi_awlen, m_axi_arlen;
  wire [2:0] m_axi_awsize, m_axi_arsize;
  wire [1:0] m_axi_awburst, m_axi_arburst, m_axi_bresp, m_axi_rresp;
  wire [AXI_BITS-1:0] m_axi_wdata, m_axi_rdata;
  wire [BYTES-1:0] m_axi_wstrb;
  logic s_axil_awvalid = 0, s_axil_wvalid = 0, s_axil_bready = 0, s_axil_arvalid = 0, s_axil_rready = 0;
  wire s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid;
  wire [LITE_ADDRESS_BITS-1:0] s_axil_awaddr = address[LITE_ADDRESS_BITS-1:0];
  wire [LITE_ADDRESS_BITS-1:0] s_axil_araddr = address[LITE_ADDRESS_BITS-1:0];
  wire [31:0] s_axil_wdata = write_data, s_axil_rdata;
  wire [3:0] s_axil_wstrb = '1;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire irq;
  wire [2:0] status;

  tilewright dut (.*);

  logic started = 0;
  int   mute = 0, max_cycles = 0, start_address = 0;
  wire  muted = started && mute != 0 && cycle - start_cycle >= 64'(mute);

  axi_memory #(
      .AXI_BITS(AXI_BITS)
  ) external (
      .*,
      .awid(m_axi_awid),
      .awaddr(m_axi_awaddr),
      .awlen(m_axi_awlen),
      .awsize(m_axi_awsize),
      .awburst(m_axi_awburst),
      .awvalid(m_axi_awvalid),
      .awready(m_axi_awready),
      .wdata(m_axi_wdata),
      .wstrb(m_axi_wstrb),
      .wlast(m_axi_wlast),
      .wvalid(m_axi_wvalid),
      .wready(m_axi_wready),
      .bid(m_axi_bid),
      .bresp(m_axi_bresp),
      .bvalid(m_axi_bvalid),
      .bready(m_axi_bready),
      .arid(m_axi_arid),
      .araddr(m_axi_araddr),
      .arlen(m_axi_arlen),
      .arsize(m_axi_arsize),
      .arburst(m_axi_arburst),
      .arvalid(m_axi_arvalid),
      .arready(m_axi_arready),
      .rid(m_axi_rid),
      .rdata(m_axi_rdata),
      .rresp(m_axi_rresp),
      .rlast(m_axi_rlast),
      .rvalid(m_axi_rvalid),
      .rready(m_axi_rready)
  );

  // ------------------------------------------------------------------------------------------------------- start and finish
  initial begin
    void'($value$plusargs("mute=%d", mute));
    void'($value$plusargs("max_cycles=%d", max_cycles));
    void'($value$plusargs("start_address=%d", start_address));
    {reply, interrupted} = '0;
    {cycle, start_cycle, last_write_cycle} = '0;
  end

  assign finished = stopped || interrupted || (started && max_cycles != 0 && cycle - start_cycle >= 64'(max_cycles));

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 3) rst <= 0;
    if (started && irq) interrupted <= 1;
    if (m_axi_bvalid && m_axi_bready) last_write_cycle <= cycle;
  end

  // --------------------------------------------------------------------------------------------------------------- registers
  logic busy = 0;

  always @(posedge clk)
    if (!rst) begin
      if (!busy && request != reply) begin
        busy <= 1;
        {s_axil_awvalid, s_axil_wvalid, s_axil_bready} <= {3{write}};
        {s_axil_arvalid, s_axil_rready} <= {2{!write}};
      end
      if (s_axil_awvalid && s_axil_awready) s_axil_awvalid <= 0;
      if (s_axil_wvalid && s_axil_wready) s_axil_wvalid <= 0;
      if (s_axil_arvalid && s_axil_arready) s_axil_arvalid <= 0;
      if ((s_axil_bvalid && s_axil_bready) || (s_axil_rvalid && s_axil_rready)) begin
        {s_axil_bready, s_axil_rready, busy} <= '0;
        response <= s_axil_bvalid ? s_axil_bresp : s_axil_rresp;
        read_data <= s_axil_rdata;
        reply <= request;
        if (write && address == start_address && write_data[0] && !started) begin
          started <= 1;
          start_cycle <= cycle;
        end
      end
    end

`ifdef TILEWRIGHT_TRACE
`include "trace.svh"
`endif
endmodule
