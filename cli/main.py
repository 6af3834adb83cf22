"""The `tilewright` command: it finds the sub-command, and turns whatever stops one into a line and an exit status."""

import contextlib
import importlib
import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import click

from .errors import CommandError, Status, explain

__all__ = ["main"]


class Commands(click.Group):
    """The sub-commands, imported when asked for: `--help` need not wait for simulators and compilers."""

    NAMES = ("check", "generate", "compile", "run", "synth")

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of a working day."""
        return list(self.NAMES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The sub-command of that name."""
        if name not in self.NAMES:
            return None
        module = importlib.import_module(f".{name}", __package__)
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]  # click has overloads by standalone_mode
        """Run, and end the process with an exit status of `Status`."""
        extra |= {"standalone_mode": False}
        try:
            # Without standalone mode click returns the status of --help and --version.
            with _tidy_end():
                status = super().main(args, prog_name or "tilewright", **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            CommandError("interrupted", Status.INTERRUPTED).show()
            status = Status.INTERRUPTED
        except (BrokenPipeError, SystemExit) as end:
            # Nobody reads our output any more, which click turns into 1: that is no mistake of the command.
            if isinstance(end, SystemExit) and end.code != 1:
                raise
            _give_up_stdout()
            status = Status.DONE
        except Exception as error:
            known = explain(error)
            if known is None:
                raise
            known.show()
            if isinstance(error, OSError):
                _give_up_stdout()
            status = known.status
        sys.exit(int(status) if isinstance(status, int) else Status.DONE.value)


def _give_up_stdout() -> None:
    """Keep Python from writing what is left on its way out."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _tidy_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind like an exception, so that temporary files and simulators go too."""
    endings = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    former = [(ending, signal.signal(ending, lambda number, frame: sys.exit(128 + number))) for ending in endings]
    try:
        yield
    finally:
        for ending, handler in former:
            signal.signal(ending, handler)


@click.group(
    "tilewright",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""MODEL is an int8 .tflite or QDQ .onnx file, a program made by `tilewright compile`, or `digits`, the network that
    ships with Tilewright. TARGET is --array RxC, --board NAME or --config FILE.

    \b
    Exit status: 0 done and equal; 2 a user's error; 3 unsupported; 4 mismatch;
    5 the hardware stopped.""",
)
@click.version_option(importlib.metadata.version("tilewright"), message="tilewright %(version)s")
def main() -> None:
    """Turn a quantized neural network into an accelerator and a program for it, and prove both."""
