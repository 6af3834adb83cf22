"""Runs in the simulator, driven by test_bus.py: cocotbext-axi on both buses of a device, with seeded pauses and errors.

Its job is the JSON file that BUS_JOB names: register ``writes`` and ``reads``, the memory ``image`` (a file, changed
in place), address ranges of ``read_errors`` and ``write_errors``, ``pause`` (the share of cycles in which each
channel stalls), ``seed`` and ``answer``.
"""

import json
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AddressSpace, AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave, Region


class Memory(Region):
    """Bytes; an access that touches a forbidden address fails, which AxiSlave turns into SLVERR."""

    def __init__(self, content: bytearray, read_errors: range, write_errors: range):
        super().__init__(len(content))
        self.content = content
        self.read_errors = read_errors
        self.write_errors = write_errors

    async def _read(self, address: int, length: int, **_: object) -> bytes:
        self._check(address, length, self.read_errors)
        return bytes(self.content[address : address + length])

    async def _write(self, address: int, data: bytes, **_: object) -> None:
        self._check(address, len(data), self.write_errors)
        self.content[address : address + len(data)] = data

    def _check(self, address: int, length: int, errors: range) -> None:
        if address < errors.stop and address + length > errors.start:
            raise ValueError(f"address {address:#x}")


def pauses(seed: str, share: float) -> Iterator[bool]:
    """Bursts of stalls and of free cycles."""
    source = random.Random(seed)
    while True:
        stalled = source.random() < share
        for _ in range(source.randint(1, 6)):
            yield stalled


async def rules(dut) -> None:
    """A burst's bytes do not cross 4 KiB, and VALID stays until READY with its payload unchanged."""
    waiting: dict[str, tuple[int, ...]] = {}
    payloads = {"ar": ("araddr", "arlen"), "aw": ("awaddr", "awlen"), "w": ("wdata", "wstrb", "wlast")}
    width = len(dut.m_axi_wdata) // 8
    while True:
        await RisingEdge(dut.clk)
        for channel, names in payloads.items():
            valid = bool(getattr(dut, f"m_axi_{channel}valid").value)
            payload = tuple(int(getattr(dut, f"m_axi_{name}").value) for name in names) if valid else ()
            if channel in waiting:
                assert payload == waiting.pop(channel), f"{channel} changed before READY"
            if valid and not getattr(dut, f"m_axi_{channel}ready").value:
                waiting[channel] = payload
            if valid and channel != "w":
                assert payload[0] % 4096 // width + payload[1] < 4096 // width, f"{channel} crosses 4 KiB"


@cocotb.test()
async def bus(dut) -> None:
    """One run of the device."""
    job = json.loads(Path(os.environ["BUS_JOB"]).read_text())
    logging.getLogger("cocotb").setLevel(logging.ERROR)
    content = bytearray(Path(job["image"]).read_bytes())
    space = AddressSpace(1 << 32)
    space.register_region(Memory(content, range(*job["read_errors"]), range(*job["write_errors"])), 0)
    Clock(dut.clk, 2, unit="ns").start()
    dut.rst.value = 1
    slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, target=space)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    read, write = slave.read_if, slave.write_if
    for name, channel in {
        "ar": read.ar_channel, "r": read.r_channel, "aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel,
        "lite_aw": master.write_if.aw_channel, "lite_w": master.write_if.w_channel, "lite_b": master.write_if.b_channel,
        "lite_ar": master.read_if.ar_channel, "lite_r": master.read_if.r_channel,
    }.items():  # fmt: skip
        channel.set_pause_generator(pauses(f"{job['seed']} {name}", job["pause"]))
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    cocotb.start_soon(rules(dut))

    for address, value in job["writes"]:
        answer = await with_timeout(master.write(address, value.to_bytes(4, "little")), 10, "us")
        assert answer.resp == 0, f"write of register {address:#x}"
    if not dut.irq.value:
        await with_timeout(RisingEdge(dut.irq), job["cycles"] * 2, "ns")
    registers = {}
    for address in job["reads"]:
        answer = await with_timeout(master.read(address, 4), 10, "us")
        registers[address] = [int(answer.resp), int.from_bytes(answer.data, "little")]
    await ClockCycles(dut.clk, 50)
    Path(job["image"]).write_bytes(content)
    Path(job["answer"]).write_text(json.dumps(registers))
