"""The tables of a program: tensors in external memory and on chip, what runs where, and the order of the steps."""

from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence

import numpy as np

from ..hw.isa import Base, Opcode
from ..hw.params import Parameters
from ..hw.program import AcceleratorRun, HostStep, HostTensor, LayerInfo, OnChipImage, TensorInfo
from .allocate import Allocation
from .bound import lower_bound
from .cut import VIEWS
from .emit import WeightRegion
from .host_steps import host_step, host_tensor
from .ir import Folded, Graph, Tensor
from .layer import Join, Load, Network, Store
from .legalize import Plan
from .macs import count_macs
from .schedule import Compute, Rows, Schedule, Tables, Weights

__all__ = ["constant_tensors", "external_tensors", "host_tensors", "layer_table", "on_chip_images", "program_steps"]

_ALIGNMENT = 64


def external_tensors(
    graph: Graph, networks: Sequence[Network]
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """What runs read that none of them computes, and what they write, in external memory.

    The model's own come first and in its order. A run reads what an earlier one wrote from where that lies.
    """
    moved = [transfers(network) for network in networks]
    stored = set().union(*(stored for _, stored in moved))
    constants = {name for name, tensor in graph.tensors.items() if tensor.data is not None}
    loaded = set().union(*(loaded for loaded, _ in moved)) - stored - constants
    order = (*graph.inputs, *graph.outputs, *graph.tensors)
    return _region(graph, order, loaded, Base.INPUT), _region(graph, order, stored, Base.OUTPUT)


def constant_tensors(graph: Graph, networks: Sequence[Network], weights: WeightRegion) -> tuple[TensorInfo, ...]:
    """The constants that runs load as images. They lie among the weights, as the accelerator has them."""
    loaded = set[str]().union(*(transfers(network)[0] for network in networks))
    found = []
    for name in (name for name in graph.tensors if name in loaded):
        tensor = graph.tensors[name]
        if tensor.data is not None:
            stored = tensor.data ^ np.uint8(128) if tensor.dtype == "uint8" else tensor.data
            offset = weights.place(stored.tobytes())
            found.append(TensorInfo(name, tensor.shape, tensor.dtype, *_affine(tensor), Base.WEIGHTS, offset))
    return tuple(found)


def transfers(network: Network) -> tuple[set[str], set[str]]:
    """The tensors that a run loads and those that it stores."""
    loaded = {step.tensor for step in network.steps if isinstance(step, Load)}
    return loaded, {step.tensor for step in network.steps if isinstance(step, Store)}


def _region(graph: Graph, order: tuple[str, ...], names: set[str], base: Base) -> tuple[TensorInfo, ...]:
    found, offset = [], 0
    for name in dict.fromkeys(name for name in order if name in names):
        tensor = graph.tensors[name]
        found.append(TensorInfo(name, tensor.shape, tensor.dtype, *_affine(tensor), base, offset))
        offset += -(-found[-1].nbytes // _ALIGNMENT) * _ALIGNMENT
    return tuple(found)


def _affine(tensor: Tensor) -> tuple[float | None, int]:
    """Scale and zero point of a tensor quantized as a whole."""
    if tensor.quantization is None or tensor.quantization.axis is not None:
        return None, 0
    return tensor.scale, tensor.zero_point


def on_chip_images(
    network: Network, schedule: Schedule, allocation: Allocation, first: int
) -> tuple[OnChipImage, ...]:
    """Each tensor as it lies on chip when it is complete; of several cuts of a tensor the first one.

    The run's instructions count from `first` on.
    """
    writers: dict[str, list[int]] = {}
    wholes = {part: whole for part, (whole, _) in network.parts.items()}
    for number, task in enumerate(schedule.tasks, first):
        written = task.layer.output if isinstance(task, Compute) else None
        if isinstance(task, Rows) and task.opcode is Opcode.LOAD:
            written = task.image
        for name in (written, wholes.get(written or "")):
            if name is not None:
                writers.setdefault(name, []).append(number)
    found = []
    for name, numbers in writers.items():
        image, place = network.images[name], allocation.places[name]
        if image.name == image.tensor:
            shape = (1, *image.layout)
            steps = (place.address, place.bank, place.row_step, place.x_step)
            found.append(OnChipImage(image.tensor, shape, *steps, numbers[0], numbers[-1]))
    return tuple(found)


def layer_table(
    graph: Graph, host: Container[str], runs: Sequence[tuple[Network, Schedule]], params: Parameters
) -> tuple[LayerInfo, ...]:
    """A row for every operator of the model. A fused operator names the layer that does its work.

    `host` has the names of the host's operators.
    """
    spans: dict[str, list[int]] = {}
    first = 0
    for _, schedule in runs:
        for number, task in enumerate(schedule.tasks, first):
            if isinstance(task, Weights | Tables | Compute):
                spans.setdefault(task.layer.operators[0], []).append(number)
            elif isinstance(task, Rows) and task.operator is not None:
                spans.setdefault(task.operator, []).append(number)
        first += len(schedule.tasks) + 1
    layers = [layer for network, _ in runs for layer in network.layers]
    leaders = {name: layer.operators[0] for layer in layers for name in layer.operators}
    makers = {layer.output: layer.operators[0] for layer in layers}
    for join in (step for network, _ in runs for step in network.steps if isinstance(step, Join)):
        made = [makers[image] for image in join.images if image in makers]
        leaders |= {join.operator: made[-1]} if made else {}
    for view in reversed(graph.operators):
        if isinstance(view, VIEWS) and view.name not in host:
            readers = [reader.name for reader in graph.consumers(view.output) if reader.name not in host]
            leaders[view.name] = leaders.get(readers[0], readers[0])
    bounds = {layer.operators[0]: lower_bound(layer, params) for layer in layers}
    rows = {}
    for operator in graph.operators:
        leader = leaders.get(operator.name)
        span = spans.get(operator.name, (None,))
        rows[operator.name] = LayerInfo(
            name=operator.name,
            op=operator.kind,
            where="host" if operator.name in host else "accelerator",
            macs=count_macs(operator, graph.tensors),
            output=operator.outputs[0],
            fused_into=None if leader == operator.name else leader,
            first_instruction=span[0],
            last_instruction=span[-1],
            bound_cycles=bounds.get(operator.name, 0),
        )
    return tuple(_in_order(graph, rows))


def _in_order(graph: Graph, rows: Mapping[str, LayerInfo]) -> Iterator[LayerInfo]:
    """The rows, and one without an output for each operator that the importer folded: where its work is done."""
    folded = deque(graph.folded)
    for operator in graph.operators:
        while folded and folded[0].index < operator.index:
            yield _folded_row(folded.popleft(), rows)
        yield rows[operator.name]
    for each in folded:
        yield _folded_row(each, rows)


def _folded_row(each: Folded, rows: Mapping[str, LayerInfo]) -> LayerInfo:
    if each.into is None:
        return LayerInfo(each.name, each.kind, "host", 0, "")
    into = rows[each.into]
    return LayerInfo(each.name, each.kind, into.where, 0, "", into.fused_into or into.name)


def program_steps(
    plan: Plan, lengths: Sequence[int], inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> tuple[HostStep | AcceleratorRun, ...]:
    """The order of host operators and runs; `lengths` are the runs' numbers of instructions."""
    steps: list[HostStep | AcceleratorRun] = []
    first = 0
    left = iter(lengths)
    for step in plan.steps:
        if isinstance(step, Network):
            count = next(left)
            loaded, stored = transfers(step)
            reads = tuple(tensor.name for tensor in (*inputs, *outputs) if tensor.name in loaded)
            writes = tuple(tensor.name for tensor in outputs if tensor.name in stored)
            steps.append(AcceleratorRun(first, count, reads, writes))
            first += count
        else:
            steps.append(host_step(step))
    return tuple(steps)


def host_tensors(
    graph: Graph, plan: Plan, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> tuple[HostTensor, ...]:
    """What the host's steps and the model name beyond the accelerator's tensors; constants with their data."""
    names = [*graph.inputs, *graph.outputs]
    for step in plan.steps:
        if not isinstance(step, Network):
            names += [*step.inputs, *step.outputs]
    known = {tensor.name for tensor in inputs + outputs}
    return tuple(host_tensor(graph.tensors[name]) for name in dict.fromkeys(names) if name not in known)
