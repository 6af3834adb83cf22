"""Allocation: no byte of the memory holds two images at one time, the peak is low, and what does not fit is refused."""

import numpy as np
import pytest
from tilewright.hw.params import BANKS, Parameters
from tilewright.mapper.allocate import Place, allocate, verify_allocation
from tilewright.mapper.banks import choose_banks
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.fuse import fuse
from tilewright.mapper.legalize import legalize
from tilewright.mapper.tiling import tile

from .networks import NetworkBuilder, random_graph


def allocated(graph, params):
    network = fuse(legalize(graph, params).networks[0])
    return network, allocate(network, choose_banks(network, tile(network, params)), params)


def units_of(image, place, params):
    """Unit numbers (bank, unit) of an image, pixel by pixel from the contract."""
    blocks = -(-image.channels // params.vector) * params.units
    return {
        (
            (place.bank + y) % BANKS,
            place.address + ((place.bank + y) >> 2) * place.row_step + x * place.x_step + block,
        )
        for y in range(image.rows)
        for x in range(image.width)
        for block in range(blocks)
    }


@pytest.mark.parametrize("seed", range(40))
def test_no_two_live_images_overlap(seed):
    graph, params = random_graph(seed)
    try:
        network, allocation = allocated(graph, params)
    except UnsupportedError:
        pytest.skip("does not fit")
    verify_allocation(network, allocation, params)
    units = {name: units_of(image, allocation.places[name], params) for name, image in network.images.items()}
    size = params.bank_words * params.units
    assert all(0 <= unit < size for places in units.values() for _, unit in places)
    assert allocation.peak == max(unit + 1 for places in units.values() for _, unit in places)
    live: set[str] = set()
    last = {name: index for index, step in enumerate(network.steps) for name in (*step.reads, step.output)}
    for index, step in enumerate(network.steps):
        dying = {name for name in live if last[name] == index}
        if step.output is not None:
            for other in live:
                if units[other] & units[step.output]:
                    # In place: of a layer's operand that nothing reads later, in the very same layout.
                    assert other in dying and other in step.reads
                    assert allocation.places[other] == allocation.places[step.output]
                    assert network.images[other].layout == network.images[step.output].layout
            live.add(step.output)
        live -= {name for name in live if last[name] == index}


def test_residual_is_added_in_place():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 8, 8, 16), 16, 3)
    graph = builder.graph(builder.add(builder.conv(builder.conv(image, 16, 3), 16, 3), image))
    params = Parameters(rows=16, cols=16)
    _, allocation = allocated(graph, params)
    assert allocation.kib(params) == 2


def test_extent_counts_the_rows_of_a_bank():
    place = Place(address=100, bank=3, row_step=10, x_step=1)
    assert [place.row(row) for row in (-1, 0, 1, 5)] == [(2, 100), (3, 100), (0, 110), (0, 120)]
    assert [place.extent(bank, 6) for bank in range(BANKS)] == [(110, 130), (110, 120), (110, 120), (100, 120)]
    assert [place.extent(bank, 1) for bank in range(BANKS)] == [(0, 0), (0, 0), (0, 0), (100, 110)]


def test_too_large_is_refused_with_numbers():
    builder = NetworkBuilder()
    graph = builder.graph(builder.conv(builder.input(1, 64, 64, 16), 16, 3))
    with pytest.raises(UnsupportedError, match=r"CONV_2D at 0:CONV_2D: .*128 KiB on chip, and there are 64") as caught:
        compile_steps(graph, Parameters(rows=16, cols=16, activation_kib=64))
    assert "activation_kib" in caught.value.hint


def test_long_chain_needs_two_images_at_a_time():
    builder = NetworkBuilder()
    image = builder.input(1, 8, 8, 8)
    for _ in range(10):
        image = builder.conv(image, 8, 3)
    params = Parameters(rows=8, cols=8)
    _, allocation = allocated(builder.graph(image), params)
    assert allocation.kib(params) == 1
    assert np.unique([place.address for place in allocation.places.values()]).size == 2
