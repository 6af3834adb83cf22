"""`run` on the generated Verilog. One build, of the smallest array."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tilewright.cli import session
from tilewright.examples import digits
from tilewright.hw.isa import Base
from tilewright.sim.rtl import Faults

from .conftest import Tilewright

CASES = np.load(digits.CASES)
RTL = ["run", "digits", "--array", "4x4"]


def test_digits(tilewright: Tilewright):
    np.save("x.npy", CASES["input"][:2])
    result = tilewright(*RTL, "--input", "x.npy", "--output", "y.npz", "--json", "r.json")
    assert result.exit_code == 0, result.output
    assert "0 mismatches in 2 cases" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    np.testing.assert_array_equal(np.load("y.npz")["output_0"], CASES["output_0"][:2])
    report = json.loads(Path("r.json").read_text())
    assert report["mismatches"] == 0
    assert report["cycles"] == report["counted_cycles"] == sum(report["counters"].values())
    layers = report["layers"]
    assert report["start_cycles"] + sum(layer["cycles"] for layer in layers) + report["end_cycles"] == report["cycles"]
    assert report["predicted_cycles"] == pytest.approx(report["cycles"], rel=0.05)
    assert report["simulated_cycles_per_second"] > 1000
    tilewright("generate", "--array", "4x4", "-o", "out")
    assert json.loads(Path("out/tilewright.json").read_text())["verilog_sha256"] == report["verilog_sha256"]


def test_unfused(tilewright: Tilewright):
    result = tilewright(*RTL, "--no-fuse", "--json", "r.json")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("r.json").read_text())["layers"][4]["fused_into"] is None


def test_mismatch(fails: Callable[..., str], tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch):
    """The accelerator's memory is wrong in one place of the output."""
    simulate = session.simulate

    def wrong(memory: bytes, bases: dict[Base, int], *arguments: Any, **options: Any) -> Any:
        run = simulate(memory, bases, *arguments, **options)
        altered = bytearray(run.memory)
        altered[bases[Base.OUTPUT] + 7] ^= 4
        object.__setattr__(run, "memory", bytes(altered))
        return run

    monkeypatch.setattr(session, "simulate", wrong)
    assert fails(4, *RTL) == "mismatch: 1 elements differ"
    assert "RTL against interpreter: logits: 1 elements" in tilewright(*RTL).stderr


def test_takes_too_long(fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session, "_LIMIT", 0.5)
    assert fails(5, *RTL).startswith("stopped: not done after ")


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(mute=3000), "no engine made progress (NO_PROGRESS)"),
        (Faults(reads=range(0, 64)), "external memory answered an instruction fetch with an error (FETCH_BUS)"),
    ],
)
def test_memory_that_fails(
    fails: Callable[..., str], tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch, faults: Faults, reason: str
):
    monkeypatch.setattr(session, "simulate", functools.partial(session.simulate, faults=faults))
    assert fails(5, *RTL, "--json", "r.json").startswith(f"stopped: {reason}")
    assert "at instruction" in tilewright(*RTL).stderr
    assert not Path("r.json").exists()
