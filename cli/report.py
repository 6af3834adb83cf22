"""What `tilewright run` reports: cycles by layer, totals, mismatches; as JSON for scripts and as a table for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..host.driver import Run
from ..hw.isa import Opcode
from ..hw.params import Parameters
from ..hw.program import LayerInfo, Program
from ..sim.rtl import RtlResult
from .session import Case, Session
from .tables import Column, number, percent, print_table, print_text

__all__ = ["LayerRow", "Report", "layer_cycles", "make_report", "print_report"]


@dataclass(frozen=True)
class LayerRow:
    """A row of the JSON report; scripts outside this project read these names.

    `output` is the tensor that the operator defines, empty for one that the importer folded into another.
    """

    name: str
    op: str
    where: str
    output: str
    macs: int
    cycles: int | None
    predicted_cycles: int
    bound_cycles: int
    utilization: float | None
    fused_into: str | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The JSON report.

    `cycles` are those of the slowest case; without a simulation they are None, or the predicted ones with the engine
    `cycles`. Host operators are outside them. `start_cycles` go by until the first rows of the input are on chip,
    `end_cycles` after the last layer's last result; these and the layers' cycles sum to the total. A board counts only the
    total, with a clock of `clock_hz`. `memory` is empty where there is no external one.
    """

    model: str
    array: tuple[int, int]
    engine: str
    cases: int
    verilog_sha256: str | None
    cycles: int | None
    counted_cycles: int | None
    predicted_cycles: int
    start_cycles: int | None
    end_cycles: int | None
    predicted_start_cycles: int
    predicted_end_cycles: int
    macs: int
    utilization: float | None
    mismatches: int | None
    mismatched_tensors: Mapping[str, Mapping[str, int]]
    simulated_cycles_per_second: float | None
    counters: Mapping[str, int] | None
    memory: Mapping[str, int]
    clock_hz: int | None
    layers: tuple[LayerRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self)


def layer_cycles(program: Program, ends: Mapping[int, int]) -> tuple[dict[str, int], int, int]:
    """Cycles of each layer that has instructions, and those before the first and after the last one of all runs.

    `ends` says when each instruction finished, END included, on one clock for all runs. A layer's cycles run from the
    previous layer's last result, the first one's from the end of the run's first LOAD.
    """
    cycles: dict[str, int] = {}
    before = after = begin = 0
    for run, part in zip(program.runs, program.parts, strict=True):
        own = {index: ends[run.first + index] - begin for index in range(len(part)) if run.first + index in ends}
        found, start, end = _run_cycles(part, own)
        cycles |= found
        before, after, begin = before + start, after + end, begin + own[len(part) - 1]
    return cycles, before, after


def _run_cycles(program: Program, ends: Mapping[int, int]) -> tuple[dict[str, int], int, int]:
    """As `layer_cycles`, of a program of one run."""
    loads = (index for index, (opcode, _) in enumerate(program.decoded()) if opcode is Opcode.LOAD)
    first = next(loads, None)
    start = at = 0 if first is None else ends[first]
    lasts = {layer.name: layer.last_instruction for layer in program.layers}
    timed = sorted((ends[last], name) for name, last in lasts.items() if last is not None)
    cycles = {}
    for end, name in timed:
        cycles[name] = end - at
        at = end
    return cycles, start, ends[len(program) - 1] - at


def make_report(session: Session, engine: str, cases: Sequence[Case]) -> Report:
    """The report of a session's cases, all of one engine."""
    program, params, prediction = session.program, session.params, session.prediction
    completions = dict(enumerate(prediction.completions))
    predicted, predicted_start, predicted_end = layer_cycles(program, completions)
    slowest = max((case for case in cases if case.runs is not None), key=lambda case: case.cycles, default=None)
    cycles: int | None = None
    counted: int | None = None
    start = end = None
    counters: Mapping[str, int] | None = None
    by_layer: Mapping[str, int] | None = None
    if engine == "cycles":
        cycles, counters = prediction.total, prediction.counters
        by_layer, start, end = predicted, predicted_start, predicted_end
    elif slowest is not None and slowest.runs is not None:
        cycles, counted = slowest.cycles, sum(run.counted_cycles for run in slowest.runs)
        counters = _counters(slowest.runs)
        by_layer, start, end = layer_cycles(program, slowest.ends)
    if on_board := [case.board for case in cases if case.board]:
        longest = max(on_board, key=lambda runs: sum(run.cycles for run in runs))
        cycles = counted = sum(run.cycles for run in longest)
        counters = _counters(longest) or None
    macs = sum(layer.macs for layer in program.layers if layer.where == "accelerator")
    runs = [run for case in cases for run in case.runs or ()]
    seconds = sum(run.seconds for run in runs)
    per_second = sum(run.cycles_per_second * run.seconds for run in runs) / seconds if seconds else None
    return Report(
        model=program.model,
        array=(params.rows, params.cols),
        engine=engine,
        cases=max(1, len(cases)),
        verilog_sha256=session.verilog_sha256,
        cycles=cycles,
        counted_cycles=counted,
        predicted_cycles=prediction.total,
        start_cycles=start,
        end_cycles=end,
        predicted_start_cycles=predicted_start,
        predicted_end_cycles=predicted_end,
        macs=macs,
        utilization=_utilization(macs, cycles, params),
        mismatches=sum(case.mismatches for case in cases) if any(case.differences for case in cases) else None,
        mismatched_tensors=_mismatched(cases),
        simulated_cycles_per_second=per_second,
        counters=dict(counters) if counters is not None else None,
        memory={} if params.compact else asdict(session.memory) | {"axi_bits": params.axi_bits},
        clock_hz=session.clock_hz,
        layers=tuple(_row(layer, by_layer, predicted, params) for layer in program.layers),
    )


def print_report(report: Report) -> None:
    """The report for people, on standard output."""
    columns = [
        Column("layer"), Column("op", wraps=True), Column("where"), Column("MACs", right=True), Column("cycles", right=True),
        Column("predicted", right=True), Column("bound", right=True), Column("util", right=True),
        Column("fused into", wraps=True),
    ]  # fmt: skip
    short = {layer.name: _short(layer.name, layer.op) for layer in report.layers}
    rows = [
        (
            short[layer.name],
            layer.op,
            layer.where,
            number(layer.macs),
            number(layer.cycles),
            number(layer.predicted_cycles),
            number(layer.bound_cycles),
            percent(layer.utilization) if layer.macs else "",
            short.get(layer.fused_into or "", layer.fused_into or ""),
        )
        for layer in report.layers
        if layer.output
    ]
    rows.insert(0, ("start", "", "", "", number(report.start_cycles), number(report.predicted_start_cycles), "", "", ""))
    rows.append(("end", "", "", "", number(report.end_cycles), number(report.predicted_end_cycles), "", "", ""))
    totals = (
        "total", "", "", number(report.macs), number(report.cycles), number(report.predicted_cycles),
        number(sum(layer.bound_cycles for layer in report.layers)), percent(report.utilization), "",
    )  # fmt: skip
    print_table(columns, rows, totals)
    if folded := sum(not layer.output for layer in report.layers):
        print_text(f"{folded} more operators of the model are folded into these.")
    print_text(f"Host operators are outside the cycles{_memory(report)}.")
    if report.counters is not None and report.cycles:
        shares = (f"{name} {percent(value / report.cycles)}" for name, value in report.counters.items() if value)
        print_text(f"Cycles: {', '.join(shares)}.")
    if report.clock_hz is not None and report.cycles is not None:
        print_text(f"{1e3 * report.cycles / report.clock_hz:.3f} ms at {report.clock_hz / 1e6:g} MHz.")
    if report.simulated_cycles_per_second is not None:
        print_text(f"Simulated {report.simulated_cycles_per_second:,.0f} cycles per second.")
    if report.mismatches is not None:
        cases = "1 case" if report.cases == 1 else f"{report.cases} cases"
        print_text(f"{report.mismatches:,} mismatches in {cases}: {_compared(report)}.")
    elif report.engine == "golden":
        print_text("Nothing was compared: a program has no operators beside it.")


def _row(
    layer: LayerInfo, cycles: Mapping[str, int] | None, predicted: Mapping[str, int], params: Parameters
) -> LayerRow:
    own = None if cycles is None else cycles.get(layer.name, 0)
    return LayerRow(
        name=layer.name,
        op=layer.op,
        where=layer.where,
        output=layer.output,
        macs=layer.macs,
        cycles=own,
        predicted_cycles=predicted.get(layer.name, 0),
        bound_cycles=layer.bound_cycles,
        utilization=_utilization(layer.macs, own, params),
        fused_into=layer.fused_into,
    )


def _utilization(macs: int, cycles: int | None, params: Parameters) -> float | None:
    if cycles is None:
        return None
    return macs / (params.rows * params.cols * cycles) if cycles else 0.0


def _counters(runs: Sequence[Run] | Sequence[RtlResult]) -> dict[str, int]:
    """The counters of several runs, added up."""
    return {name: sum(run.counters[name] for run in runs) for name in runs[0].counters}


def _mismatched(cases: Sequence[Case]) -> dict[str, dict[str, int]]:
    """Differing elements by comparison and tensor, summed over the cases; only what differs at all."""
    total: dict[str, dict[str, int]] = {}
    for case in cases:
        for comparison, tensors in case.differences.items():
            for name, count in tensors.items():
                found = total.setdefault(comparison, {})
                found[name] = found.get(name, 0) + count
    return total


def _short(name: str, op: str) -> str:
    return name.removesuffix(f":{op}")


def _memory(report: Report) -> str:
    memory = report.memory
    if not memory:
        return ", and so is what the host moves into the accelerator's own memory and out of it"
    return f". Memory: {memory['axi_bits']} bits, latency {memory['latency']} cycles, bandwidth {memory['bandwidth']} %"


def _compared(report: Report) -> str:
    """What was compared with what."""
    if report.engine == "rtl":
        return "every tensor stored, RTL against interpreter against operators"
    if report.engine == "board":
        return "the board's outputs against interpreter; every tensor stored, interpreter against operators"
    return "every tensor stored, interpreter against operators"
