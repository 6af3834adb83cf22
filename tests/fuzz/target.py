"""What the fuzzers have in common: one run of libFuzzer through atheris, with limits on time and memory.

A target is called with bytes, and must refuse them with one of its error classes, in one line, or make something sound
of them. Anything else that it raises, more than 1 GiB of memory or more than 20 seconds of the processor for one file end
the run with an error and leave the file as `crash-...` or `timeout-...` in the current folder.
"""

import contextlib
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris

__all__ = ["fuzz"]

SECONDS = 20
_PATIENCE = 300
"""Seconds on the wall: of a machine that is busy with other things too."""

MEBIBYTES = 1024

Mutate = Callable[[bytes, random.Random], bytes]


def fuzz(
    target: Callable[[bytes], None], refusals: tuple[type[Exception], ...], seeds: Sequence[bytes], mutate: Mutate
) -> None:
    """Run `target` on mutated `seeds`; arguments are libFuzzer's, such as ``-runs=10000 -seed=1``.

    `mutate(data, rng)` gives a structured mutation, and may raise what it likes for bytes that it cannot take apart;
    then it starts from a seed. A quarter of the time libFuzzer's own mutations of bytes are taken instead. Prints now
    and then, and at the end, how many files were read and how many refused.
    """
    counts = {"read": 0, "refused": 0}
    runs = max([int(argument[6:]) for argument in sys.argv if argument.startswith("-runs=")], default=0)

    def call(data: bytes) -> None:
        start = time.process_time()
        try:
            target(data)
            counts["read"] += 1
        except refusals as error:
            counts["refused"] += 1
            if "\n" in str(error) or not str(error).isprintable():
                raise AssertionError(f"not one line: {error!r}") from error
        if (seconds := time.process_time() - start) > SECONDS:
            raise AssertionError(f"{seconds:.0f} seconds")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if peak > MEBIBYTES:
            raise AssertionError(f"{peak} MiB of memory")
        if sum(counts.values()) % 1000 == 0 or sum(counts.values()) == runs:
            print(f"{counts['read']} files read, {counts['refused']} refused, {peak} MiB at most", file=sys.stderr)

    def mutated(data: bytes, size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.25:
            return atheris.Mutate(data, size)
        # Of the files that libFuzzer keeps, many are broken beyond use.
        sources = (data, rng.choice(seeds))
        for source in sources if rng.random() < 0.5 else sources[1:]:
            with contextlib.suppress(Exception):
                content = mutate(source, rng)
                if len(content) <= size:
                    return content
        return atheris.Mutate(data, size)

    longest = 2 * max(map(len, seeds))
    limits = [f"-timeout={_PATIENCE}", f"-report_slow_units={_PATIENCE}"]
    limits += [f"-rss_limit_mb={MEBIBYTES}", f"-max_len={longest}", "-mutate_depth=1"]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        # The first folder is where libFuzzer keeps what it finds; the given one, or this one.
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], folder], call, custom_mutator=mutated)
        atheris.Fuzz()
