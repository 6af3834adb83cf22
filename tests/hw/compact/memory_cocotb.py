"""Runs in the simulator, driven by test_memory.py: waits for the bench to have made all its accesses."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout


@cocotb.test()
async def accesses(dut) -> None:
    Clock(dut.clk, 2, "ns").start()
    await with_timeout(RisingEdge(dut.done), 10, "ms")
    counts = {name: int(getattr(dut, name).value) for name in ("compared", "wrong_ours", "wrong_yosys", "wrong_late")}
    Path(os.environ["SPRAM_ANSWER"]).write_text(json.dumps(counts))
