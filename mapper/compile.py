"""The recipe: a graph in, a program out."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..hw.legality import verify_program
from ..hw.params import Parameters
from ..hw.program import AcceleratorRun, Program, TensorInfo
from .arrange import CompiledRun
from .describe import constant_tensors, external_tensors, host_tensors, layer_table, on_chip_images, program_steps
from .emit import WeightRegion, emit
from .errors import TooLargeError
from .fuse import fuse as fuse_additions
from .fuse_border import fuse_borders
from .fuse_pool import fuse_pools
from .ir import Graph
from .join import join_in_place
from .layer import Move, Network
from .legalize import legalize
from .pack import pack
from .search import search
from .verify import verify_graph
from .verify_layers import verify_network

__all__ = ["Compilation", "CompiledRun", "compile_model", "compile_steps"]


@dataclass(frozen=True, eq=False)
class Compilation:
    """A program and what led to it, for reports and tests. `host` says why each host operator is the host's."""

    graph: Graph
    host: Mapping[str, str]
    runs: tuple[CompiledRun, ...]
    program: Program

    @property
    def moved(self) -> dict[str, str]:
        """The operators whose bytes the accelerator moves by way of external memory, each with a remark that says so."""
        steps = (step for run in self.runs for step in run.network.steps)
        return {
            step.operator: f"through external memory{f': {step.reason}' if step.reason else ''}"
            for step in steps
            if isinstance(step, Move) and step.operator is not None
        }


def compile_model(graph: Graph, params: Parameters, *, fuse: bool = True, on_host: str | None = None) -> Program:
    """Compile a graph for an accelerator. The same graph and parameters always give the same program.

    `fuse` puts additions and pools into the layers before them, and borders into the layers behind them. Raises
    `TooLargeError` for a network that does not fit in memory, `UnsupportedError` for one with an operator that cannot
    run at all. With `on_host`, a reason, the host runs everything.
    """
    return compile_steps(graph, params, fuse=fuse, on_host=on_host).program


def compile_steps(
    graph: Graph, params: Parameters, *, fuse: bool = True, on_host: str | None = None
) -> Compilation:
    """As `compile_model`, with the intermediate steps."""
    verify_graph(graph)
    plan = legalize(graph, params, on_host=on_host)
    inputs, outputs = external_tensors(graph, plan.networks)
    weights = WeightRegion()
    constants = constant_tensors(graph, plan.networks, weights)
    tensors = {tensor.name: tensor for tensor in inputs + outputs + constants}
    runs = tuple(_compile_run(network, tensors, params, fuse) for network in plan.networks)
    codes = [emit(run.schedule, run.network, run.tilings, run.allocation, tensors, params, weights) for run in runs]
    if params.compact:
        _check_program_memory(runs, len(weights.data) + sum(map(len, codes)), params.program_kib)
    steps = program_steps(plan, [len(run.schedule.tasks) + 1 for run in runs], inputs, outputs)
    firsts = [step.first for step in steps if isinstance(step, AcceleratorRun)]
    images = [
        on_chip_images(run.network, run.schedule, run.allocation, first)
        for run, first in zip(runs, firsts, strict=True)
    ]
    program = Program(
        params=params,
        instructions=b"".join(codes),
        weights=bytes(weights.data),
        inputs=inputs,
        outputs=outputs,
        scratch_bytes=max((run.schedule.scratch_bytes for run in runs), default=0),
        model=graph.name,
        model_inputs=graph.inputs,
        model_outputs=graph.outputs,
        tensors=sum(images, ()),
        layers=layer_table(graph, plan.host, [(run.network, run.schedule) for run in runs], params),
        host_tensors=host_tensors(graph, plan, inputs, outputs),
        steps=steps,
    )
    verify_program(program)
    return Compilation(graph, plan.host, runs, program)


def _check_program_memory(runs: tuple[CompiledRun, ...], size: int, there: int) -> None:
    """Raise `TooLargeError` at the layer of the most weights if the compact accelerator's ``there`` KiB do not hold a program."""
    if (needed := -(-size // 1024)) > there:
        largest = max((layer for run in runs for layer in run.network.layers), key=lambda layer: layer.weights.size)
        reason = f"the network's weights and instructions need {needed} KiB on chip, and there are {there}"
        raise TooLargeError(largest.kind, largest.name, reason, "use a board with external memory, or a smaller network")


def _compile_run(
    network: Network, tensors: Mapping[str, TensorInfo], params: Parameters, fuse: bool
) -> CompiledRun:
    """One run, up to its instructions."""
    verify_network(network)
    if fuse:
        network = fuse_borders(network, params)
        verify_network(network)
        network = fuse_additions(network)
        verify_network(network)
    network = pack(network, params)
    verify_network(network)
    if fuse and params.pooling:
        network = fuse_pools(network, params)
        verify_network(network)
    if fuse:
        network = join_in_place(network, params)
        verify_network(network)
    return search(network, tensors, params)
