"""`tilewright run --engine board`: the cases on an FPGA at a serial port."""

from collections.abc import Callable

import click

from ..host.compact import CompactAccelerator
from ..host.driver import Accelerator
from ..host.serial_transport import SerialTransport
from ..hw.boards.memory import OnChipMemory
from ..sim.rtl import MemoryOptions
from .errors import CommandError
from .inputs import Cases
from .session import Case, Session

__all__ = ["BOARD_MEMORY", "DEFAULT_BAUD", "check_port", "run_on_board"]

BOARD_MEMORY = MemoryOptions(
    latency=OnChipMemory.READ_LATENCY, write_latency=OnChipMemory.WRITE_LATENCY,
    outstanding=OnChipMemory.OUTSTANDING, turnover=OnChipMemory.TURNOVER,
)  # fmt: skip
"""The external memory of a board, for simulation and prediction."""

DEFAULT_BAUD = 1_000_000
"""That of the bitstreams."""


def check_port(engine: str, port: str | None, baud: int | None) -> None:
    """Refuse a board without a port, and a port without a board."""
    if engine == "board" and port is None:
        raise click.UsageError("--engine board: needs --port, such as --port /dev/ttyUSB0")
    if engine != "board" and (port is not None or baud is not None):
        raise CommandError("--port and --baud: are for --engine board")


def run_on_board(session: Session, cases: Cases, port: str, baud: int, step: Callable[..., None]) -> list[Case]:
    """Load the program once, and run every case. Raises `LinkError` and `AcceleratorError`."""
    step(f"looking for a board at {port}")
    with SerialTransport.open(port, baud) as transport:
        kind = CompactAccelerator if session.params.compact else Accelerator
        accelerator = kind(transport)
        transport.progress = lambda done, total: step("sending the program", done / total)
        accelerator.load(session.program)
        transport.progress = None
        session.clock_hz = transport.clock_hz
        return [session.on_board(accelerator, case) for case in cases.cases]
