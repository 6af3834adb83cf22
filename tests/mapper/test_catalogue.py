"""The catalogue of operators: complete, true to what the mapper does, and what the documentation says."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from tilewright.mapper.catalogue import CATALOGUE, FOLDED_TFLITE
from tilewright.mapper.cut import VIEWS
from tilewright.mapper.ir import Lookup, Operator, Unsupported
from tilewright.mapper.lower import LAYERS
from tilewright.mapper.moves import MOVES
from tilewright.mapper.onnx import READERS as ONNX_READERS
from tilewright.mapper.tflite_operators import READERS as TFLITE_READERS
from tilewright.mapper.tflite_variables import VARIABLE_KINDS

ROOT = Path(__file__).parents[2]


def operators(kind=Operator):
    for child in kind.__subclasses__():
        yield child
        yield from operators(child)


def test_every_operator_stands_in_it_once():
    counts = Counter(kind for entry in CATALOGUE for kind in entry.operators)
    assert counts == Counter(set(operators()) - {Lookup, Unsupported})


def test_every_name_of_the_formats_stands_in_it():
    tflite = {name for entry in CATALOGUE for name in entry.tflite} | set(FOLDED_TFLITE)
    assert tflite == {*TFLITE_READERS, *VARIABLE_KINDS, "SHAPE"}
    onnx = {name for entry in CATALOGUE for name in entry.onnx}
    assert onnx | {"Shape", "Size"} == set(ONNX_READERS)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.operators[0].KIND)
def test_places_are_those_of_the_mapper(entry):
    for kind in entry.operators:
        assert issubclass(kind, LAYERS | MOVES | VIEWS) == (not entry.host)


def test_the_pages_are_generated():
    spec = importlib.util.spec_from_file_location("operators_page", ROOT / "docs" / "operators.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, table in module.PAGES.items():
        text = path.read_text()
        assert module.with_table(text, table()) == text, f"{path.name}: run python docs/operators.py"
