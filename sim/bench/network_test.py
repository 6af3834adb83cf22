"""Runs in the simulator: writes registers, waits for the end, reads registers. Job and answer are JSON files."""

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout

_ACCESS_NS = 20_000  # 10,000 cycles


async def _access(dut: Any, address: int, value: int | None = None) -> int:
    dut.address.value = address
    dut.write.value = int(value is not None)
    dut.write_data.value = value or 0
    dut.request.value = 1 - int(dut.reply.value)
    await with_timeout(dut.reply.value_change, _ACCESS_NS, "ns")
    if response := int(dut.response.value):
        raise RuntimeError(f"register 0x{address:03x} answered {response}")
    return int(dut.read_data.value)


@cocotb.test()
async def network(dut: Any) -> None:
    """One run of the accelerator."""
    job = json.loads(Path(os.environ["TILEWRIGHT_JOB"]).read_text())
    for address, value in job["writes"]:
        await _access(dut, address, value)
    began, first = time.perf_counter(), int(dut.cycle.value)
    if job["wait"] and not int(dut.finished.value):
        await RisingEdge(dut.finished)
    seconds, cycles = time.perf_counter() - began, int(dut.cycle.value) - first
    answer = {
        "interrupted": bool(dut.interrupted.value),
        "stopped": bool(dut.stopped.value),
        "cycles": int(dut.last_write_cycle.value) - int(dut.start_cycle.value) + 1,
        "seconds": seconds,
        "simulated_cycles": cycles,
        "registers": {str(address): await _access(dut, address) for address in job["reads"]},
    }
    Path(job["answer"]).write_text(json.dumps(answer))
