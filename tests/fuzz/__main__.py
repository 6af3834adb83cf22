"""Run the fuzzers one after another: ``python -m tests.fuzz --runs 10000``.

A line for each; logs and files that were found lie in ``build/fuzz``. Exit status 1 if there was a finding.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

FUZZERS = ("tflite", "onnx", "program")
FOLDER = Path("build") / "fuzz"


def run(name: str, runs: int, seed: int) -> bool:
    """Run one fuzzer, and say what came of it; whether it found nothing."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.iterdir():
        former.unlink()
    log = folder / "log"
    command = [sys.executable, "-m", f"tests.fuzz.fuzz_{name}", f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={folder}/"]
    start = time.monotonic()
    with log.open("wb") as file:
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    seconds = time.monotonic() - start
    text = log.read_text(errors="replace")
    counts = re.findall(r"^(\d+) files read, (\d+) refused, (\d+) MiB at most$", text, re.MULTILINE)
    read, refused, peak = map(int, counts[-1]) if counts else (0, 0, 0)
    found = status != 0 or read + refused < runs
    said = f"{name:8} {read + refused:,} files in {seconds:,.0f} s, {read:,} read and {refused:,} refused, {peak} MiB at most"
    print(f"{said}: {f'STOPPED with status {status}, see {log}' if found else 'nothing found'}", flush=True)
    if found:
        for path in sorted(folder.glob("*-*")):
            print(f"         {path}")
    return not found


def main() -> None:
    """All fuzzers, also after one has found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Damaged models and programs for every reader.")
    parser.add_argument("--runs", type=int, default=10000, help="files for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("fuzzers", nargs="*", metavar="FUZZER", help=f"{', '.join(FUZZERS)}; all without any")
    options = parser.parse_args()
    if unknown := set(options.fuzzers) - set(FUZZERS):
        parser.error(f"no fuzzer {sorted(unknown)[0]}")
    found = [name for name in options.fuzzers or FUZZERS if not run(name, options.runs, options.seed)]
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
