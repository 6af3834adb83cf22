"""The recipe: a graph in, a program out."""

from dataclasses import dataclass

from ..hw.legality import verify_program
from ..hw.params import Parameters
from ..hw.program import Program
from .allocate import Allocation, allocate, verify_allocation
from .banks import choose_banks
from .describe import external_tensors, host_steps, host_tensors, layer_table, on_chip_images
from .emit import emit
from .fuse import fuse as fuse_additions
from .fuse_pool import fuse_pools
from .ir import Graph
from .layer import Network
from .legalize import legalize
from .pack import pack
from .schedule import Schedule, order, synchronize, verify_schedule
from .tiling import Tiling, tile
from .verify import verify_graph
from .verify_layers import verify_network, verify_tilings

__all__ = ["Compilation", "compile_model", "compile_steps"]


@dataclass(frozen=True, eq=False)
class Compilation:
    """A program and what led to it, for reports and tests."""

    graph: Graph
    network: Network
    tilings: dict[str, Tiling]
    schedule: Schedule
    allocation: Allocation
    program: Program


def compile_model(graph: Graph, params: Parameters, *, fuse: bool = True) -> Program:
    """Compile a graph for an accelerator. The same graph and parameters always give the same program.

    `fuse` puts additions and pools into the layers before them. Raises `UnsupportedError` for a network that does not fit:
    in memory, in the fields of an instruction, or because the host would have to work in its middle.
    """
    return compile_steps(graph, params, fuse=fuse).program


def compile_steps(graph: Graph, params: Parameters, *, fuse: bool = True) -> Compilation:
    """As `compile_model`, with the intermediate steps."""
    verify_graph(graph)
    network = legalize(graph, params)
    verify_network(network)
    if fuse:
        network = fuse_additions(network)
        verify_network(network)
    network = pack(network, params)
    verify_network(network)
    if fuse and params.pooling:
        network = fuse_pools(network, params)
        verify_network(network)
    tilings = tile(network, params)
    verify_tilings(network, tilings, params)
    banks = choose_banks(network, tilings)
    allocation = allocate(network, banks, params)
    verify_allocation(network, allocation, params)
    schedule = synchronize(order(network, tilings), network, allocation, params)
    verify_schedule(schedule)
    inputs, outputs = external_tensors(graph, network)
    tensors = {tensor.name: tensor for tensor in inputs + outputs}
    code = emit(schedule, network, tilings, allocation, tensors, params)
    program = Program(
        params=params,
        instructions=code.instructions,
        weights=code.weights,
        inputs=inputs,
        outputs=outputs,
        scratch_bytes=schedule.scratch_bytes,
        model=graph.name,
        model_inputs=graph.inputs,
        model_outputs=graph.outputs,
        tensors=on_chip_images(network, schedule, allocation),
        layers=layer_table(graph, network, schedule),
        host_tensors=host_tensors(graph, network, inputs, outputs),
        steps=host_steps(graph, network),
    )
    verify_program(program)
    return Compilation(graph, network, tilings, schedule, allocation, program)
