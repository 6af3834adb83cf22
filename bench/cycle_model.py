"""How far the cycle model is from RTL: every network, on several arrays, memory latencies and bus widths.

    python bench/cycle_model.py [--arrays 8x8 16x16 16x8 8x16] [--latencies 1 20 100] [--buses 32 64 128] [-o docs/cycle-model.md]
"""

import argparse
import dataclasses
from pathlib import Path

from networks import NETWORKS, run
from rich.progress import track
from tilewright.hw.params import parse_array
from tilewright.sim.rtl import MemoryOptions

SMALL = 200
"""Layers of at most this many cycles are counted apart: a cycle is half a percent of them."""

HEAD = """# The cycle model against RTL

Made by `python bench/cycle_model.py -o docs/cycle-model.md`. "Layers off" counts those whose cycles are not predicted exactly.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description="The cycle model's error, layer by layer.")
    parser.add_argument("--arrays", nargs="+", default=["8x8", "16x16", "16x8", "8x16"])
    parser.add_argument("--latencies", nargs="+", type=int, default=[1, 20, 100])
    parser.add_argument("--buses", nargs="+", type=int, default=[32, 64, 128])
    parser.add_argument("-o", "--output", type=Path, help="write the table there instead of printing it")
    arguments = parser.parse_args()

    cells = [(a, b, l) for a in arguments.arrays for b in arguments.buses for l in arguments.latencies]
    lines = [
        "| array | bus | latency | network | cycles | predicted | error | worst layer over 200 cycles | layers off |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    worst_of_all = 0.0
    for array, bus, latency in track(cells, description="cycle model"):
        params = dataclasses.replace(parse_array(array), axi_bits=bus)
        for network in NETWORKS:
            _, report = run(network, params, MemoryOptions(latency=latency))
            assert report.cycles is not None
            pairs = [(row.cycles or 0, row.predicted_cycles) for row in report.layers]
            errors = [abs(predicted - cycles) / cycles for cycles, predicted in pairs if cycles > SMALL]
            worst = max(errors, default=0.0)
            worst_of_all = max(worst_of_all, worst)
            off = sum(cycles != predicted for cycles, predicted in pairs)
            error = (report.predicted_cycles - report.cycles) / report.cycles
            lines.append(
                f"| {array} | {bus} | {latency} | {network.name} | {report.cycles:,} | {report.predicted_cycles:,} "
                f"| {error:+.2%} | {worst:.2%} | {off} of {sum(cycles > 0 for cycles, _ in pairs)} |"
            )
    lines += ["", f"Worst layer of more than {SMALL} cycles: {worst_of_all:.2%}."]
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(HEAD + text)
    else:
        print(text)


if __name__ == "__main__":
    main()
