"""ONNX models on the command line."""

import json

import numpy as np
import pytest

from ..onnx_models import QdqBuilder


@pytest.fixture
def model(tmp_path):
    builder = QdqBuilder()
    source = builder.activation(("batch", 3, 6, 6), 0.05, 3)
    weights = builder.weights(np.arange(-54, 54).reshape(4, 3, 3, 3).astype(np.int8), 0.02)
    image = builder.quantized(builder.node("Conv", source, weights), 0.2, -128)
    path = tmp_path / "net.onnx"
    path.write_bytes(builder.build(builder.quantized(builder.node("Softmax", image, axis=1), 1 / 256, -128)))
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(0, 3, (1, 3, 6, 6)).astype(np.float32))
    return path


def test_check_and_the_difference_to_onnx_runtime(tilewright, model, tmp_path):
    result = tilewright("check", model, "--reference", "--json", "r.json")
    assert result.exit_code == 0, result.output
    assert "open batch" in result.output and "Difference to ONNX Runtime" in result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["runs"] and {row["op"] for row in report["layers"]} >= {"CONV_2D", "SOFTMAX"}
    reference = report["reference"]
    assert reference["cases"] == 2 and all(row["largest"] <= 1 for row in reference["operators"])
    assert reference["network"][0]["elements"] == 2 * 4 * 16 and reference["network"][0]["largest"] <= 1


def test_the_cases_of_a_file_are_measured(tilewright, model, tmp_path):
    assert tilewright("check", model, "--reference", "--cases", "x.npy", "--json", "r.json").exit_code == 0
    assert json.loads((tmp_path / "r.json").read_text())["reference"]["cases"] == 1


def test_compile_and_run(tilewright, model, tmp_path):
    result = tilewright("run", model, "--array", "4x4", "--engine", "golden", "--input", "x.npy", "--output", "y.npz")
    assert result.exit_code == 0, result.output
    assert tilewright("compile", model, "--array", "4x4", "-o", "out").exit_code == 0
    again = tilewright("run", "out/net.twp", "--engine", "golden", "--input", "x.npy", "--output", "z.npz")
    assert again.exit_code == 0, again.output
    with np.load(tmp_path / "y.npz") as first, np.load(tmp_path / "z.npz") as second:
        assert first["output_0"].shape == (1, 4, 4, 4) and first["output_0"].dtype == np.float32
        np.testing.assert_array_equal(first["output_0"], second["output_0"])


def test_random_inputs_reach_as_far_as_the_quantization(tilewright, model, tmp_path):
    result = tilewright("run", model, "--array", "4x4", "--engine", "golden", "--output", "y.npz")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "y.npz") as answer:
        assert np.unique(answer["output_0"]).size > 3


def test_what_is_refused(fails, tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"no model at all")
    assert "not an ONNX model" in fails(2, "check", "damaged.onnx")
    assert "is no .onnx file" in fails(2, "check", "digits", "--reference")
    assert "--cases" in fails(2, "check", "digits", "--cases", "x.npy")
    builder = QdqBuilder()
    odd = builder.node("LRN", builder.activation((1, 3, 6, 6), 0.05), size=3)
    (tmp_path / "odd.onnx").write_bytes(builder.build(builder.quantized(odd, 0.1)))
    assert "unsupported: LRN at operator 2" in fails(3, "run", "odd.onnx", "--array", "4x4", "--engine", "golden")
    assert fails(3, "check", "odd.onnx").startswith("unsupported: LRN at")


def test_without_onnxruntime(fails, model, monkeypatch):
    monkeypatch.setattr("tilewright.cli.reference.has_onnxruntime", lambda: False)
    assert "onnxruntime is not installed" in fails(2, "check", model, "--reference")
