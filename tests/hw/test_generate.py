"""The accelerator's files: as many modules at any size, nothing for a linter, and never half a file."""

import hashlib
import json
import os
import resource
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tilewright.hw.cache import write_whole
from tilewright.hw.generate import TOP, Generated, generate
from tilewright.hw.params import Parameters, parse_array
from tilewright.sim.verilator import find_verilator

from .test_verilog import modules, ports

LINT = Path(__file__).parents[2] / "sim" / "bench" / "lint.vlt"


def test_as_many_modules_at_any_size():
    small, large = (modules(generate(parse_array(array)).verilog) for array in ("4x4", "16x16"))
    assert small.keys() == large.keys()
    assert len(small) <= 64
    assert {"pe", "systolic_array", "scratchpad", "requant_lane", TOP} <= small.keys()
    for name in ports(large[TOP]):
        assert "__" not in name
    assert {"clk", "rst", "irq", "m_axi_araddr", "m_axi_wstrb", "s_axil_rdata"} <= set(ports(large[TOP]))


@pytest.mark.parametrize(
    "params",
    [
        parse_array("8x8"),
        parse_array("4x4"),
        pytest.param(Parameters(rows=8, cols=4, depthwise=False), marks=pytest.mark.slow),
        pytest.param(Parameters(rows=4, cols=8, residual=False), marks=pytest.mark.slow),
        pytest.param(Parameters(rows=8, cols=16, lanes=4, pooling=False), marks=pytest.mark.slow),
        pytest.param(
            Parameters(rows=4, cols=4, depthwise=False, packed=False, residual=False, pooling=False),
            marks=pytest.mark.slow,
        ),
        pytest.param(parse_array("16x16"), marks=pytest.mark.slow),
        pytest.param(parse_array("32x8"), marks=pytest.mark.slow),
    ],
    ids=lambda params: params.array,
)
def test_lint(params: Parameters, tmp_path: Path):
    (tmp_path / f"{TOP}.v").write_text(generate(params).verilog)
    tool = find_verilator()
    command = [tool.executable, "--lint-only", "-Wall", "--top-module", TOP, LINT, f"{TOP}.v"]
    result = subprocess.run(command, cwd=tmp_path, env=os.environ | tool.environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_banner_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr("tilewright.hw.generate.Accelerator", lambda params: None)
    monkeypatch.setattr("tilewright.hw.generate.convert", lambda top, name: f"module {name}; endmodule\n")
    params = Parameters(rows=4, cols=4, activation_kib=64)
    generated = generate(params)
    first, license_line, _, module = generated.verilog.splitlines()
    command = "`tilewright generate --config tilewright.json`"
    assert first == f"// Tilewright 0.1.0, {command}: array 4x4, fingerprint {params.fingerprint:016x}"
    assert license_line == "// SPDX-License-Identifier: Apache-2.0"
    assert module == "module tilewright; endmodule"
    description = json.loads(generated.parameters_json)
    assert description["verilog_sha256"] == generated.sha256 == hashlib.sha256(generated.verilog.encode()).hexdigest()
    assert Parameters.from_json(json.dumps(description["parameters"])) == params
    assert f"0x{params.fingerprint:016x}" in generated.header


def test_files_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generated = Generated("module tilewright; endmodule", "{}", "/* */", "")
    names = [path.name for path in generated.write(tmp_path / "out")]
    assert sorted(names) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert (tmp_path / "out" / f"{TOP}.v").read_text() == generated.verilog

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        generated.write(tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_header_compiles(tmp_path: Path):
    (tmp_path / "tilewright.h").write_text(generate(parse_array("4x4")).header)
    (tmp_path / "main.c").write_text(
        '#include "tilewright.h"\nint main(void) { return TILEWRIGHT_MAGIC_VALUE == 0; }\n'
    )
    subprocess.run(["gcc", "-Wall", "-Werror", "-pedantic", "-std=c99", "main.c"], cwd=tmp_path, check=True)


def test_a_full_disk_is_named(tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            write_whole(tmp_path / "a.v", "text" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(tmp_path / "a.v")
    assert not list(tmp_path.iterdir())


def test_targets_have_verilog_of_their_own():
    """They have one fingerprint, because they run the same programs."""
    settings = [("generic", 0), ("ice40", 5), ("ice40", 6), ("gowin", 20)]
    made = [generate(replace(parse_array("4x4"), target=target, dsp_blocks=blocks)) for target, blocks in settings]
    assert len({each.sha256 for each in made}) == len(settings)
