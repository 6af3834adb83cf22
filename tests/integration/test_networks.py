"""Whole networks in RTL: every tensor equal to LiteRT's reference kernels, within the cycles that the design promises."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tilewright.cli.report import make_report
from tilewright.cli.session import Session
from tilewright.examples.digits import CASES, MODEL
from tilewright.hw.params import parse_array
from tilewright.hw.presets import find_preset
from tilewright.mapper.tflite import read_tflite

from ..models import reference_tensors

pytestmark = pytest.mark.slow

TARGETS = {
    "16x16": (55_000, 48_000, 15_000, 18_500, 6_500),
    "8x8": (215_000, 150_000, 53_000, 36_000, 18_000),
}
MODELS = ("ic_resnet8", "vww_mobilenet_v1_025", "kws_dscnn", "ad_autoencoder", "sww_streaming")


def check(model: Path, array: str, image: np.ndarray | None, fuse: bool = True, **settings: str | int):
    """Run the model in RTL on one input (a random one if None), on an array with `settings`: every tensor and every layer's
    cycles as predicted.

    Returns its report.
    """
    graph = read_tflite(model)
    name = graph.inputs[0]
    shape = graph.tensors[name].shape
    if image is None:
        image = np.random.default_rng(5).integers(-128, 128, shape).astype(np.int8)
    session = Session(graph, replace(parse_array(array), **settings), fuse=fuse)
    case = session.rtl({name: image.reshape(shape)})
    reference = dict(zip(graph.tensors, reference_tensors(str(model), [image.reshape(shape)]), strict=True))
    for output in graph.outputs:
        np.testing.assert_array_equal(case.values[output], reference[output])
    report = make_report(session, "rtl", [case])
    assert report.mismatches == 0, report.mismatched_tensors
    assert report.cycles == report.counted_cycles == sum((report.counters or {}).values())
    assert {row.op for row in report.layers if row.where == "host"} <= {"SOFTMAX", "RESHAPE"}
    for row in report.layers:
        assert row.cycles == row.predicted_cycles, row
    assert report.cycles == report.predicted_cycles
    assert report.counters == session.prediction.counters
    return report


@pytest.mark.parametrize(("board", "most"), [("icebreaker", 500_000), ("tang-primer-20k", 140_000), ("orangecrab-25f", 140_000)])
def test_compact(outside_model, board, most):
    """Keyword spotting where nothing is but the chip's own memories."""
    settings = asdict(find_preset(board).params)
    array = f"{settings.pop('rows')}x{settings.pop('cols')}"
    with np.load(outside_model("mlperf_tiny_kws_dscnn.cases.npz")) as cases:
        image = cases["input"][0]
    report = check(outside_model("mlperf_tiny_kws_dscnn.tflite"), array, image, **settings)
    assert report.cycles is not None and report.cycles <= most


@pytest.mark.parametrize(
    ("array", "model", "target"),
    [(array, model, target) for array, targets in TARGETS.items() for model, target in zip(MODELS, targets, strict=True)],
)
def test_mlperf_tiny(outside_model, array, model, target):
    with np.load(outside_model(f"mlperf_tiny_{model}.cases.npz")) as cases:
        image = cases["input"][0]
    report = check(outside_model(f"mlperf_tiny_{model}.tflite"), array, image)
    assert report.cycles is not None and report.cycles <= target


@pytest.mark.parametrize("array", ["8x16", "4x32"])
@pytest.mark.parametrize("model", ["ic_resnet8", "kws_dscnn"])
def test_unequal_arrays(outside_model, array, model):
    check(outside_model(f"mlperf_tiny_{model}.tflite"), array, None)


@pytest.mark.parametrize("array", ["16x16", "8x8"])
def test_without_fusion(outside_model, array):
    check(outside_model("mlperf_tiny_ic_resnet8.tflite"), array, None, fuse=False)


@pytest.mark.parametrize("array", ["16x16", "8x8", "8x16", "4x32"])
def test_digits(array):
    with np.load(CASES) as cases:
        check(MODEL, array, cases["input"][3])


@pytest.mark.parametrize(("target", "dsp_blocks"), [("ecp5", 24), ("ice40", 5), ("gowin", 20)])
def test_digits_on_the_multipliers_of_a_device(target, dsp_blocks):
    """Some products in blocks, some in logic, in simulation on the models of the blocks."""
    with np.load(CASES) as cases:
        report = check(MODEL, "4x4", cases["input"][3], target=target, dsp_blocks=dsp_blocks)
        plain = check(MODEL, "4x4", cases["input"][3])
    assert report.cycles == plain.cycles
