"""The compact accelerator's Verilog in Verilator: the host's part before and behind a run, and all that lies between."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tilewright.hw.compact.host_port import ACTIVATIONS, MEMORY_BYTES
from tilewright.hw.compact.transfers import Transfer, program_image, transfers
from tilewright.hw.isa import Base, ErrorCode
from tilewright.hw.params import BANKS, Parameters
from tilewright.hw.primitives import models
from tilewright.hw.program import Program

from .machine import COUNTERS
from .rtl import RtlResult
from .trace import Event, Trace
from .verilator import Build, Progress, run_test

__all__ = ["simulate_compact"]

_BENCH = Path(__file__).parent / "bench"

_TOKENS = {"LOAD": Event.LOAD_DONE, "COMPUTE": Event.COMPUTE_DONE, "STORE": Event.STORE_DONE}

Bytes = npt.NDArray[np.uint8]


def simulate_compact(
    program: Program,
    memory: bytes,
    bases: Mapping[Base, int],
    verilog: str,
    *,
    max_cycles: int = 0,
    trace: bool = False,
    cells: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> RtlResult:
    """Run a legal program of one run on tensors that lie in ``memory`` behind ``bases``, as its LOADs and STOREs say.

    Stops at the end, at an error or after ``max_cycles`` (0: never). The registers of the tokens are counted in the trace, and
    left out without. ``cells`` as in `Build`. Raises `SimulationError`, `ToolError`, and ``TimeoutError``
    after ``timeout`` seconds.
    """
    outside = np.frombuffer(memory, np.uint8).copy()
    image = np.zeros(MEMORY_BYTES, np.uint8)
    base, blob = program_image(program)
    image[: len(blob)] = np.frombuffer(blob, np.uint8)
    moves = list(transfers(program))
    loads = [move for move in moves if move.loads]
    for move in loads:
        move.load(image[ACTIVATIONS:], outside[bases[move.base] + move.offsets])
    with tempfile.TemporaryDirectory(prefix="tilewright-") as name:
        folder = Path(name)
        (folder / "image").write_bytes(image.tobytes())
        (folder / "tilewright.v").write_text(verilog)
        sources = (_BENCH / "compact_bench.sv", folder / "tilewright.v", *models(program.params.target))
        defines = {"TILEWRIGHT_SIDE": str(program.params.vector)} | ({"TILEWRIGHT_TRACE": "1"} if trace else {})
        executable = Build(sources=sources, top="compact_bench", defines=defines, cells=cells).executable(progress)
        files = ("image", "dump", "trace") if trace else ("image", "dump")
        plusargs: dict[str, str | int] = {"base": base, "max_cycles": max_cycles}
        bank_bytes = program.params.bank_words * program.params.vector
        plusargs |= {"program_words": 256 * program.params.program_kib, "bank_words": bank_bytes // 4}
        plusargs |= {file: str(folder / file) for file in files}
        environment = {"TILEWRIGHT_ANSWER": str(folder / "answer.json")}
        module = _BENCH / "compact_test.py"
        run_test(executable, module=module, folder=folder, plusargs=plusargs, environment=environment, timeout=timeout)
        answer = json.loads((folder / "answer.json").read_text())
        events = None
        if trace:
            events = _with_loads(Trace.read(folder / "trace", program.params.vector), loads, image[ACTIVATIONS:], program.params)
        if answer["done"]:
            left = np.fromfile(folder / "dump", np.uint8)
            for move in moves:
                if not move.loads:
                    outside[bases[move.base] + move.offsets] = left[move.places]
    tokens = {f"TOKENS_{name}": len(events.cycles(event)) for name, event in _TOKENS.items()} if events else {}
    return RtlResult(
        memory=outside.tobytes(),
        cycles=answer["cycles"],
        counted_cycles=answer["counted"],
        counters={counter: answer[counter] for counter in COUNTERS},
        finished=bool(answer["done"] or answer["error"]),
        error=ErrorCode(answer["error"]),
        error_pc=answer["error_pc"],
        error_detail=0,
        registers={"INSTRUCTIONS": answer["error_pc"]} | tokens,
        trace=events,
        seconds=answer["seconds"],
        cycles_per_second=answer["cycle"] / answer["seconds"],
    )


def _with_loads(trace: Trace, loads: list[Transfer], activations: Bytes, params: Parameters) -> Trace:
    """The trace with the host's writes before it."""
    words = np.concatenate([move.words for move in loads]) if loads else np.zeros(0, np.int64)
    vectors = activations.view(np.int8).reshape(-1, params.vector)
    bank, address = np.divmod(words, len(vectors) // BANKS)
    none = np.zeros(len(words), np.int64)
    return Trace(
        cycle=np.concatenate([none, trace.cycle]),
        event=np.concatenate([none + Event.LOAD_WRITE, trace.event]).astype(np.uint8),
        bank=np.concatenate([bank, trace.bank]).astype(np.uint8),
        address=np.concatenate([address, trace.address]).astype(np.int32),
        mask=np.concatenate([none + 1, trace.mask]).astype(np.uint8),
        data=np.concatenate([vectors[words], trace.data]),
    )
