"""Graph operators to layers: what runs on the accelerator, in which layout, and what is left to the host."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..hw.params import Parameters
from .cut import VIEWS, Cut, cut, find_roots
from .errors import UnsupportedError
from .ir import (
    Add,
    Concatenation,
    Graph,
    Lookup,
    Maximum,
    Minimum,
    Mul,
    Operator,
    Prelu,
    Quantize,
    ResizeNearestNeighbor,
    SquaredDifference,
    Sub,
    Unsupported,
)
from .layer import WHOLE, Image, Load, Move, Network, Step, Store
from .limits import check_layer
from .lower import lower
from .lower_base import Layout, natural_layout, refused
from .moves import MOVES, moves

__all__ = ["Plan", "check_operator", "legalize"]

_POINTWISE = (Lookup, Quantize, Prelu, Add, Sub, Mul, Maximum, Minimum, SquaredDifference)
"""Operators without weights: with a single operand, they cost the accelerator more than the host."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What the accelerator's runs and the host do, in order, and why each host operator is the host's, by name."""

    steps: tuple[Network | Operator, ...]
    host: Mapping[str, str]

    @property
    def networks(self) -> tuple[Network, ...]:
        """The runs of the accelerator."""
        return tuple(step for step in self.steps if isinstance(step, Network))


def legalize(graph: Graph, params: Parameters, *, on_host: str | None = None) -> Plan:
    """The networks of layers that compute a graph, with as few runs as can be, and the host's operators between them.

    What the accelerator cannot run, or would have to fetch from the host for little work, goes to the host with its
    reason. A reshape moves no data unless the new shape needs another cut into pixels, which goes by way of external
    memory. `on_host` is a reason for the host to run everything. Raises `UnsupportedError` for an operator that neither
    can run.
    """
    roots = find_roots(graph)
    reasons: dict[str, str] = {}
    computed: set[str] = set()
    for operator in graph.operators:
        if isinstance(operator, Unsupported):
            raise UnsupportedError(operator.kind, operator.name, operator.reason, operator.hint)
        if on_host is not None and not isinstance(operator, VIEWS):
            reasons[operator.name] = on_host
        elif not isinstance(operator, VIEWS):
            try:
                _judge(operator, graph, params, roots, computed)
                computed.update(operator.outputs)
            except UnsupportedError as error:
                reasons[operator.name] = error.reason
    while True:
        try:
            return _plan(graph, params, roots, cut(graph, reasons))
        except UnsupportedError as error:  # In the layout that its operand has here, a layer cannot run after all.
            assert error.where not in reasons
            reasons[error.where] = error.reason


def check_operator(operator: Operator, graph: Graph, params: Parameters) -> None:
    """Raise `UnsupportedError` if the accelerator cannot run an operator, whatever stands around it."""
    if isinstance(operator, MOVES):
        moves(operator, graph.tensors)
        if params.compact:
            raise _no_way_round(operator)
        reads = operator.inputs
    else:
        layer = lower(operator, graph.tensors, params, lambda _: None)
        check_layer(layer, params)
        reads = layer.reads
    if not isinstance(operator, Concatenation) and any(graph.tensors[name].data is not None for name in reads):
        raise refused(operator, "an input is a constant", "fold it before export")


def _no_way_round(operator: Operator) -> UnsupportedError:
    reason = "the accelerator has no external memory by way of which it could move bytes"
    return refused(operator, reason, "it runs on the host")


def _judge(
    operator: Operator, graph: Graph, params: Parameters, roots: Mapping[str, str], computed: set[str]
) -> None:
    """Raise `UnsupportedError` if the accelerator cannot run an operator, or should not.

    `computed` are the tensors that it has computed so far.
    """
    check_operator(operator, graph, params)
    operands = [roots.get(name, name) for name in operator.inputs if graph.tensors[name].data is None]
    if any(graph.tensors[name].data is not None for name in operands):
        raise refused(operator, "an input is a constant", "fold it before export")
    if isinstance(operator, Quantize) and operator.output in graph.outputs:
        raise refused(operator, "the host requantizes at the network's edge", "it costs no cycles there")
    if isinstance(operator, MOVES) and not computed.intersection(operands):
        raise refused(operator, "its operands are the host's", "it costs no cycles there")
    if isinstance(operator, _POINTWISE) and len(operands) == 1 and operands[0] not in computed:
        raise refused(operator, "its operand is the host's", "it costs no cycles there")


def _plan(graph: Graph, params: Parameters, roots: Mapping[str, str], parts: Cut) -> Plan:
    wanted = set(graph.outputs)
    for operators in parts.before:
        wanted.update(name for operator in operators for name in operator.inputs)
    for operators in parts.runs:
        computed = {name for operator in operators for name in operator.outputs}
        read = {roots.get(name, name) for operator in operators for name in operator.inputs}
        wanted |= read - computed
    steps: list[Network | Operator] = []
    for operators, host in zip(parts.runs, parts.before, strict=False):
        builder = _Builder(graph, params, roots)
        for operator in operators:
            builder.add(operator)
        steps += [*host, builder.finish(wanted)]
    return Plan((*steps, *parts.before[-1]), parts.reasons)


@dataclass
class _Builder:
    """The network of one run while it grows. `roots` leads from a view to the tensor that holds its bytes."""

    graph: Graph
    params: Parameters
    roots: Mapping[str, str]
    images: dict[str, Image] = field(default_factory=dict)
    views: dict[str, dict[Layout, str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, None] = field(default_factory=dict)
    """Tensors that the run computes, in order."""

    def add(self, operator: Operator) -> None:
        """Lower one operator."""
        if isinstance(operator, MOVES):
            self._move(operator)
            return
        layer = lower(operator, self.graph.tensors, self.params, self._layout)
        check_layer(layer, self.params)
        wanted = layer.input_layout
        if self.params.compact and self._layout(layer.input) not in (None, wanted):
            raise _no_way_round(operator)
        source = self._view(layer.input, wanted)
        residual = layer.residual
        if residual is not None:
            residual = replace(residual, image=self._view(residual.image, wanted))
        output = self._define(operator.output, layer.output_layout)
        self.outputs[operator.output] = None
        self.steps.append(replace(layer, input=source, output=output, residual=residual))

    def _move(self, operator: MOVES) -> None:
        if isinstance(operator, ResizeNearestNeighbor):
            self._enlarge(operator)
            return
        for move in moves(operator, self.graph.tensors):
            images = tuple(self._view(name, self._any_layout(name)) for name in move.images)
            output = self._define(move.output, natural_layout(self.graph.tensors[move.output].shape))
            self.outputs[move.output] = None
            self.steps.append(replace(move, images=images, output=output))

    def _enlarge(self, operator: ResizeNearestNeighbor) -> None:
        """By way of an image that is wide enough, and of another tensor's name: none of the graph."""
        batch, height, width, channels = self.graph.tensors[operator.input].shape
        across, down = moves(operator, self.graph.tensors)
        source = self._view(operator.input, (batch * height, width, channels))
        wide = batch * height, width * len(across.images), channels
        self.images[across.output] = Image(across.output, operator.input, *wide)
        output = self._define(operator.output, (batch * operator.size[0], operator.size[1], channels))
        self.outputs[operator.output] = None
        self.steps.append(replace(across, images=(source,) * len(across.images)))
        self.steps.append(replace(down, output=output))

    def _any_layout(self, tensor: str) -> Layout:
        """The layout that a tensor has, or a good one to load it in."""
        return self._layout(tensor) or natural_layout(self.graph.tensors[tensor].shape)

    def finish(self, wanted: Iterable[str]) -> Network:
        """Store what is wanted of the run's results."""
        stored = set(wanted) & self.outputs.keys()
        self.steps += [Store(next(iter(self.views[name].values())), name) for name in self.outputs if name in stored]
        if self.params.compact:
            return Network(self.images, tuple(sorted(self.steps, key=_host_first_and_last)))
        return Network(self.images, _arrange(self.steps))

    def _layout(self, tensor: str) -> Layout | None:
        """How a tensor that the run computes lies on chip; None for one that can be loaded in any layout."""
        root = self.roots.get(tensor, tensor)
        return next(iter(self.views[root])) if root in self.outputs else None

    def _view(self, tensor: str, wanted: Layout) -> str:
        """The image that holds a tensor in a layout; loaded or copied if there is none yet."""
        root = self.roots.get(tensor, tensor)
        views = self.views.setdefault(root, {})
        if wanted in views:
            return views[wanted]
        image = self._define(root, wanted)
        if root in self.outputs:
            source = next(iter(views.values()))
            self.steps.append(Move(None, (source,), image, (WHOLE,), WHOLE, self.images[image].size))
        else:
            self.steps.append(Load(root, image))
        return image

    def _define(self, tensor: str, layout: Layout) -> str:
        views = self.views.setdefault(tensor, {})
        name = tensor if not views else f"{tensor}@{'x'.join(map(str, layout))}"
        views[layout] = name
        self.images[name] = Image(name, tensor, *layout)
        return name


def _host_first_and_last(step: Step) -> int:
    """Where the host moves the bytes, it does so before and behind everything else."""
    return -1 if isinstance(step, Load) else 1 if isinstance(step, Store) else 0


def _arrange(steps: list[Step]) -> tuple[Step, ...]:
    """Each load right before the first step that reads it, each store right behind the step that defines it.

    So an image takes memory no longer than it must.
    """
    loads = {step.image: step for step in steps if isinstance(step, Load)}
    ordered: list[Step] = []
    for step in steps:
        if isinstance(step, Load | Store):
            continue
        ordered += [loads.pop(name) for name in dict.fromkeys(step.reads) if name in loads]
        ordered.append(step)
        ordered += [store for store in steps if isinstance(store, Store) and store.image == step.output]
    return tuple(ordered)
