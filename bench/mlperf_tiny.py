"""MLPerf Tiny in RTL: cycles, utilization, model error, speed of simulation and compilation, beside published figures.

    python bench/mlperf_tiny.py [--arrays 16x16 8x8] [-o docs/mlperf-tiny.md] [--json docs/mlperf-tiny.json]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from networks import NETWORKS, models_folder, run
from rich.progress import track
from tilewright.hw.params import parse_array
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite

ETHOS_U55 = {
    "16x16": {"resnet8": 107_151, "vww": 146_940, "kws": 56_222, "autoencoder": 40_929, "sww": 18_896},
    "8x8": {"resnet8": 356_303, "vww": 355_816, "kws": 137_709, "autoencoder": 41_090, "sww": 34_054},
}
"""Estimates of Vela 5.2.0 for an Ethos-U55 of 256 and 64 MACs, everything in SRAM, the softmax included."""

SCALE_SIM = {
    "16x16": {"resnet8": 78_590, "vww": 211_822, "kws": 56_960, "autoencoder": 33_588},
    "8x8": {"resnet8": 248_356, "vww": 406_228, "kws": 119_144, "autoencoder": 35_950},
}
"""Estimates of SCALE-Sim 3 for an array of that size in the better of its dataflows."""

COUNTERS = {
    "active": "array active",
    "wait_weights": "waiting for weights",
    "wait_input": "waiting for input",
    "wait_output": "waiting for output",
    "wait_tokens": "waiting for results, hazards",
    "idle": "no instruction",
}


def measure(array: str) -> list[dict[str, Any]]:
    """A record for each network."""
    params = parse_array(array)
    records = []
    for network in track(NETWORKS, description=f"MLPerf Tiny on {array}"):
        graph = read_tflite(models_folder() / f"{network.file}.tflite")
        began = time.process_time()
        compile_model(graph, params)
        compile_seconds = time.process_time() - began
        _, report = run(network, params)
        assert report.cycles is not None and report.counters is not None
        layers = [row for row in report.layers if (row.cycles or 0) > 200]
        records.append({
            "network": network.name,
            "array": array,
            "macs": report.macs,
            "cycles": report.cycles,
            "predicted_cycles": report.predicted_cycles,
            "worst_layer_error": max(abs(row.predicted_cycles - row.cycles) / row.cycles for row in layers if row.cycles),
            "utilization": report.utilization,
            "mismatches": report.mismatches,
            "host": [row.op for row in report.layers if row.where == "host"],
            "counters": dict(report.counters),
            "simulated_cycles_per_second": round(report.simulated_cycles_per_second or 0),
            "compile_seconds": round(compile_seconds, 2),
            "ethos_u55": ETHOS_U55.get(array, {}).get(network.name),
            "scale_sim": SCALE_SIM.get(array, {}).get(network.name),
        })  # fmt: skip
    return records


def markdown(records: list[dict[str, Any]]) -> str:
    """The records as a table of results, and one of where the cycles go."""

    def against(record: dict[str, Any], peer: str) -> str:
        return f"{record[peer]:,} ({record[peer] / record['cycles']:.1f}x)" if record[peer] else "-"

    lines = [
        "| array | network | MACs | cycles | utilization | predicted | worst layer | Ethos-U55, same MACs | SCALE-Sim 3 | "
        "cycles/s simulated | compile, CPU |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        lines.append(
            f"| {r['array']} | {r['network']} | {r['macs']:,} | **{r['cycles']:,}** | {r['utilization']:.0%} "
            f"| {r['predicted_cycles']:,} | {r['worst_layer_error']:.2%} | {against(r, 'ethos_u55')} | {against(r, 'scale_sim')} "
            f"| {r['simulated_cycles_per_second']:,} | {r['compile_seconds']} s |"
        )
    lines += ["", "Where the cycles go, in percent (as in Table 3 of the TPU paper):", ""]
    for array in dict.fromkeys(r["array"] for r in records):
        mine = [r for r in records if r["array"] == array]
        lines += [f"| {array} | " + " | ".join(r["network"] for r in mine) + " |", "|---|" + "---|" * len(mine)]
        for name, title in COUNTERS.items():
            shares = [r["counters"][name] / r["cycles"] for r in mine]
            lines.append(_row(title, shares))
            if name == "active":
                useful = [r["utilization"] for r in mine]
                lines.append(_row("&nbsp;&nbsp;useful MACs (of peak)", useful))
                lines.append(_row("&nbsp;&nbsp;unused MACs", [a - u for a, u in zip(shares, useful, strict=True)]))
        lines.append("")
    return "\n".join(lines)


def _row(title: str, shares: list[float]) -> str:
    return f"| {title} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |"


HEAD = """# MLPerf Tiny

Made by `python bench/mlperf_tiny.py -o docs/mlperf-tiny.md --json docs/mlperf-tiny.json`. Cycles are those of the RTL in
Verilator, from the start write to the last result in external memory, with everything (weights, constants, input, instructions)
in external memory at the start: a memory of 20 cycles latency and one beat per cycle, 128 bits wide at 16x16, 64 at 8x8. Every
tensor was equal to TensorFlow Lite's reference kernels. The softmax and reshapes at the end run on the host, outside these
cycles; the figures of Ethos-U55 (Vela 5.2's estimates, everything in SRAM) include it. "Worst layer" is the cycle model's largest
error on a layer of more than 200 cycles.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description="MLPerf Tiny in RTL.")
    parser.add_argument("--arrays", nargs="+", default=["16x16", "8x8"], help="array sizes (default 16x16 8x8)")
    parser.add_argument("-o", "--output", type=Path, help="write Markdown there instead of printing it")
    parser.add_argument("--json", type=Path, help="write the records there")
    arguments = parser.parse_args()
    records = [record for array in arguments.arrays for record in measure(array)]
    text = markdown(records)
    if arguments.output:
        arguments.output.write_text(HEAD + text)
    else:
        print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
