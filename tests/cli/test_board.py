"""`tilewright run --engine board`, with the board in Verilator behind a pseudo-terminal, and with ports that lead nowhere."""

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tilewright.examples import digits
from tilewright.hw.params import Parameters

from ..models import NONE, VALID, ModelBuilder
from ..simulated_board import BAUD, CLOCK_HZ, simulated_board
from .conftest import Tilewright

Fails = Callable[..., str]
PARAMS = Parameters(rows=4, cols=4)
RUN = ("run", "digits", "--array", "4x4", "--engine", "board")


def test_digits(tilewright: Tilewright, tmp_path: Path):
    cases = np.load(digits.CASES)
    np.save(tmp_path / "x.npy", cases["input"][:3][:, np.newaxis])
    with simulated_board(PARAMS, 32) as port:
        result = tilewright(
            *RUN, "--port", port, "--baud", BAUD, "--input", "x.npy", "--output", "y.npz", "--json", "r.json"
        )
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load("y.npz")["output_0"].reshape(3, 10), cases["output_0"][:3])
    report = json.loads(Path("r.json").read_text())
    assert (report["engine"], report["array"], report["mismatches"]) == ("board", [4, 4], 0)
    assert (report["clock_hz"], report["cases"]) == (CLOCK_HZ, 3)
    assert report["cycles"] == sum(report["counters"].values())
    assert report["cycles"] == pytest.approx(report["predicted_cycles"], rel=0.01)
    assert all(layer["cycles"] is None for layer in report["layers"])
    assert re.search(r"\n0 mismatches in 3 cases: the board's outputs against interpreter; ", result.stdout)
    assert f"ms at {CLOCK_HZ / 1e6:g} MHz." in result.stdout


@pytest.fixture
def heavy(tmp_path: Path) -> Path:
    """A model of 64 KiB of weights."""
    builder = ModelBuilder()
    image = builder.input((1, 4, 4, 256), 0.5, 3)
    weights = builder.constant(np.ones((256, 1, 1, 256), np.int8), [0.01] * 256)
    output = builder.tensor((1, 4, 4, 256), 0.6, 1)
    options = schema.Conv2DOptionsT(
        padding=VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=NONE
    )
    builder.operator("CONV_2D", [image, weights, -1], output, options)
    (tmp_path / "heavy.tflite").write_bytes(builder.build(output))
    return tmp_path / "heavy.tflite"


def test_what_a_board_refuses(fails: Fails, heavy: Path):
    with simulated_board(PARAMS, 32) as port:
        board = ("--engine", "board", "--port", port, "--baud", BAUD)
        line = fails(2, "run", heavy, "--array", "4x4", *board)
        assert re.fullmatch(r"the program needs (8\d) KiB of external memory, and there are 32 KiB", line)
        line = fails(2, "run", "digits", "--array", "8x4", *board)
        assert re.fullmatch(r"the program is for 8x4, fingerprint [0-9a-f]{16}; the accelerator's is [0-9a-f]{16}", line)


def test_unplugged(fails: Fails):
    with simulated_board(PARAMS, 32, unplug=150) as port:
        line = fails(5, *RUN, "--port", port, "--baud", BAUD)
    assert line == f"stopped: {port}: the port is gone; was it unplugged?"


def test_nothing_answers(fails: Fails):
    master, slave = os.openpty()
    port = os.ttyname(slave)
    line = fails(2, *RUN, "--port", port, "--baud", 115200)
    assert line.startswith(f"{port}: nothing answers at 115200 baud; is the board configured")

    def echo() -> None:
        try:
            while data := os.read(master, 1000):
                os.write(master, data)
        except OSError:
            pass

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    assert "nothing answers" in fails(2, *RUN, "--port", port, "--baud", 115200)
    os.close(slave)
    thread.join()
    os.close(master)


def test_no_such_port(fails: Fails):
    assert fails(2, *RUN, "--port", "/dev/nothing") == "cannot open /dev/nothing: no such file or directory"
    assert fails(2, *RUN, "--port", "/dev/null").startswith("cannot open /dev/null: it is no serial port")


def test_bad_usage(fails: Fails):
    assert fails(2, *RUN).startswith("--engine board: needs --port, such as --port /dev/ttyUSB0 (see '")
    assert "--engine board" in fails(2, "run", "digits", "--array", "4x4", "--port", "/dev/null")
    assert "--engine board" in fails(2, "run", "digits", "--array", "4x4", "--baud", "9600")
    assert "--latency" in fails(2, *RUN, "--port", "/dev/null", "--latency", "3")
    assert "--bandwidth" in fails(2, *RUN, "--port", "/dev/null", "--bandwidth", "50")
