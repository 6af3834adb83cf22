"""The accelerator's Verilog: what is not asked for is not there, and a larger array is not more modules."""

import re

import pytest
from tilewright.hw.compute import ComputeEngine
from tilewright.hw.generate import Generated, generate
from tilewright.hw.params import Parameters
from tilewright.hw.verilog import convert

WHOLE = Parameters(rows=4, cols=4)
LEAST = Parameters(rows=4, cols=4, depthwise=False, packed=False, residual=False, pooling=False)

# Names that only a feature brings to the compute engine.
FEATURES = {
    "depthwise": (r"pixel_ring_\d", r"pixel_skew_\d", r"\w*pixels\w*", "quiet", "gap_said", "former_group"),
    "packed": (r"window_\d", r"turned_\d_\d", r"gathered_\d", r"kept_\d", r"former_\d", "priming"),
    "residual": ("conflict", "res_bank", r"residual_delay\w*"),
}
ROW_BITS = {True: 12, False: 9}  # datum, swap, and with pixel buses the select


def _names(verilog: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", verilog))


def _modules(verilog: str) -> list[str]:
    return re.findall(r"^module (\w+)", verilog, re.MULTILINE)


def _memory_bits(verilog: str) -> int:
    memories = re.findall(r"^ *reg (?:\[(\d+):0\] )?\S+ \[(\d+):0\]", verilog, re.MULTILINE)
    return sum((int(width or 0) + 1) * (int(depth) + 1) for width, depth in memories)


@pytest.mark.parametrize("off", [(), *((name,) for name in FEATURES), tuple(FEATURES)], ids="+".join)
def test_engine_without_features(off: tuple[str, ...]) -> None:
    """A feature that is off leaves none of its names in the engine; those of the others stay."""
    verilog = convert(ComputeEngine(Parameters(rows=4, cols=4, **dict.fromkeys(off, False))), "compute_engine")
    names = _names(verilog)
    for feature, patterns in FEATURES.items():
        for pattern in patterns:
            found = [name for name in names if re.fullmatch(pattern, name)]
            assert bool(found) == (feature not in off), f"{pattern}: {found}"
    pe = verilog[verilog.index("module pe(") :]
    assert f"input [{ROW_BITS['depthwise' not in off] - 1}:0] row_i;" in pe
    assert ("pixels" in pe[: pe.index("endmodule")]) == ("depthwise" not in off)
    ports = 4 if {"depthwise", "packed"} - set(off) else 2 - ("residual" in off)
    assert len(set(re.findall(r"\bwords_\d", verilog[verilog.index("module compute_engine(") :]))) == ports


@pytest.fixture(scope="module")
def whole() -> Generated:
    return generate(WHOLE)


def test_accelerator_without_features(whole: Generated) -> None:
    """No pixel buses, windows, tables, lanes or pools anywhere, and less memory."""
    least = generate(LEAST).verilog
    names = _names(least)
    windows = (r"gathered_\d", r"window_\d", "priming")
    operands = ("table_[ab].*", "residual_lane.*", "residual_delay.*", "res_bank", r"context_residual\w*")
    for pattern in ("pixel_ring.*", "pixel_skew.*", "array_pixels", *windows, *operands):
        assert [name for name in _names(whole.verilog) if re.fullmatch(pattern, name)]
        assert not [name for name in names if re.fullmatch(pattern, name)]
    tables = 2 * 256 * 28  # of a lane, whose module is there once
    for pattern in (r"pool\w*", r"\w*row_done\w*", r"context_pool\w*"):
        assert [name for name in _names(whole.verilog) if re.fullmatch(pattern, name)]
        assert not [name for name in names if re.fullmatch(pattern, name)]
    assert _memory_bits(least) <= _memory_bits(whole.verilog) - tables
    assert len(least) < len(whole.verilog)


def test_modules_do_not_grow_with_the_array(whole: Generated) -> None:
    small, large = _modules(whole.verilog), _modules(generate(Parameters(rows=16, cols=16)).verilog)
    assert small == large
    assert len(set(small)) == len(small) <= 64
    assert {"tilewright", "systolic_array", "pe", "accumulator", "scratchpad", "feeder", "step_walker"} <= set(small)


def test_header() -> None:
    """Licence, configuration and the command that makes the file again."""
    for params, command in ((WHOLE, "tilewright generate --array 4x4"), (LEAST, "tilewright generate --config")):
        generated = generate(params)
        for text in (generated.verilog, generated.header):
            head = text[:400]
            assert "SPDX-License-Identifier: Apache-2.0" in head
            assert f"{params.fingerprint:016x}" in head
            assert command in head
            assert "4x4" in head
