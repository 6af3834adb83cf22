"""The command line, called as a user calls it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner, Result
from tilewright.cli.main import main

from ..models import NONE, VALID, ModelBuilder

Tilewright = Callable[..., Result]


@pytest.fixture
def tilewright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tilewright:
    """Run a command in an empty folder; a traceback fails the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def fails(tilewright: Tilewright) -> Callable[..., str]:
    """Run a command that must end with `status`, with nothing but the error on standard error; gives its first line."""

    def run(status: int, *arguments: object) -> str:
        result = tilewright(*arguments)
        assert result.exit_code == status, result.output
        # Long work says what it does.
        first, *details = [line for line in result.stderr.splitlines() if not line.endswith(" ...")]
        assert first.startswith("error: ")
        assert bool(details) == (status != 2), result.stderr
        return first.removeprefix("error: ")

    return run


@pytest.fixture
def two_inputs(tmp_path: Path) -> Path:
    """A model that adds two images."""
    builder = ModelBuilder()
    first = builder.input((1, 4, 4, 8), 0.5, 3)
    second = builder.input((1, 4, 4, 8), 0.25, -7)
    output = builder.tensor((1, 4, 4, 8), 0.6, 1)
    builder.operator("ADD", [first, second], output, schema.AddOptionsT())
    path = tmp_path / "two.tflite"
    path.write_bytes(builder.build(output))
    return path


@pytest.fixture
def unknown_operator(tmp_path: Path) -> Path:
    """A model whose only operator Tilewright does not know."""
    builder = ModelBuilder()
    image = builder.input((1, 4, 4, 8), 0.5, 3)
    output = builder.tensor((1, 4, 4, 8), 0.6, 1)
    builder.operator("L2_NORMALIZATION", [image], output, schema.L2NormOptionsT())
    path = tmp_path / "norm.tflite"
    path.write_bytes(builder.build(output))
    return path


@pytest.fixture
def too_large(tmp_path: Path) -> Path:
    """A sound model whose image does not fit on chip."""
    builder = ModelBuilder()
    image = builder.input((1, 512, 512, 16), 0.5, 3)
    weights = builder.constant(np.ones((16, 1, 1, 16), np.int8), [0.01] * 16)
    output = builder.tensor((1, 512, 512, 16), 0.6, 1)
    options = schema.Conv2DOptionsT(
        padding=VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=NONE
    )
    builder.operator("CONV_2D", [image, weights, -1], output, options)
    path = tmp_path / "large.tflite"
    path.write_bytes(builder.build(output))
    return path
