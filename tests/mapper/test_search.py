"""The search for tilings, and the bounds that it goes by."""

import pytest
from tilewright.examples.digits import MODEL
from tilewright.hw.params import parse_array
from tilewright.mapper import search as module
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.cycles import predict


@pytest.mark.parametrize("array", ["4x4", "8x8", "16x16", "16x4", "4x32"])
def test_no_layer_takes_less_than_its_bound(array):
    compilation = compile_steps(read_tflite(MODEL), parse_array(array))
    completions = predict(compilation.program).completions
    finished, bounds = 0, 0
    for layer in compilation.program.layers:
        if layer.last_instruction is not None:
            cycles = completions[layer.last_instruction] - finished
            finished = completions[layer.last_instruction]
            assert 0 < layer.bound_cycles <= cycles, layer
            bounds += layer.bound_cycles
    assert bounds > 0


@pytest.mark.parametrize("array", ["4x4", "16x16"])
def test_what_is_kept_is_shorter(array, monkeypatch):
    graph, params = read_tflite(MODEL), parse_array(array)
    found = compile_steps(graph, params).program
    assert compile_steps(graph, params).program == found
    monkeypatch.setattr(module, "TRIALS", 0)
    assert predict(found).total <= predict(compile_steps(graph, params).program).total


def test_a_bad_first_choice_is_mended(monkeypatch):
    graph, params = read_tflite(MODEL), parse_array("8x8")
    best = predict(compile_steps(graph, params).program).total
    estimate = module.tile

    def spoiled(network, params):
        """The costliest tiling for the first layer."""
        layer = network.layers[0]
        worst = max(module.candidates(layer, params), key=lambda tiling: (module.cost(layer, tiling, params, set()), tiling))
        return estimate(network, params) | {layer.name: worst}

    monkeypatch.setattr(module, "tile", spoiled)
    mended = predict(compile_steps(graph, params).program).total
    monkeypatch.setattr(module, "TRIALS", 0)
    assert best <= mended < predict(compile_steps(graph, params).program).total
