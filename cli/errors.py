"""What ends a command early: one line `error: ...` on standard error, and an exit status that says which kind it is."""

import enum
import errno
import os
from collections.abc import Sequence
from typing import IO, Any

import click

from ..host.driver import AcceleratorError, RefusedError
from ..host.port import LinkError, PortError
from ..hw.program import ProgramError
from ..hw.synth import FlashError, SynthesisError, ToolMissingError
from ..hw.verilog import VerilogError
from ..mapper.errors import ModelError, UnsupportedError
from ..sim.interpreter import InterpreterError
from ..sim.verilator import SimulationError, ToolError

__all__ = ["CommandError", "Status", "cannot_read", "cannot_write", "explain"]


class Status(enum.IntEnum):
    """Exit statuses. Scripts rely on them."""

    DONE = 0
    """All that was asked for was done, and everything compared was equal."""

    USER = 2
    """The command line, a file or a value is not usable."""

    UNSUPPORTED = 3
    """The model asks for something that Tilewright does not do."""

    MISMATCH = 4
    """Two of the models of the machine, or the hardware, disagree."""

    STOPPED = 5
    """The hardware reported an error, made no progress, or took ten times the predicted cycles."""

    INTERRUPTED = 130
    """Ctrl-C."""


class CommandError(click.ClickException):
    """Ends the command with `error: MESSAGE` on standard error, `details` on further lines, and the exit status."""

    def __init__(self, message: str, status: Status = Status.USER, details: Sequence[str] = ()) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status
        self.details = tuple(details)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error."""
        for line in (f"error: {self.message}", *self.details):
            click.echo(line, file=file, err=file is None)


def explain(error: Exception) -> CommandError | None:
    """The error as the user should see it; None for one that is a mistake in Tilewright."""
    match error:
        case CommandError():
            return error
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "tilewright"
            return CommandError(f"{error.format_message().rstrip('.')} (see '{command} --help')")
        case click.ClickException():
            return CommandError(error.format_message())
        case UnsupportedError():
            return CommandError(f"unsupported: {error}", Status.UNSUPPORTED, [f"hint: {error.hint}"])
        case FlashError() | ModelError() | ProgramError() | SynthesisError() | ToolError() | ToolMissingError() | VerilogError():
            return CommandError(str(error))
        case InterpreterError():
            return CommandError(f"mismatch: the interpreter cannot run the program: {error}", Status.MISMATCH)
        case PortError() | RefusedError():
            return CommandError(str(error))
        case LinkError():
            return CommandError(f"stopped: {error}", Status.STOPPED, ["hint: check cable, power and bitstream; then run again"])
        case AcceleratorError():
            at = f"  at instruction {error.pc}, detail 0x{error.detail:08x}"
            return CommandError(f"stopped: {error}", Status.STOPPED, [at])
        case SimulationError():
            first, *rest = str(error).splitlines()
            return CommandError(f"stopped: {first}", Status.STOPPED, rest[-20:])
        case OSError() if error.errno is not None:
            return CommandError(f"{error.filename or 'standard output'}: {_reason(error)}")
    return None


def cannot_read(path: str | os.PathLike[str], error: OSError) -> CommandError:
    """The error for an input file that cannot be read."""
    return CommandError(f"cannot read {os.fspath(path)}: {_reason(error)}")


def cannot_write(path: str | os.PathLike[str], error: OSError) -> CommandError:
    """The error for an output file or folder that cannot be written."""
    return CommandError(f"cannot write {os.fspath(path)}: {_reason(error)}")


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return (error.strerror or str(error)).lower()
