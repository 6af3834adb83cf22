"""The networks that the benchmarks run, and one run of one of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tilewright.cli.report import Report, make_report
from tilewright.cli.session import Session
from tilewright.hw.params import Parameters
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.rtl import MemoryOptions

__all__ = ["NETWORKS", "Network", "models_folder", "run"]


@dataclass(frozen=True)
class Network:
    """A model of MLPerf Tiny: its short name and its file's name."""

    name: str
    file: str


NETWORKS = (
    Network("resnet8", "mlperf_tiny_ic_resnet8"),
    Network("vww", "mlperf_tiny_vww_mobilenet_v1_025"),
    Network("kws", "mlperf_tiny_kws_dscnn"),
    Network("autoencoder", "mlperf_tiny_ad_autoencoder"),
    Network("sww", "mlperf_tiny_sww_streaming"),
)


def models_folder() -> Path:
    """The folder that TILEWRIGHT_MODELS names. Exits with a message if there is none."""
    folder = Path(os.environ.get("TILEWRIGHT_MODELS", "../shared/models"))
    if not folder.is_dir():
        raise SystemExit(f"error: no models in {folder}: set TILEWRIGHT_MODELS to the folder with the .tflite files")
    return folder


def run(network: Network, params: Parameters, memory: MemoryOptions | None = None) -> tuple[Session, Report]:
    """The network's first case, in RTL, everything compared. Raises ``RuntimeError`` if anything differs."""
    folder = models_folder()
    graph = read_tflite(folder / f"{network.file}.tflite")
    session = Session(graph, params, memory=memory)
    with np.load(folder / f"{network.file}.cases.npz") as cases:
        shape = graph.tensors[graph.inputs[0]].shape
        case = session.rtl({graph.inputs[0]: cases["input"][:1].reshape(shape)})
        answer = cases["output_0"][:1].ravel()
    report = make_report(session, "rtl", [case])
    if report.mismatches or (case.values[graph.outputs[0]].ravel() != answer).any():
        raise RuntimeError(f"{network.name} on {params.array}: {report.mismatches} mismatches, {report.mismatched_tensors}")
    return session, report
