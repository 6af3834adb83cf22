"""Small models of many families: every tensor equal to LiteRT's, every operator where it belongs, and all of it in RTL."""

import numpy as np
import pytest
from tilewright.cli.report import make_report
from tilewright.cli.session import Session
from tilewright.hw.params import parse_array
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.hazards import find_hazards

from ..families import FAMILIES
from ..mapper.networks import compare, random_inputs
from ..quantized import assert_exact

HOST = {
    "speech": {"SOFTMAX"},
    "person": {"RESHAPE", "SOFTMAX"},
    "detector": set(),
    "resnet": set(),
    "unet_transposed": {"TRANSPOSE_CONV"},
    "unet_resized": set(),
    "yolo": set(),
    "efficient": {"MUL"},
    "sequence": set(),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_exact(name):
    graph = read_tflite(FAMILIES[name])
    for seed in range(2):
        assert_exact(FAMILIES[name], *random_inputs(graph, seed).values())
    compilation = compile_steps(graph, parse_array("8x8"))
    assert {operator.split(":")[1] for operator in compilation.host} == HOST[name], compilation.host
    assert find_hazards(compilation.program) == ()
    compare(graph, compilation.program, random_inputs(graph))
    values = [np.unique(array).size for array in random_inputs(graph).values()]
    assert min(values) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_rtl(name):
    graph = read_tflite(FAMILIES[name])
    session = Session(graph, parse_array("8x8"))
    report = make_report(session, "rtl", [session.rtl(random_inputs(graph))])
    assert report.mismatches == 0, report.mismatched_tensors
    assert report.cycles == pytest.approx(report.predicted_cycles, rel=0.01)
