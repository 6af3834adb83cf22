"""`generate` writes what `run` simulates."""

import hashlib
import json
from pathlib import Path

from tilewright.hw.params import parse_array

from .conftest import Tilewright


def test_generate(tilewright: Tilewright):
    result = tilewright("generate", "--array", "4x4", "-o", "out")
    assert result.exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["tilewright.h", "tilewright.json", "tilewright.v"]
    verilog = Path("out/tilewright.v").read_bytes()
    description = json.loads(Path("out/tilewright.json").read_text())
    assert description["verilog_sha256"] == hashlib.sha256(verilog).hexdigest()
    assert description["fingerprint"] == f"{parse_array('4x4').fingerprint:016x}"
    assert b"module tilewright(" in verilog
    assert "0x000" in Path("out/tilewright.h").read_text()


def test_its_json_is_a_config(tilewright: Tilewright):
    tilewright("generate", "--array", "4x4", "-o", "a")
    result = tilewright("generate", "--config", "a/tilewright.json", "-o", "b")
    assert result.exit_code == 0
    assert Path("a/tilewright.v").read_bytes() == Path("b/tilewright.v").read_bytes()
