"""Tilings: every candidate is legal, the choice is the cheapest and always the same."""

import pytest
from tilewright.hw.params import Parameters
from tilewright.mapper.legalize import legalize
from tilewright.mapper.tiling import candidates, compute_cycles, cost, fetch_vectors, passes, rectangles, tile
from tilewright.mapper.verify_layers import verify_tilings

from .networks import SAME, NetworkBuilder


def network_of(build, params):
    builder = NetworkBuilder()
    return legalize(builder.graph(build(builder)), params).networks[0]


LAYERS = {
    "dense": lambda b: b.conv(b.input(1, 33, 29, 5), 9, (3, 2)),
    "pointwise": lambda b: b.conv(b.input(1, 33, 29, 5), 9, 1),
    "wide": lambda b: b.conv(b.input(1, 3, 300, 3), 9, 3),
    "depthwise": lambda b: b.depthwise(b.input(1, 33, 29, 5), (7, 5)),
    "dilated": lambda b: b.depthwise(b.input(2, 33, 29, 5), 3, dilation=(2, 3)),
    "average": lambda b: b.average(b.input(1, 33, 29, 5), 5, padding=SAME),
    "maximum": lambda b: b.maximum(b.input(1, 33, 29, 5), (2, 3), padding=SAME),
}


@pytest.mark.parametrize("size", [(4, 4), (8, 32), (32, 8), (16, 16)])
@pytest.mark.parametrize("name", LAYERS)
def test_candidates_are_legal_and_the_cheapest_is_taken(name, size):
    params = Parameters(rows=size[0], cols=size[1], accumulator_depth=64)
    network = network_of(LAYERS[name], params)
    (layer,) = network.layers
    found = candidates(layer, params)
    for candidate in found:
        verify_tilings(network, {layer.name: candidate}, params)
        for part in rectangles(layer, candidate):
            assert passes(layer, candidate, params) == 1 or part.rows * part.columns <= 64
            macs_done = compute_cycles(layer, candidate, part, params) * params.rows * params.cols
            kernel = layer.kernel[0] * layer.kernel[1]
            assert macs_done >= part.rows * part.columns * kernel * layer.outputs
    loaded = {layer.input}
    chosen = tile(network, params)[layer.name]
    assert cost(layer, chosen, params, loaded) == min(cost(layer, other, params, loaded) for other in found)
    assert tile(network, params) == tile(network_of(LAYERS[name], params), params)


@pytest.mark.parametrize(("kernel", "rows", "best"), [((3, 3), 16, 1), ((3, 3), 8, 2), ((3, 3), 4, 3), ((5, 5), 16, 2)])
def test_depthwise_groups_kernel_rows(kernel, rows, best):
    params = Parameters(rows=rows, cols=8)
    network = network_of(lambda b: b.depthwise(b.input(1, 12, 12, 8), kernel), params)
    (layer,) = network.layers
    assert passes(layer, tile(network, params)[layer.name], params) == best


def test_weights_are_counted_as_the_stream_holds_them():
    params = Parameters(rows=8, cols=8)
    network = network_of(lambda b: b.conv(b.input(1, 6, 6, 11), 17, 3), params)
    (layer,) = network.layers
    assert fetch_vectors(layer, candidates(layer, params)[0], params) == 3 * (9 + 9 * 11)


def test_first_band_is_small_where_it_waits_for_a_load():
    params = Parameters(rows=16, cols=16)
    network = network_of(lambda b: b.conv(b.input(1, 32, 32, 3), 16, 3), params)
    bands = tile(network, params)["0:CONV_2D"].bands
    assert bands[0] < 8 and sum(bands) == 32


def test_rows_too_long_for_the_fields_are_split():
    params = Parameters(rows=4, cols=4, activation_kib=256)
    network = network_of(lambda b: b.depthwise(b.input(1, 1, 2000, 1), (1, 3)), params)
    (layer,) = network.layers
    # One pass needs no accumulator.
    assert max(candidate.columns for candidate in candidates(layer, params)) == 2000
    network = network_of(lambda b: b.conv(b.input(1, 1, 2000, 1), 2, (1, 3)), params)
    (layer,) = network.layers
    assert all(candidate.columns <= 512 for candidate in candidates(layer, params))
