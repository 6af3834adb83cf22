"""The command as a process: closed and full standard output, and signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from tilewright.cli.main import main; main()"]


def shell(redirection: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, "check", "digits"]
    return subprocess.run(words, capture_output=True, text=True)


def test_closed_output():
    done = shell(">&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_full_output():
    done = shell(">/dev/full")
    assert (done.returncode, done.stderr) == (2, "error: standard output: the disk is full\n")


@pytest.mark.parametrize(
    "arguments", [["check", "digits"], ["--version"], ["run", "digits", "--array", "4x4", "--engine", "cycles"]]
)
def test_a_reader_that_has_seen_enough(arguments: list[str]):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    said = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]  # what takes long
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_everything(tmp_path: Path, number: int, status: int):
    """Also what it started: here Yosys, which generates the Verilog."""
    environment = os.environ | {"TILEWRIGHT_CACHE": str(tmp_path)}
    # A process that waits for the terminal's Ctrl-C is not started by a shell that ignores it.
    process = subprocess.Popen(
        [*COMMAND, "run", "digits", "--array", "32x32"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
    )
    assert process.stderr is not None
    assert any("Verilog" in line for line in process.stderr)
    time.sleep(1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not list(tmp_path.rglob("*.v"))
