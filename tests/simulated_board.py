"""A board whose design runs in Verilator, with its serial line on a pseudo-terminal of this computer."""

import contextlib
import functools
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tilewright.hw.boards.compact_design import CompactBoardDesign
from tilewright.hw.boards.design import BoardDesign
from tilewright.hw.params import Parameters
from tilewright.hw.primitives import models
from tilewright.hw.verilog import convert
from tilewright.sim.verilator import Build, run_test

HERE = Path(__file__).parent
DIVISOR = 4
CLOCK_HZ = 8_000_000
BAUD = 2400
"""That the host believes: the simulation is slower than any board, and this is what it waits for."""


@functools.cache
def _verilog(params: Parameters, memory_kib: int) -> str:
    baud = CLOCK_HZ // DIVISOR
    compact = params.compact
    design = CompactBoardDesign(params, CLOCK_HZ, baud) if compact else BoardDesign(params, memory_kib, CLOCK_HZ, baud)
    return convert(design, "board")


@contextlib.contextmanager
def simulated_board(
    params: Parameters, memory_kib: int, *, sent: int = 0, returned: int = 0, unplug: int = 0, seed: int = 0
) -> Iterator[str]:
    """The name of a serial port with a board behind it; simulated_board_cocotb.py says what can go wrong on the way."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "board.v").write_text(_verilog(params, memory_kib))
        sources = (HERE / "simulated_board.sv", folder / "board.v", *models(params.target))
        executable = Build(sources=sources, top="simulated_board", parameters={"DIVISOR": DIVISOR}).executable()
        job = {"port": str(folder / "port"), "stop": str(folder / "stop"), "seed": seed}
        job |= {"sent": sent, "returned": returned, "unplug": unplug}
        (folder / "job.json").write_text(json.dumps(job))
        failures: list[BaseException] = []

        def simulate() -> None:
            try:
                run_test(
                    executable, module=HERE / "simulated_board_cocotb.py", folder=folder,
                    environment={"BOARD_JOB": str(folder / "job.json")}, timeout=400,
                )  # fmt: skip
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=simulate)
        thread.start()
        try:
            while not (folder / "port").exists() and thread.is_alive():
                time.sleep(0.01)
            if not failures:
                yield (folder / "port").read_text()
        finally:
            (folder / "stop").touch()
            thread.join()
        if failures:
            raise failures[0]
