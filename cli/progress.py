"""What goes on, on standard error: a live line on a terminal, a plain line for what takes long elsewhere."""

import threading
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["Steps"]

_PATIENCE = 3.0
"""Seconds of silence before a line that says what takes so long."""


class Steps:
    """Shows the step that runs and how far it is, as a context manager; on a terminal nothing of it stays in the end."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._timer: threading.Timer | None = None
        self._step = ""

    def __enter__(self) -> "Steps":
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
            self._live = Progress(*columns, console=self._console, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._live is not None:
            self._live.stop()

    def __call__(self, step: str, fraction: float | None = None) -> None:
        """The step that runs now; `fraction` is how far it is, 0 to 1, if that is known."""
        if step != self._step:
            self._step = step
            if self._live is None:
                self._wait(step)
            else:
                if self._task is not None:
                    self._live.remove_task(self._task)
                self._task = self._live.add_task(step, total=None)
        if self._live is not None and self._task is not None and fraction is not None:
            self._live.update(self._task, total=1.0, completed=fraction)

    def _wait(self, step: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(
            _PATIENCE, lambda: self._console.print(f"{step} ...", highlight=False, soft_wrap=True)
        )
        self._timer.daemon = True
        self._timer.start()
