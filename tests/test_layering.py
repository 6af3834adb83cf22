"""Imports run one way: hw.params -> hw.isa -> hw.encoding -> hw.rows -> hw.program -> hw.tables -> hw.legality
-> {rest of hw, sim, host} -> mapper -> cli."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("hw", "sim", "host", "mapper", "cli", "examples")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]

FIRST = {f"hw.{name}": at for at, name in enumerate((
    "params", "isa", "encoding", "rows", "program", "tables", "legality_compact", "legality",
))}  # fmt: skip
LEVELS = {room: len(FIRST) + at for room, at in {"hw": 0, "sim": 0, "host": 0, "mapper": 1, "cli": 2}.items()}
ALONE = "examples"
"""Scripts and networks beside the project. Its rooms do not need them, save the command, which knows `digits`."""


def module_name(path: Path) -> str:
    """`hw/params.py` as `hw.params`, `sim/bench/__init__.py` as `sim.bench`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Modules of the project that a file imports, wherever the statement stands, without `tilewright.`."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ("tilewright", *package[: len(package) - node.level + 1]) if node.level else ()
            source = ".".join((*start, *filter(None, [node.module])))
            names = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "tilewright":
                module = name.removeprefix("tilewright.")
                # What is no module is a name that a module has.
                yield module if module in MODULES else module.rpartition(".")[0]


def level(module: str) -> int:
    return FIRST.get(module, LEVELS[module.split(".")[0]])


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_one_way(path: Path):
    module = module_name(path)
    room = module.split(".")[0]
    for other in imports(path):
        assert other in MODULES, f"{module} imports {other}, which does not exist"
        if other.split(".")[0] == ALONE or room == ALONE:
            assert room in (ALONE, "cli"), f"{module} imports {other}"
        else:
            assert level(other) <= level(module), f"{module} imports {other}"
        if room == "hw":
            assert other.split(".")[0] == "hw", f"{module} imports {other}: the hardware stands alone"


def test_rooms_do_not_import_each_other_in_a_circle():
    needs: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in FILES:
        room = module_name(path).split(".")[0]
        needs[room] |= {other.split(".")[0] for other in imports(path)} - {room, ALONE}
    graphlib.TopologicalSorter(needs).prepare()


def test_modules_do_not_import_each_other_in_a_circle():
    needs = {module_name(path): set(imports(path)) - {module_name(path)} for path in FILES}
    graphlib.TopologicalSorter(needs).prepare()


def test_the_walk_sees_imports():
    assert {"hw.params", "hw.isa", "hw.encoding"} <= set(imports(ROOT / "hw" / "program.py"))
    assert "mapper.ir" in set(imports(ROOT / "mapper" / "tflite.py"))
