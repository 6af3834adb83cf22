"""cocotb's Verilator runner, made quiet and fast: its processes are captured, watched and ended."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cocotb_tools.runner import Verilator

__all__ = ["Progress", "SimulationError", "VerilatorRunner"]

Progress = Callable[[float, str], None]
"""Told how far a build is, from 0 to 1, and what happens now."""


class SimulationError(RuntimeError):
    """A build or a simulation failed; ``output`` is what it printed."""

    def __init__(self, message: str, output: str):
        super().__init__(f"{message}\n{output}".rstrip())
        self.output = output


class VerilatorRunner(Verilator):
    """Without --public-flat-rw unless ``visible``: a design that shows all its signals runs several times slower.

    ``runtime`` is a folder for Verilator's own object files, which take as long to compile as a small design and are
    the same for all. ``environment`` is added to the processes' own, PYTHONPATH in front of it. Nothing is printed:
    ``output`` collects it. Raises `SimulationError` when a process fails and ``TimeoutError`` after ``timeout``
    seconds; no process outlives the call.
    """

    def __init__(
        self,
        *,
        executable: Path | None = None,
        environment: Mapping[str, str] | None = None,
        make_arguments: Sequence[str] = (),
        runtime: Path | None = None,
        visible: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ):
        super().__init__()
        self.executable = str(executable)
        self.output = ""
        self._environment = dict(environment or {})
        self._make_arguments = list(make_arguments)
        self._runtime = runtime
        self._visible = visible
        self._progress = progress
        self._timeout = timeout

    def _simulator_in_path_build_only(self) -> None:
        pass  # `executable` says

    def _set_env_common(self) -> None:
        super()._set_env_common()
        path = [folder for folder in (self._environment.get("PYTHONPATH"), self.env["PYTHONPATH"]) if folder]
        self.env.update(self._environment | {"PYTHONPATH": os.pathsep.join(path)})

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        if not self._visible:
            verilate.remove("--public-flat-rw")
        return [verilate, [*make, *self._make_arguments]]

    def _execute_cmds(self, cmds: Sequence[Sequence[str]], cwd: os.PathLike[str] | str, stdout: object = None) -> None:
        for cmd in cmds:
            if cmd[0] == "make" and self._runtime and self._runtime.is_dir():
                for compiled in self._runtime.glob("*.o"):
                    shutil.copy(compiled, cwd)
            report = self._reporter(Path(cwd)) if cmd[0] == "make" else None
            if self._progress and report is None:
                self._progress(0.0, Path(cmd[0]).name)
            code, output = run(cmd, cwd=cwd, environment=self.env, timeout=self._timeout, on_line=report)
            self.output += output
            if code:
                raise SimulationError(f"{Path(cmd[0]).name} failed with exit status {code}", self.output)
            if cmd[0] == "make" and self._runtime and not self._runtime.is_dir():
                self._keep_runtime(Path(cwd))

    def _keep_runtime(self, folder: Path) -> None:
        assert self._runtime is not None
        with tempfile.TemporaryDirectory(dir=self._runtime.parent) as scratch:
            kept = Path(scratch) / "runtime"
            kept.mkdir()
            for compiled in folder.glob("verilated*.o"):
                shutil.copy(compiled, kept)
            with contextlib.suppress(OSError):  # another build kept its own
                kept.rename(self._runtime)

    def _reporter(self, folder: Path) -> Callable[[str], None] | None:
        """Turn make's lines into progress: each line that compiles a file is one step, and so is the link."""
        if self._progress is None:
            return None
        progress = self._progress
        steps = len(list(folder.glob("*.cpp"))) + (9 if self._runtime is None or not self._runtime.is_dir() else 4)
        done = 0

        def report(line: str) -> None:
            nonlocal done
            if " -c " in line or " -o " in line:
                done += 1
                progress(min(done / steps, 1.0), "compiling")

        return report


def run(
    command: Sequence[str],
    *,
    cwd: os.PathLike[str] | str,
    environment: Mapping[str, str],
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
) -> tuple[int, str]:
    """Run a command to its end: exit status and output. Whatever happens, its whole process group is gone afterwards.

    Raises ``TimeoutError`` after ``timeout`` seconds.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(timeout or 0, end)
    if timeout is not None:
        timer.start()
    lines = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if on_line:
                on_line(line)
        process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
    if late.is_set():
        raise TimeoutError(f"{Path(command[0]).name} was stopped after {timeout:g} s")
    return process.returncode, "".join(lines)
