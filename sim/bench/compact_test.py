"""Runs in the simulator around compact_bench.sv: waits for the end, and writes what the bench counted to a JSON file."""

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

_COUNTS = (
    "done", "cycle", "cycles", "counted", "error", "error_pc", "active", "wait_weights", "wait_input", "wait_output",
    "wait_tokens", "idle",
)  # fmt: skip


@cocotb.test()
async def network(dut: Any) -> None:
    """One run of the accelerator."""
    began = time.perf_counter()
    await RisingEdge(dut.finished)
    answer: dict[str, float] = {name: int(getattr(dut, name).value) for name in _COUNTS}
    answer["seconds"] = time.perf_counter() - began
    Path(os.environ["TILEWRIGHT_ANSWER"]).write_text(json.dumps(answer))
