"""The tables of a program: tensors in external memory and on chip, what runs where, and the host's steps."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..hw.isa import Base, Opcode
from ..hw.program import AcceleratorRun, HostStep, HostTensor, LayerInfo, OnChipImage, TensorInfo
from .allocate import Allocation
from .ir import (
    Add,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    Operator,
    Tensor,
)
from .layer import Load, Network, Store
from .macs import count_macs
from .schedule import Compute, Rows, Schedule, Tables, Weights

__all__ = ["external_tensors", "host_steps", "host_tensors", "layer_table", "on_chip_images"]

_ALIGNMENT = 64


def external_tensors(graph: Graph, network: Network) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """The accelerator's inputs and outputs in external memory, the model's own first and in its order."""
    loaded = {step.tensor for step in network.steps if isinstance(step, Load)}
    stored = {step.tensor for step in network.steps if isinstance(step, Store)}
    order = (*graph.inputs, *graph.outputs, *graph.tensors)
    return _region(graph, order, loaded, Base.INPUT), _region(graph, order, stored, Base.OUTPUT)


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


def on_chip_images(network: Network, schedule: Schedule, allocation: Allocation) -> tuple[OnChipImage, ...]:
    """Each tensor as it lies on chip when it is complete; of several cuts of a tensor the first one."""
    writers: dict[str, list[int]] = {}
    for number, task in enumerate(schedule.tasks):
        if isinstance(task, Compute):
            writers.setdefault(task.layer.output, []).append(number)
        elif isinstance(task, Rows) and task.opcode is Opcode.LOAD:
            writers.setdefault(task.image, []).append(number)
    found = []
    for name, numbers in writers.items():
        image, place = network.images[name], allocation.places[name]
        if image.name == image.tensor:
            shape = (1, *image.layout)
            steps = (place.address, place.bank, place.row_step, place.x_step)
            found.append(OnChipImage(image.tensor, shape, *steps, numbers[0], numbers[-1]))
    return tuple(found)


def layer_table(graph: Graph, network: Network, schedule: Schedule) -> tuple[LayerInfo, ...]:
    """A row for every operator of the model. A fused operator names the layer that does its work."""
    spans: dict[str, list[int]] = {}
    for number, task in enumerate(schedule.tasks):
        if isinstance(task, Weights | Tables | Compute):
            spans.setdefault(task.layer.operators[0], []).append(number)
    leaders = {name: layer.operators[0] for layer in network.layers for name in layer.operators}
    rows = []
    for operator in graph.operators:
        leader = leaders.get(operator.name)
        span = spans.get(operator.name, (None,))
        rows.append(
            LayerInfo(
                name=operator.name,
                op=operator.KIND,
                where="host" if operator.name in network.host else "accelerator",
                macs=count_macs(operator, graph.tensors),
                output=operator.output,
                fused_into=None if leader == operator.name else leader,
                first_instruction=span[0],
                last_instruction=span[-1],
            )
        )
    return tuple(rows)


def host_steps(graph: Graph, network: Network) -> tuple[HostStep | AcceleratorRun, ...]:
    """The order of host operators and the run: what needs nothing from the accelerator comes first."""
    computed = {step.tensor for step in network.steps if isinstance(step, Store)}
    before: list[HostStep | AcceleratorRun] = []
    behind: list[HostStep | AcceleratorRun] = []
    for operator in graph.operators:
        if operator.name in network.host:
            needs_run = any(name in computed for name in operator.inputs)
            (behind if needs_run else before).append(_host_step(operator, graph.tensors))
            if needs_run:
                computed.add(operator.output)
    return (*before, AcceleratorRun(), *behind)


def _host_step(operator: Operator, tensors: Mapping[str, Tensor]) -> HostStep:
    """The operator's kind, and as `parameters` the keyword arguments of its function in `tilewright.sim.operators`.

    Inputs are in the function's order, without an absent bias.
    """
    known = {"index", "name", "output", *operator.READS}
    parameters: dict[str, Any] = {
        field.name: getattr(operator, field.name) for field in dataclasses.fields(operator) if field.name not in known
    }
    output = tensors[operator.output]
    match operator:
        case Conv2D() | DepthwiseConv2D():
            parameters["input_zero_point"] = tensors[operator.input].zero_point
            parameters["output_zero_point"] = output.zero_point
        case FullyConnected():
            quantization = tensors[operator.weights].quantization
            for name in ("multipliers", "shifts", "keep_dims"):
                del parameters[name]
            parameters["input_zero_point"] = tensors[operator.input].zero_point
            parameters["weights_zero_point"] = quantization.zero_point[0] if quantization else 0
            parameters["output_zero_point"] = output.zero_point
        case Add():
            names = (operator.first, operator.second, operator.output)
            parameters["zero_points"] = tuple(tensors[name].zero_point for name in names)
    return HostStep(operator.KIND, operator.inputs, (operator.output,), parameters)


def host_tensors(
    graph: Graph, network: Network, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> tuple[HostTensor, ...]:
    """What the host's steps and the model name beyond the accelerator's tensors; constants with their data."""
    names = [*graph.inputs, *graph.outputs]
    for operator in graph.operators:
        if operator.name in network.host:
            names += [*operator.inputs, operator.output]
    known = {tensor.name for tensor in inputs + outputs}
    found = []
    for name in dict.fromkeys(names):
        if name not in known:
            tensor = graph.tensors[name]
            data = None if tensor.data is None else tensor.data.tobytes()
            found.append(HostTensor(name, tensor.shape, tensor.dtype, *_affine(tensor), data))
    return tuple(found)
