"""A bitstream into a board, by openFPGALoader."""

import tempfile
from pathlib import Path

from .process import Job, run_jobs
from .tools import Tool

__all__ = ["FlashError", "flash"]


class FlashError(RuntimeError):
    """The bitstream did not get into the board."""


def flash(bitstream: bytes, suffix: str, board: str, loader: Tool) -> None:
    """Send a bitstream, a file of that suffix, to the board of openFPGALoader's name ``board``.

    Where the board allows it, into the FPGA alone, which forgets it without power. Raises `FlashError`.
    """
    with tempfile.TemporaryDirectory(prefix="tilewright-flash-") as name:
        folder = Path(name)
        (folder / f"bitstream{suffix}").write_bytes(bitstream)
        job = Job(command=(loader.executable, "--board", board, f"bitstream{suffix}"), folder=folder, log="log")
        (code,) = run_jobs([job], workers=1, tick=lambda: None)
        if code:
            lines = [line.strip() for line in job.output.splitlines() if line.strip()]
            reason = lines[-1] if lines else "no message"
            raise FlashError(f"no board programmed: openFPGALoader ended with status {code}: {reason}")
