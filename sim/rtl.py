"""The generated Verilog in Verilator, from the start write to the interrupt: memory, cycles, counters, trace."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilewright.hw.counters import Category
from tilewright.hw.isa import Base, ErrorCode
from tilewright.hw.params import Parameters
from tilewright.hw.primitives import models
from tilewright.hw.registers import OFFSETS, REGISTERS, Access

from .latencies import MemoryModel
from .trace import Trace
from .verilator import Build, Progress, SimulationError, run_test

__all__ = ["BenchRun", "Faults", "MemoryOptions", "RtlResult", "run_bench", "simulate"]

_BENCH = Path(__file__).parent / "bench"
_START = 1


@dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """The external memory: cycles from a read address to its first beat and from the last write beat to its response,
    percent of cycles in which a beat passes (each way), and bursts that it takes up to ``turnover`` cycles before the first one's
    last beat (1, if beats do not pass in all cycles), or to its response."""

    latency: int = 20
    write_latency: int = 4
    bandwidth: int = 100
    outstanding: int = 64
    turnover: int = 1

    @property
    def model(self) -> MemoryModel:
        """The same memory for the cycle model."""
        return MemoryModel(
            latency=self.latency,
            write_latency=self.write_latency,
            bandwidth=self.bandwidth,
            outstanding=self.outstanding,
            turnover=self.turnover,
        )

    def __post_init__(self) -> None:
        for name, low, high in (
            ("latency", 1, 1 << 20),
            ("write_latency", 1, 1 << 20),
            ("bandwidth", 1, 100),
            ("outstanding", 1, 4096),
            ("turnover", 1, 16),
        ):
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"{name}: {value!r} is not {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong: addresses whose reads or writes answer SLVERR; ``mute`` is the cycle after the start from which
    nothing is answered any more (0: never)."""

    reads: range = range(0)
    writes: range = range(0)
    mute: int = 0


@dataclass(frozen=True, kw_only=True)
class BenchRun:
    """What a run left behind. ``cycles`` is from the start to the last write's response, ``simulated_cycles`` is how
    long the simulation took from there to its end, in ``seconds``. ``interrupted`` is false if ``max_cycles`` came
    first."""

    memory: bytes
    registers: Mapping[int, int]
    cycles: int
    interrupted: bool
    simulated_cycles: int
    seconds: float
    trace: Trace | None


@dataclass(frozen=True, kw_only=True)
class RtlResult:
    """One run of a program in RTL.

    ``cycles`` is the bench's count, ``counted_cycles`` the accelerator's own; ``counters`` are its cycles by
    `Category`, in lower case. ``finished`` is false if it was stopped by ``max_cycles``. ``seconds`` are of
    simulation alone.
    """

    memory: bytes
    cycles: int
    counted_cycles: int
    counters: Mapping[str, int]
    finished: bool
    error: ErrorCode
    error_pc: int
    error_detail: int
    registers: Mapping[str, int]
    trace: Trace | None
    seconds: float
    cycles_per_second: float


def run_bench(
    verilog: str,
    params: Parameters,
    memory: bytes,
    writes: Sequence[tuple[int, int]],
    reads: Sequence[int] = (),
    *,
    start_address: int = OFFSETS["CONTROL"],
    options: MemoryOptions | None = None,
    faults: Faults | None = None,
    max_cycles: int = 0,
    trace: bool = False,
    cells: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> BenchRun:
    """Write registers (the last write starts), run until the interrupt, read registers.

    ``memory`` is the external memory, from address 0; ``cells`` as in `Build`. Without a write of bit 0
    to ``start_address`` nothing runs and the registers are read at once. Raises `SimulationError`, where the design
    breaks a rule of the bus among other reasons, `ToolError`, and ``TimeoutError`` after ``timeout`` seconds.
    """
    options, faults = options or MemoryOptions(), faults or Faults()
    memory_bytes = -(-len(memory) // 16) * 16
    with tempfile.TemporaryDirectory(prefix="tilewright-") as name:
        folder = Path(name)
        executable = _build(folder, verilog, params, trace=trace, cells=cells).executable(progress)
        (folder / "image").write_bytes(memory)
        job = {
            "writes": [[int(address), value] for address, value in writes],
            "wait": any(address == start_address and value & _START for address, value in writes),
            "reads": [int(address) for address in reads],
            "answer": str(folder / "answer.json"),
        }
        (folder / "job.json").write_text(json.dumps(job))
        plusargs: dict[str, str | int] = {
            "memory_bytes": memory_bytes,
            "read_latency": options.latency,
            "write_latency": options.write_latency,
            "bandwidth": options.bandwidth,
            "outstanding": options.outstanding,
            "turnover": options.turnover,
            "read_error_base": faults.reads.start,
            "read_error_bytes": len(faults.reads),
            "write_error_base": faults.writes.start,
            "write_error_bytes": len(faults.writes),
            "mute": faults.mute,
            "max_cycles": max_cycles,
            "start_address": start_address,
            **{file: str(folder / file) for file in ("image", "dump", "failure", "trace")},
        }
        environment = {"TILEWRIGHT_JOB": str(folder / "job.json")}
        module = _BENCH / "network_test.py"
        run_test(executable, module=module, folder=folder, plusargs=plusargs, environment=environment, timeout=timeout)
        if (failure := folder / "failure").is_file():
            raise SimulationError(f"AXI: {failure.read_text().strip()}", "")
        answer = json.loads((folder / "answer.json").read_text())
        return BenchRun(
            memory=_patched(memory, (folder / "dump").read_bytes(), params.axi_bytes),
            registers={int(address): value for address, value in answer["registers"].items()},
            cycles=answer["cycles"],
            interrupted=answer["interrupted"],
            simulated_cycles=answer["simulated_cycles"],
            seconds=answer["seconds"],
            trace=Trace.read(folder / "trace", params.vector) if trace else None,
        )


def simulate(
    memory: bytes,
    bases: Mapping[Base, int],
    params: Parameters,
    verilog: str,
    *,
    program_length: int = 0,
    watchdog: int = 100_000,
    max_cycles: int = 0,
    options: MemoryOptions | None = None,
    faults: Faults | None = None,
    trace: bool = False,
    cells: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> RtlResult:
    """Run the program that lies in ``memory`` (the external memory, from address 0) behind the base registers
    ``bases``.

    Stops at the end, at an error, after ``watchdog`` cycles without progress (an error as well) or after
    ``max_cycles`` (0: never). An accelerator's error is part of the result. Raises as `run_bench` does.
    """
    run = run_bench(
        verilog,
        params,
        memory,
        writes=[
            *((OFFSETS[f"BASE_{base.name}"], address) for base, address in bases.items()),
            (OFFSETS["PROGRAM_LENGTH"], program_length),
            (OFFSETS["WATCHDOG"], watchdog),
            (OFFSETS["CONTROL"], _START),
        ],
        reads=[register.offset for register in REGISTERS if register.access is not Access.WRITE],
        options=options,
        faults=faults,
        max_cycles=max_cycles,
        trace=trace,
        cells=cells,
        timeout=timeout,
        progress=progress,
    )
    names = {register.offset: register.name for register in REGISTERS}
    registers = {names[offset]: value for offset, value in run.registers.items()}
    return RtlResult(
        memory=run.memory,
        cycles=run.cycles,
        counted_cycles=registers["CYCLES_LO"] | registers["CYCLES_HI"] << 32,
        counters={category.name.lower(): registers[f"COUNTER_{category.name}"] for category in Category},
        finished=run.interrupted,
        error=ErrorCode(registers["ERROR"]),
        error_pc=registers["ERROR_PC"],
        error_detail=registers["ERROR_DETAIL"],
        registers=registers,
        trace=run.trace,
        seconds=run.seconds,
        cycles_per_second=run.simulated_cycles / run.seconds if run.seconds else 0.0,
    )


def _build(folder: Path, verilog: str, params: Parameters, *, trace: bool, cells: bool) -> Build:
    design = folder / "tilewright.v"
    design.write_text(verilog)
    parameters = {"AXI_BITS": params.axi_bits}
    if trace:
        parameters |= {
            "VECTOR_BYTES": params.vector,
            "UNITS": params.units,
            "BANK_ADDRESS_BITS": (params.bank_words - 1).bit_length(),
        }
    return Build(
        sources=(_BENCH / "bench.sv", _BENCH / "axi_memory.sv", design, *models(params.target)),
        top="bench",
        parameters=parameters,
        defines={"TILEWRIGHT_TRACE": "1"} if trace else {},
        includes=(_BENCH,),
        cells=cells,
    )


def _patched(memory: bytes, dump: bytes, word_bytes: int) -> bytes:
    """The memory with the bench's dump in it: the number of the first word, and the words from there on."""
    start = int.from_bytes(dump[:4], "little") * word_bytes
    words = dump[4:]
    return memory[:start] + words[: len(memory) - start] + memory[start + len(words) :] if words else memory
