"""Runs in the simulator, started by simulated_board.py: a pseudo-terminal on the board's serial line.

Its job is the JSON file that BOARD_JOB names: ``port`` (a file that gets the terminal's name), ``stop`` (a file whose
appearance ends it), and for each direction which bytes are damaged (``sent``, ``returned``: each n-th, 0 none), in ways
of a random ``seed``, and after how many bytes from the board the plug is pulled (``unplug``, 0 never).
"""

import json
import os
import random
import tty
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

_POLL = 400  # ns, 200 cycles


class Damage:
    """Each n-th byte is lost, doubled, or another."""

    def __init__(self, seed: str, period: int):
        self.rng = random.Random(seed)
        self.period = period
        self.count = 0

    def __call__(self, data: bytes) -> bytes:
        return b"".join(self.byte(byte) for byte in data) if self.period else data

    def byte(self, byte: int) -> bytes:
        self.count += 1
        if self.count % self.period:
            return bytes([byte])
        return self.rng.choice([b"", bytes([byte, byte]), bytes([byte ^ 1 << self.rng.randrange(8)])])


async def from_board(dut: Any, master: int, damage: Damage, seen: list[int]) -> None:
    while True:
        await dut.received.value_change
        seen[0] += 1
        os.write(master, damage(bytes([int(dut.received_data.value)])))


async def to_board(dut: Any, data: bytes) -> None:
    for byte in data:
        dut.send_data.value = byte
        dut.send.value = 1 - int(dut.sent.value)
        await dut.sent.value_change


@cocotb.test()
async def board(dut: Any) -> None:
    """A board until it is told to stop."""
    job = json.loads(Path(os.environ["BOARD_JOB"]).read_text())
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    dut.send.value = 0
    await Timer(20, "ns")
    damage, seen = Damage(f"{job['seed']} sent", job["sent"]), [0]
    cocotb.start_soon(from_board(dut, master, Damage(f"{job['seed']} returned", job["returned"]), seen))
    port = Path(job["port"])
    port.with_suffix(".new").write_text(os.ttyname(slave))
    port.with_suffix(".new").rename(port)
    stop = Path(job["stop"])
    while not stop.exists() and not (job["unplug"] and seen[0] > job["unplug"]):
        try:
            data = os.read(master, 64)
        except BlockingIOError:
            await Timer(_POLL, "ns")
            continue
        await to_board(dut, damage(data))
    os.close(slave)
    os.close(master)
