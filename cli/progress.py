"""What goes on, on standard error: a live line on a terminal, plain lines elsewhere."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["Steps"]


class Steps:
    """Shows the step that runs, and how far it is. Used as a context manager; what it showed goes away at the end.

    Off a terminal only steps that are announced as `slow` print a line: they may take a minute in silence.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._announced = ""

    def __enter__(self) -> "Steps":
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
            self._live = Progress(*columns, console=self._console, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, what: str, fraction: float | None = None, slow: bool = False) -> None:
        """The step that runs now; `fraction` is how far it is, 0 to 1, if that is known."""
        if self._live is None:
            if slow and what != self._announced:
                self._console.print(f"{what} ...", highlight=False, soft_wrap=True)
                self._announced = what
            return
        if self._task is None or what != self._announced:
            if self._task is not None:
                self._live.remove_task(self._task)
            self._task = self._live.add_task(what, total=None)
            self._announced = what
        if fraction is not None:
            self._live.update(self._task, total=1.0, completed=fraction)
