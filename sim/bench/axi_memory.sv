// SPDX-License-Identifier: Apache-2.0
// External memory behind an AXI4 port, with adjustable timing, errors on request, and a referee for the bus's rules.
//
// Burst k's first beat comes at max(address cycle + read_latency, cycle of the beat before + 1), further beats in the cycles after
// it; write data is taken from the cycle after its address on, one beat per cycle, and answered write_latency cycles after the
// last. Reading and writing do not disturb each other.
//
// Plusargs, all optional: +memory_bytes, +image and +dump (files), +failure (a file), +read_latency, +write_latency, +bandwidth
// (percent of cycles with a beat, each way), +outstanding (bursts taken, each way), +turnover (cycles before a burst's last beat on
// the bus from which another is taken in its place; 1 if bandwidth is not 100), and ranges that answer SLVERR:
// +read_error_base, +read_error_bytes, +write_error_base, +write_error_bytes. Beyond the memory lies DECERR.

module axi_memory #(
    parameter int AXI_BITS = 128,
    parameter int BYTES = AXI_BITS / 8
) (
    input  logic                clk,
    input  logic                rst,
    input  logic [        63:0] cycle,
    input  logic                muted,  // answer nothing any more
    output logic                stopped,  // a rule of the bus was broken: the file +failure says which

    input  logic                awid,
    input  logic [        31:0] awaddr,
    input  logic [         7:0] awlen,
    input  logic [         2:0] awsize,
    input  logic [         1:0] awburst,
    input  logic                awvalid,
    output logic                awready,
    input  logic [AXI_BITS-1:0] wdata,
    input  logic [   BYTES-1:0] wstrb,
    input  logic                wlast,
    input  logic                wvalid,
    output logic                wready,
    output logic                bid,
    output logic [         1:0] bresp,
    output logic                bvalid,
    input  logic                bready,
    input  logic                arid,
    input  logic [        31:0] araddr,
    input  logic [         7:0] arlen,
    input  logic [         2:0] arsize,
    input  logic [         1:0] arburst,
    input  logic                arvalid,
    output logic                arready,
    output logic                rid,
    output logic [AXI_BITS-1:0] rdata,
    output logic [         1:0] rresp,
    output logic                rlast,
    output logic                rvalid,
    input  logic                rready
);
  localparam int SIZE = $clog2(BYTES);
  localparam logic [1:0] OKAY = 0, SLVERR = 2, DECERR = 3;

  typedef struct {
    logic        id;
    logic [31:0] address;  // of the next beat
    logic [8:0]  beats;  // left
    logic [63:0] due;
  } burst_t;

  typedef struct {
    logic        id;
    logic [1:0]  response;
    logic [63:0] due;
  } answer_t;

  // ---------------------------------------------------------------------------------------------------- settings and files
  int memory_bytes = 1 << 20;
  int read_latency = 20, write_latency = 4, bandwidth = 100, outstanding = 64, turnover = 1;
  int read_error_base = 0, read_error_bytes = 0, write_error_base = 0, write_error_bytes = 0;
  string image_path = "", dump_path = "", failure_path = "";
  logic [AXI_BITS-1:0] memory[];
  logic [31:0] first_written = '1, last_written = 0;  // words; the dump holds what is between, behind the first's number

  initial begin
    automatic int file;
    automatic logic [AXI_BITS-1:0] word;
    void'($value$plusargs("memory_bytes=%d", memory_bytes));
    void'($value$plusargs("read_latency=%d", read_latency));
    void'($value$plusargs("write_latency=%d", write_latency));
    void'($value$plusargs("bandwidth=%d", bandwidth));
    void'($value$plusargs("outstanding=%d", outstanding));
    void'($value$plusargs("turnover=%d", turnover));
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
      for (int n = 0; n < memory_bytes / BYTES && $fread(word, file) == BYTES; n++)
        memory[n] = {<<8{word}};  // $fread puts a file's first byte into the highest
      $fclose(file);
    end
  end

  final
    if (dump_path != "") begin
      automatic int file = $fopen(dump_path, "wb");
      $fwrite(file, "%u", first_written);
      for (logic [31:0] n = first_written; n <= last_written; n++)
        for (int lane = 0; lane < AXI_BITS / 32; lane++) $fwrite(file, "%u", memory[n][32*lane+:32]);
      $fclose(file);
    end

  task automatic stop(input string why);
    if (!stopped && failure_path != "") begin
      automatic int file = $fopen(failure_path, "w");
      $fdisplay(file, "%s", why);
      $fclose(file);
    end
    stopped = 1;
  endtask

  function automatic logic [1:0] outcome(input logic [31:0] at, input int base, input int bytes);
    if (at >= memory_bytes) return DECERR;
    return (at >= base && at - base < bytes) ? SLVERR : OKAY;
  endfunction

  initial begin
    {stopped, awready, wready, bvalid, arready, rvalid} = '0;
  end

  // --------------------------------------------------------------------------------------------------------------- channels
  burst_t reads[$];
  int read_credit = 100;  // a beat costs 100
  int ending;  // bursts whose last beat is so near that their places are free in the next cycle
  logic [63:0] last_beat;  // the cycle of a burst's last beat

  always @(posedge clk) begin
    if (arvalid && arready)
      reads.push_back('{id: arid, address: {araddr[31:SIZE], SIZE'(0)}, beats: arlen + 9'd1, due: cycle + 64'(read_latency)});
    read_credit = read_credit + bandwidth > 199 ? 199 : read_credit + bandwidth;
    if (!rvalid || rready) begin
      rvalid <= 0;
      if (reads.size() != 0 && reads[0].due <= cycle + 1 && read_credit >= 100 && !muted) begin
        automatic logic [31:0] at = reads[0].address;
        read_credit = read_credit - 100;
        rvalid <= 1;
        rid <= reads[0].id;
        rlast <= reads[0].beats == 1;
        rresp <= outcome(at, read_error_base, read_error_bytes);
        rdata <= at < memory_bytes ? memory[at>>SIZE] : '1;
        reads[0].address = at + BYTES;
        reads[0].beats = reads[0].beats - 1;
        if (reads[0].beats == 0) void'(reads.pop_front());
      end
    end
    ending = 0;
    last_beat = cycle + 1;
    if (read_credit + bandwidth >= 100) begin
      foreach (reads[n]) begin
        last_beat = (last_beat + 1 > reads[n].due ? last_beat + 1 : reads[n].due) + 64'(reads[n].beats) - 1;
        if (last_beat > cycle + 1 + 64'(bandwidth == 100 ? turnover : 1)) break;
        ending++;
      end
    end
    arready <= !rst && reads.size() - ending < outstanding;
  end

  burst_t writes[$];
  answer_t answers[$];
  int write_credit = 100;
  logic [1:0] write_response = OKAY;  // of the burst so far

  always @(posedge clk) begin
    if (awvalid && awready)
      writes.push_back('{id: awid, address: {awaddr[31:SIZE], SIZE'(0)}, beats: awlen + 9'd1, due: 0});
    if (wvalid && wready) begin
      automatic logic [31:0] at = writes[0].address;
      automatic logic [1:0] response = outcome(at, write_error_base, write_error_bytes);
      if (wlast != (writes[0].beats == 1)) stop("WLAST is not on the last beat of its burst");
      if (response != OKAY) write_response = response;
      else begin
        automatic logic [AXI_BITS-1:0] word = memory[at>>SIZE];
        for (int n = 0; n < BYTES; n++) if (wstrb[n]) word[8*n+:8] = wdata[8*n+:8];
        memory[at>>SIZE] = word;
        if (at >> SIZE < first_written) first_written = at >> SIZE;
        if (at >> SIZE > last_written) last_written = at >> SIZE;
      end
      write_credit = write_credit - 100;
      writes[0].address = at + BYTES;
      writes[0].beats = writes[0].beats - 1;
      if (writes[0].beats == 0) begin
        answers.push_back('{id: writes[0].id, response: write_response, due: cycle + 64'(write_latency)});
        void'(writes.pop_front());
        write_response = OKAY;
      end
    end
    write_credit = write_credit + bandwidth > 199 ? 199 : write_credit + bandwidth;
    awready <= !rst && writes.size() + answers.size() < outstanding;
    wready <= writes.size() != 0 && write_credit >= 100;

    if (!bvalid || bready) begin
      bvalid <= 0;
      if (answers.size() != 0 && answers[0].due <= cycle + 1 && !muted) begin
        bvalid <= 1;
        bid <= answers[0].id;
        bresp <= answers[0].response;
        void'(answers.pop_front());
      end
    end
  end

  // ------------------------------------------------------------------------------------------------------- rules of the bus
  localparam int ADDRESS_BITS = 1 + 32 + 8 + 3 + 2;
  localparam int DATA_BITS = AXI_BITS + BYTES + 1;
  logic ar_waits = 0, aw_waits = 0, w_waits = 0;
  logic [ADDRESS_BITS-1:0] ar_before, aw_before;
  logic [DATA_BITS-1:0] w_before;
  wire [ADDRESS_BITS-1:0] ar = {arid, araddr, arlen, arsize, arburst};
  wire [ADDRESS_BITS-1:0] aw = {awid, awaddr, awlen, awsize, awburst};
  wire [DATA_BITS-1:0] w = {wdata, wstrb, wlast};

  task automatic check_burst(input string channel, input logic [31:0] at, input logic [7:0] len, input logic [2:0] size,
                             input logic [1:0] burst);
    if (burst != 1) stop($sformatf("%sBURST is not INCR", channel));
    if (size != SIZE) stop($sformatf("%sSIZE is not the width of the bus", channel));
    if (32'(at[11:0]) / BYTES + 32'(len) >= 4096 / BYTES) stop($sformatf("a burst on %s crosses 4 KiB", channel));
  endtask

  always @(posedge clk)
    if (!rst) begin
      ar_waits <= arvalid && !arready;
      aw_waits <= awvalid && !awready;
      w_waits <= wvalid && !wready;
      ar_before <= ar;
      aw_before <= aw;
      w_before <= w;
      if (ar_waits && !(arvalid && ar == ar_before)) stop("AR changed before ARREADY");
      if (aw_waits && !(awvalid && aw == aw_before)) stop("AW changed before AWREADY");
      if (w_waits && !(wvalid && w == w_before)) stop("W changed before WREADY");
      if (arvalid) check_burst("AR", araddr, arlen, arsize, arburst);
      if (awvalid) check_burst("AW", awaddr, awlen, awsize, awburst);
    end
endmodule
