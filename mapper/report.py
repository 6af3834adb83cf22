"""The schedule as a table: what runs where, in how many pieces, and how long the cycle model says it takes."""

from collections.abc import Sequence

from ..hw.isa import Opcode
from ..hw.params import Parameters
from ..hw.program import LayerInfo
from ..sim.cycles import predict
from .arrange import CompiledRun
from .compile import Compilation
from .layer import Layer
from .tiling import passes

__all__ = ["WIDTH", "schedule_report"]

WIDTH = 100
"""Columns of the report."""

_HEADINGS = ("layer", "where", "output", "instr", "tiles", "macs", "cycles", "bound", "over", "util")
_RIGHT = frozenset(_HEADINGS[3:])


def schedule_report(compilation: Compilation) -> str:
    """A line for every operator of the model, and the totals; lines of at most `WIDTH` characters.

    `instr` counts COMPUTE instructions, `tiles` the weight tiles of each output channel block; `cycles` are predicted,
    from one layer's last result to the next one's; `bound` is the least that the layer could take, `over` the share of the
    cycles beyond it; `util` is macs / (rows x cols x cycles).
    """
    program, params = compilation.program, compilation.program.params
    prediction = predict(program)
    opcodes = [opcode for opcode, _ in program.decoded()]
    layers = {layer.operators[0]: (run, layer) for run in compilation.runs for layer in run.network.layers}
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    finished = 0
    for info in program.layers:
        if not info.output:  # folded by the importer
            continue
        run, layer = layers.get(info.name, (None, None))
        output = "x".join(map(str, compilation.graph.tensors[info.output].shape))
        if run is None or layer is None or info.last_instruction is None or info.first_instruction is None:
            cycles = ""
            if (last := info.last_instruction) is not None:
                cycles, finished = f"{prediction.completions[last] - finished:,}", prediction.completions[last]
            moved = "moved" if cycles else "no data moved"
            where = "host" if info.where == "host" else f"in {info.fused_into}" if info.fused_into else moved
            rows.append((info.name, where, output, "", "", "", cycles, "", "", ""))
            if reason := compilation.host.get(info.name):
                notes.append(f"{info.name} runs on the host: {reason}")
            continue
        end = prediction.completions[info.last_instruction]
        own, finished = end - finished, end
        computes = opcodes[info.first_instruction : info.last_instruction + 1].count(Opcode.COMPUTE)
        rows.append((*_name(info, layer, output), str(computes), *_numbers(run, layer, info, params, own)))
    total = sum(info.macs for info in program.layers)
    bound = sum(info.bound_cycles for info in program.layers)
    utilization = total / (params.rows * params.cols * prediction.total) if prediction.total else 0.0
    rows.append(("total", "", "", str(opcodes.count(Opcode.COMPUTE)), "", f"{total:,}", f"{prediction.total:,}",
                 f"{bound:,}", _over(prediction.total, bound), f"{utilization:.0%}"))  # fmt: skip
    memory = (
        f"{params.array}: {len(program)} instructions, {len(program.weights):,} bytes of weights, "
        f"{max((run.allocation.kib(params) for run in compilation.runs), default=0.0):.1f} of {params.activation_kib} "
        f"KiB on chip{f', {len(compilation.runs)} runs' if len(compilation.runs) != 1 else ''}"
    )
    return "\n".join([memory, "", *_table([_HEADINGS, *rows]), *_folded(notes)]) + "\n"


def _name(info: LayerInfo, layer: Layer, output: str) -> tuple[str, str, str]:
    return info.name, layer.mode.name.lower(), output


def _numbers(run: CompiledRun, layer: Layer, info: LayerInfo, params: Parameters, cycles: int) -> tuple[str, ...]:
    tiles = passes(layer, run.tilings[layer.name], params)
    utilization = info.macs / (params.rows * params.cols * cycles) if cycles > 0 else 0
    bound = info.bound_cycles
    return str(tiles), f"{info.macs:,}", f"{cycles:,}", f"{bound:,}", _over(cycles, bound), f"{utilization:.0%}"


def _over(cycles: int, bound: int) -> str:
    """The share of the cycles beyond the bound."""
    return f"{(cycles - bound) / cycles:.1%}" if cycles > 0 else ""


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Aligned columns; the first ones shrink if the lines are too long."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widths[max(range(3), key=lambda column: widths[column])] -= 1
    lines = []
    for row in rows:
        cells = [
            cell[:width].rjust(width) if heading in _RIGHT else cell[:width].ljust(width)
            for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _folded(notes: list[str]) -> list[str]:
    """Notes below the table, shortened to a line each."""
    lines = [note if len(note) <= WIDTH else note[: WIDTH - 3] + "..." for note in notes]
    return ["", *lines] if lines else []
