"""Child processes of the tools: side by side, ended with whoever started them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Job", "run_jobs"]

_POLL = 0.1
"""Seconds between two looks at the children."""

_END = 1 << 16
"""Bytes of an output's end: more than the timing report at the end of nextpnr's."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command, the folder it runs in, and the file there that takes what it prints."""

    command: Sequence[str]
    folder: Path
    log: str

    @property
    def output(self) -> str:
        """What it printed so far."""
        return (self.folder / self.log).read_text(errors="replace")

    @property
    def output_end(self) -> str:
        """The end of that; nothing before it starts."""
        if not (self.folder / self.log).is_file():
            return ""
        with (self.folder / self.log).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _END))
            return log.read().decode(errors="replace")


def run_jobs(
    jobs: Sequence[Job], *, workers: int, tick: Callable[[], None], hopeless: Callable[[Job], bool] = lambda job: False,
    environment: Mapping[str, str] = os.environ,
) -> list[int | None]:  # fmt: skip
    """Run the jobs, ``workers`` at a time, in their order; their exit statuses. ``tick`` is called ten times a second, and so is
    ``hopeless`` for each job that runs: one that is gets ended, and has no status.

    Whatever ends the call, none of their processes is left. Raises ``OSError`` if a program cannot be started.
    """
    waiting = list(enumerate(jobs))
    running: dict[int, subprocess.Popen[bytes]] = {}
    codes: list[int | None] = [None] * len(jobs)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, job = waiting.pop(0)
                with (job.folder / job.log).open("wb") as log:
                    running[index] = subprocess.Popen(
                        job.command, cwd=job.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                        stderr=subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
            for index in [index for index, process in running.items() if process.poll() is not None]:
                codes[index] = running.pop(index).returncode
            for index in [index for index in running if hopeless(jobs[index])]:
                _end(running.pop(index))
            tick()
            if running:
                time.sleep(_POLL)
    finally:
        for process in running.values():
            _end(process)
    return codes


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
