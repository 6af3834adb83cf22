"""Fixtures that every folder shares."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def outside_model() -> Callable[[str], Path]:
    """Find a model that is not part of the project: `outside_model("NAME.tflite")` is its path.

    The folder is named by TILEWRIGHT_MODELS. Without the variable the test is skipped; with it, a missing file fails.
    """
    folder = os.environ.get("TILEWRIGHT_MODELS")

    def find(name: str) -> Path:
        if not folder:
            # Not in the project, and most users do not have them; `.ci/run` sets the variable.
            pytest.skip("TILEWRIGHT_MODELS does not name a folder of outside models")
        path = Path(folder) / name
        if not path.is_file():
            pytest.fail(f"TILEWRIGHT_MODELS={folder} has no {name}")
        return path

    return find
