"""A few layers of `make random`, on one array, with fewer lanes, and on the compact accelerator."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "random_layers.py"


@pytest.mark.slow
@pytest.mark.parametrize("array", ["8x8", "8x8/4", "orangecrab-25f", "icebreaker", "tang-primer-20k"])
def test_random_layers(array: str):
    command = [sys.executable, SCRIPT, "--count", "24", "--seed", "3", "--array", array, "--jobs", "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "24 layers: " in result.stdout and " 0 failed" in result.stdout
    assert re.search(r"cycle model: (\d+) of \1 layers over 200 cycles exact", result.stdout), result.stdout
