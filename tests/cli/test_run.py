"""`run` on the engines that need no simulator; the RTL has its own tests."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tilewright.examples import digits
from tilewright.hw.presets import PRESETS

from ..models import reference_tensors
from .conftest import Tilewright

CASES = np.load(digits.CASES)
KEYS = (
    "model", "array", "engine", "verilog_sha256", "cycles", "predicted_cycles", "macs", "utilization", "mismatches",
    "simulated_cycles_per_second", "counters", "layers",
)  # fmt: skip
COUNTERS = ["active", "wait_weights", "wait_input", "wait_output", "wait_tokens", "idle"]
LAYER_KEYS = ["name", "op", "where", "output", "macs", "cycles", "predicted_cycles", "bound_cycles", "utilization", "fused_into"]


def run(tilewright: Tilewright, *arguments: object) -> dict:
    result = tilewright("run", *arguments, "--json", "r.json")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 100
    return json.loads(Path("r.json").read_text())


def test_golden(tilewright: Tilewright):
    report = run(tilewright, "digits", "--array", "4x8", "--engine", "golden")
    assert set(KEYS) <= set(report)
    assert report["model"] == "digits"
    assert report["array"] == [4, 8]
    assert report["engine"] == "golden"
    assert report["mismatches"] == 0
    assert report["cycles"] is None
    assert report["predicted_cycles"] > 0
    assert report["macs"] == 316_048


def test_what_does_not_fit_runs_without_the_accelerator(tilewright: Tilewright):
    Path("small.json").write_text('{"rows": 8, "cols": 8, "activation_kib": 4}')
    refused = tilewright("run", "digits", "--config", "small.json", "--engine", "cycles")
    assert refused.exit_code == 3
    assert "there are 4" in refused.stderr
    np.save("five.npy", CASES["input"][5:6])
    report = run(tilewright, "digits", "--config", "small.json", "--engine", "golden", "--input", "five.npy", "--output", "y.npz")
    assert {layer["where"] for layer in report["layers"]} == {"host"}
    assert np.load("y.npz")["output_0"].ravel().tolist() == CASES["output_0"][5].ravel().tolist()


def test_cycles(tilewright: Tilewright):
    report = run(tilewright, "digits", "--array", "16x16", "--engine", "cycles")
    assert report["mismatches"] is None
    assert report["cycles"] == report["predicted_cycles"]
    assert list(report["counters"]) == COUNTERS
    assert sum(report["counters"].values()) == report["cycles"]
    layers = report["layers"]
    assert all(list(layer) == LAYER_KEYS for layer in layers)
    assert report["start_cycles"] + sum(layer["cycles"] for layer in layers) + report["end_cycles"] == report["cycles"]
    assert report["utilization"] == pytest.approx(report["macs"] / (256 * report["cycles"]))
    for layer in layers:
        if layer["cycles"]:
            assert layer["utilization"] == pytest.approx(layer["macs"] / (256 * layer["cycles"]))


def test_layers_are_the_models_operators(tilewright: Tilewright):
    report = run(tilewright, "digits", "--array", "16x16", "--engine", "cycles")
    names = [
        "CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "MAX_POOL_2D", "CONV_2D", "AVERAGE_POOL_2D",
        "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert [layer["op"] for layer in report["layers"]] == names
    assert [layer["op"] for layer in report["layers"] if layer["where"] == "host"] == ["SOFTMAX"]
    add = report["layers"][4]
    assert (add["fused_into"], add["cycles"]) == ("3:CONV_2D", 0)
    unfused = run(tilewright, "digits", "--array", "16x16", "--engine", "cycles", "--no-fuse")
    assert unfused["layers"][4]["fused_into"] is None
    assert unfused["layers"][4]["cycles"] > 0


def test_memory_options_cost_cycles(tilewright: Tilewright):
    target = ["digits", "--array", "16x16", "--engine", "cycles"]
    normal = run(tilewright, *target)["cycles"]
    assert run(tilewright, *target, "--latency", 200)["cycles"] > normal
    assert run(tilewright, *target, "--bandwidth", 20)["cycles"] > normal
    narrow = run(tilewright, *target, "--axi-bits", 32)
    assert narrow["cycles"] > normal
    assert narrow["memory"]["axi_bits"] == 32


def test_a_board_has_the_memory_of_its_bitstream(tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch):
    """Unless the user says otherwise; what does not fit into it is said."""
    board = ["digits", "--engine", "cycles", "--board", "ulx3s-25f"]
    memory = {"latency": 6, "write_latency": 2, "bandwidth": 100, "outstanding": 3, "turnover": 3, "axi_bits": 32}
    assert run(tilewright, *board)["memory"] == memory
    assert run(tilewright, *board, "--latency", 9)["memory"] == memory | {"latency": 9}
    assert "external memory;" not in tilewright("run", *board).output
    monkeypatch.setitem(PRESETS, "ulx3s-25f", replace(PRESETS["ulx3s-25f"], memory_kib=8))
    assert "KiB of external memory; the bitstream of ulx3s-25f has 8 KiB." in tilewright("run", *board).output


def test_one_case(tilewright: Tilewright):
    np.save("x.npy", CASES["input"][3:4])
    run(tilewright, "digits", "--array", "4x4", "--engine", "golden", "--input", "x.npy", "--output", "y.npz")
    with np.load("y.npz") as answers:
        assert answers.files == ["output_0"]
        assert answers["output_0"].dtype == np.int8
        np.testing.assert_array_equal(answers["output_0"], CASES["output_0"][3:4])


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("added", [False, True])
def test_several_cases_keep_their_axis(tilewright: Tilewright, name: str, added: bool):
    images, expected = CASES["input"], CASES["output_0"]
    if added:
        images, expected = images[:, np.newaxis], expected[:, np.newaxis]
    np.save(name, images) if name.endswith("npy") else np.savez(name, input_0=images)
    report = run(tilewright, "digits", "--array", "4x4", "--engine", "golden", "--input", name, "--output", "y.npz")
    assert report["cases"] == 10
    np.testing.assert_array_equal(np.load("y.npz")["output_0"], expected)


def test_the_cases_that_ship_are_an_input(tilewright: Tilewright):
    run(tilewright, "digits", "--array", "4x4", "--engine", "golden", "--input", digits.CASES, "--output", "y.npz")
    np.testing.assert_array_equal(np.load("y.npz")["output_0"], CASES["output_0"])


def test_a_random_input_is_always_the_same(tilewright: Tilewright):
    for name in ("a.npz", "b.npz"):
        run(tilewright, "digits", "--array", "4x4", "--engine", "golden", "--output", name)
    np.testing.assert_array_equal(np.load("a.npz")["output_0"], np.load("b.npz")["output_0"])


def test_two_inputs(tilewright: Tilewright, two_inputs: Path):
    random = np.random.default_rng(5)
    cases = random.integers(-128, 128, (2, 3, 1, 4, 4, 8), np.int8)
    np.savez("x.npz", input_0=cases[0], input_1=cases[1])
    run(tilewright, two_inputs, "--array", "4x4", "--engine", "golden", "--input", "x.npz", "--output", "y.npz")
    expected = [reference_tensors(str(two_inputs), list(case))[2] for case in cases.swapaxes(0, 1)]
    np.testing.assert_array_equal(np.load("y.npz")["output_0"], np.stack(expected))


def test_a_program_needs_no_target(tilewright: Tilewright):
    tilewright("compile", "digits", "--array", "8x4", "-o", "out")
    program = ["out/digits.twp", "--engine", "golden", "--input", digits.CASES, "--output", "y.npz"]
    report = run(tilewright, *program)
    assert report["array"] == [8, 4]
    np.testing.assert_array_equal(np.load("y.npz")["output_0"], CASES["output_0"])
    assert run(tilewright, *program, "--array", "8x4") == report


def test_config_is_an_array_with_other_sizes(tilewright: Tilewright):
    Path("target.json").write_text('{"rows": 8, "cols": 8, "activation_kib": 16, "accumulator_depth": 64}')
    report = run(tilewright, "digits", "--config", "target.json", "--engine", "golden")
    assert report["array"] == [8, 8]
    assert report["mismatches"] == 0


def test_files_of_another_kind_are_written_directly(tilewright: Tilewright, tmp_path: Path):
    result = tilewright("run", "digits", "--array", "4x4", "--engine", "cycles", "--json", "/dev/null")
    assert result.exit_code == 0
    assert not list(tmp_path.iterdir())
