"""Places of multiplier blocks: each once, in the order of the array."""

from itertools import pairwise

import pytest
from tilewright.hw.synth import DEVICES
from tilewright.hw.synth.floorplan import block_sites

SITES = DEVICES["LFE5U-85F-6BG381C"].sites
PLACE = {site: (x, y) for y, row in enumerate(SITES) for x, site in enumerate(row)}


def element(row: int, col: int) -> str:
    return f"board.array.multiplier_{row}_{col}.block"


def test_an_ecp5s_sites() -> None:
    """The numbers of the data sheet's table of devices."""
    assert [len(row) for row in SITES] == [52, 52, 52] and len(PLACE) == 156
    (row,) = DEVICES["LFE5U-25F-6BG381C"].sites
    assert len(set(row)) == 28


@pytest.mark.parametrize(("rows", "cols", "lanes"), [(16, 8, 4), (8, 8, 8), (4, 16, 1), (16, 5, 16), (1, 1, 0), (9, 10, 16)])
def test_every_block_has_a_site_of_its_own(rows: int, cols: int, lanes: int) -> None:
    elements = {element(row, col): (row, col) for row in range(rows) for col in range(cols)}
    others = [f"board.lane_{lane}.multiplier_{part}.block" for lane in range(lanes) for part in ("ll", "lh", "hl", "hh")]
    chosen = block_sites([*elements, *others], "board.array", SITES)
    assert set(chosen) == {*elements, *others}
    assert len(set(chosen.values())) == len(chosen) and set(chosen.values()) <= set(PLACE)
    bands = {name: PLACE[chosen[name]][1] for name in elements}
    spans = [{bands[element(row, col)] for col in range(cols)} for row in range(rows)]
    assert all(max(above) <= min(below) + 1 for above, below in pairwise(spans))
    for (name, (row, _)), (other, (row_other, _)) in pairwise(elements.items()):
        if bands[name] == bands[other] and row == row_other:
            assert PLACE[chosen[name]][0] < PLACE[chosen[other]][0]


def test_more_blocks_than_sites() -> None:
    with pytest.raises(ValueError, match=r"^157 multiplier blocks do not fit into 156$"):
        block_sites([element(row, 0) for row in range(157)], "board.array", SITES)


def test_no_blocks() -> None:
    assert block_sites([], "board.array", SITES) == {}


@pytest.mark.parametrize(("blocks", "rows"), [(1, {2}), (46, {2}), (47, {1, 2}), (93, {1, 2}), (94, {0, 1, 2}), (156, {0, 1, 2})])
def test_rows_of_blocks_are_not_filled_up(blocks: int, rows: set[int]) -> None:
    chosen = block_sites([element(0, col) for col in range(blocks)], "board.array", SITES)
    assert {PLACE[site][1] for site in chosen.values()} == rows
