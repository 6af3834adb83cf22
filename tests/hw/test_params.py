"""Parameters: what is legal, what the fingerprint depends on, and how the multiplier blocks are shared."""

from dataclasses import replace

import pytest
from tilewright.hw.params import Parameters, parse_array

EIGHT = parse_array("8x8")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "spartan"}, "target: 'spartan' is not one of generic, ecp5, ice40, gowin"),
        ({"memory": "sdram"}, "memory: 'sdram' is not one of axi, spram, bram"),
        ({"memory": "spram"}, "rows: 8 with memory spram, which goes with 4 alone"),
        ({"dsp_blocks": 3}, "dsp_blocks: 3 with target generic, which has none"),
        ({"target": "ecp5", "dsp_blocks": 31}, "dsp_blocks: 31 is less than the 33 that 8 lanes and pools take"),
        ({"lanes": 3}, "lanes: 3 is not one of 2, 4, 8"),
        ({"pixel_buses": 5}, "pixel_buses: 5 is not one of 4, 3, 2"),
        ({"pixel_buses": 2, "depthwise": False}, "pixel_buses: 2 is not one of 4"),
        ({"lanes": 4}, "pooling: needs a lane for each column, not 4 lanes for 8 columns"),
        (
            {"target": "ecp5", "dsp_blocks": 15, "lanes": 4, "pooling": False},
            "dsp_blocks: 15 is less than the 16 that 4 lanes and pools take",
        ),
        ({"target": "ecp5", "dsp_blocks": -1}, "dsp_blocks: -1 is not 0 to 4096"),
        ({"target": "ecp5", "dsp_blocks": True}, "dsp_blocks: True is not 0 to 4096"),
    ],
)
def test_illegal_values(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(EIGHT, **settings)


def test_the_fingerprint_tells_programs_apart() -> None:
    """A program runs on the same array whatever its multipliers are made of."""
    assert replace(EIGHT, target="ecp5", dsp_blocks=96).fingerprint == EIGHT.fingerprint
    bare = replace(EIGHT, pooling=False)
    others = [
        replace(EIGHT, activation_kib=64), replace(EIGHT, pixel_buses=3), bare, replace(bare, lanes=4), parse_array("8x16"),
        parse_array("16x8"),
    ]  # fmt: skip
    assert len({EIGHT.fingerprint, *(params.fingerprint for params in others)}) == 7


def test_later_parameters_changed_no_fingerprint() -> None:
    """Programs from before there was a choice of memories, lanes and pixel buses still run."""
    assert parse_array("4x4").fingerprint == 0xF94D07329926F795
    assert EIGHT.fingerprint == 0x0A956DD997AF6C22
    settings = {"activation_kib": 64, "accumulator_depth": 128, "packed": False, "residual": False, "pooling": False}
    common = replace(parse_array("4x4"), **settings)
    compact = replace(common, memory="spram")
    assert compact.compact and not common.compact
    assert compact.fingerprint != common.fingerprint
    with pytest.raises(ValueError, match="packed: True with memory spram"):
        replace(compact, packed=True)


def test_sizes_of_the_compact_accelerator() -> None:
    settings = {"accumulator_depth": 128, "packed": False, "residual": False, "pooling": False, "activation_kib": 32}
    small = replace(parse_array("4x4"), memory="bram", **settings)
    large = replace(small, memory="spram", activation_kib=64)
    assert (small.program_kib, small.bank_words, large.program_kib, large.bank_words) == (40, 2048, 64, 4096)
    assert small.fingerprint != large.fingerprint
    assert replace(large, target="ice40", dsp_blocks=8).array_blocks == 16  # no lanes in blocks
    assert replace(small, lanes=2, target="gowin", dsp_blocks=12).array_blocks == 8
    with pytest.raises(ValueError, match="activation_kib: 64 with memory bram, which goes with 32 alone"):
        replace(small, activation_kib=64)
    eight = {"rows": 8, "cols": 8, "lanes": 8, "axi_bits": 64, "activation_kib": 24}
    assert (replace(small, **eight).program_kib, replace(small, **eight).bank_words) == (40, 768)
    larger = replace(small, **eight | {"activation_kib": 28, "lanes": 4})
    assert (larger.program_kib, larger.bank_words, larger.parts) == (56, 896, 2)
    with pytest.raises(ValueError, match="activation_kib: 32 with memory bram, which goes with 24 or 28 alone"):
        replace(larger, activation_kib=32)
    with pytest.raises(ValueError, match="lanes: 2 with memory spram, which goes with 4 alone"):
        replace(large, lanes=2)
    with pytest.raises(ValueError, match="rows: 8 with memory spram, which goes with 4 alone"):
        replace(large, **eight)
    with pytest.raises(ValueError, match="rows: 16 with memory bram, which goes with 4 or 8 alone"):
        replace(small, **eight | {"rows": 16})
    with pytest.raises(ValueError, match="cols: 4 with memory bram, which goes with 8 alone"):
        replace(small, **eight | {"cols": 4, "lanes": 4})
    with pytest.raises(ValueError, match="activation_kib: 24 is not one of"):
        Parameters(rows=8, cols=8, activation_kib=24)


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({}, 4),
        ({"packed": False, "pixel_buses": 2}, 2),
        ({"packed": True, "pixel_buses": 2}, 4),
        ({"packed": False, "depthwise": False}, 2),
        ({"packed": False, "depthwise": False, "residual": False}, 1),
    ],
)
def test_read_ports(settings: dict, ports: int) -> None:
    assert replace(EIGHT, **settings).read_ports == ports


def test_json() -> None:
    params = replace(EIGHT, target="gowin", dsp_blocks=48)
    assert Parameters.from_json(params.to_json()) == params
    assert Parameters.from_json('{"rows": 8, "cols": 8}') == EIGHT


@pytest.mark.parametrize(
    ("target", "dsp_blocks", "products"),
    [("generic", 0, 0), ("ecp5", 33, 0), ("ecp5", 41, 8), ("ecp5", 156, 64), ("ice40", 8, 16), ("gowin", 48, 30)],
)
def test_products_in_blocks(target: str, dsp_blocks: int, products: int) -> None:
    """ECP5 has one 8 x 8 bit product in a block, the others two; lanes take four blocks each, pools one, and none on iCE40."""
    assert replace(EIGHT, target=target, dsp_blocks=dsp_blocks).array_blocks == products


def test_fewer_lanes_leave_blocks_to_the_array() -> None:
    half = replace(EIGHT, target="ecp5", dsp_blocks=41, lanes=4, pooling=False)
    assert (half.parts, half.array_blocks) == (2, 25)
