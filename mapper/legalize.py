"""Graph operators to layers: what runs on the accelerator, in which layout, and what is left to the host."""

from dataclasses import dataclass, field, replace

from ..hw.params import Parameters
from .errors import UnsupportedError
from .ir import Graph, Operator, Reshape
from .layer import Copy, Image, Load, Network, Step, Store
from .limits import check_layer
from .lower import lower
from .lower_base import Layout, refused

__all__ = ["legalize"]


def legalize(graph: Graph, params: Parameters) -> Network:
    """The network of layers that computes a graph, and the operators that the host runs, each with its reason.

    An operator that the accelerator cannot run goes to the host if that is before or behind everything on the
    accelerator; otherwise the network would fall apart, and `UnsupportedError` says so. A reshape moves no data unless
    the new shape needs another cut into pixels, which goes by way of external memory.
    """
    builder = _Builder(graph, params)
    for operator in graph.operators:
        builder.add(operator)
    return builder.finish()


@dataclass
class _Builder:
    """The network while it grows. `roots` leads from a reshape's output to the tensor that holds its bytes."""

    graph: Graph
    params: Parameters
    images: dict[str, Image] = field(default_factory=dict)
    views: dict[str, dict[Layout, str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    host: dict[str, str] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    """Tensors that the accelerator computes."""
    behind: set[str] = field(default_factory=set)
    """Tensors that the host computes from results of the accelerator."""

    def add(self, operator: Operator) -> None:
        """Lower one operator, or leave it to the host."""
        if isinstance(operator, Reshape):
            # Whether it runs here is known once something on the accelerator reads it.
            self.roots[operator.output] = self._root(operator.input)
            return
        try:
            layer = lower(operator, self.graph.tensors, self.params, self._layout)
            check_layer(layer, self.params)
            if any(self.graph.tensors[self._root(name)].data is not None for name in layer.reads):
                raise refused(operator, "an input is a constant", "fold it before export")
        except UnsupportedError as error:
            self._leave(operator, error.reason)
            return
        for name in layer.reads:
            if (root := self._root(name)) in self.behind:
                self._refuse_second_run(operator, root)
        wanted = layer.input_layout
        source = self._view(layer.input, wanted)
        residual = layer.residual
        if residual is not None:
            residual = replace(residual, image=self._view(residual.image, wanted))
        output = self._define(operator.output, layer.output_layout)
        self.outputs.add(operator.output)
        self.steps.append(replace(layer, input=source, output=output, residual=residual))

    def finish(self) -> Network:
        """Store what the model or the host wants, and sort out the reshapes."""
        for operator in self.graph.operators:
            if isinstance(operator, Reshape) and operator.output not in self.moved:
                self.host[operator.name] = "it moves no data, and nothing on the accelerator reads it"
        wanted = list(self.graph.outputs)
        for operator in self.graph.operators:
            if operator.name in self.host:
                wanted += operator.inputs
        for tensor in dict.fromkeys(wanted):
            views = self.views.get(self._root(tensor))
            producer = self.graph.producer(tensor)
            if views and producer is not None and producer.name not in self.host:
                self.steps.append(Store(next(iter(views.values())), tensor))
        host = {
            operator.name: self.host[operator.name] for operator in self.graph.operators if operator.name in self.host
        }
        return Network(self.images, _arrange(self.steps), host)

    def _leave(self, operator: Operator, reason: str) -> None:
        self.host[operator.name] = reason
        if any(self._computed(root) or root in self.behind for root in map(self._root, operator.inputs)):
            self.behind.add(operator.output)

    def _refuse_second_run(self, operator: Operator, tensor: str) -> None:
        """The host would have to work between two runs of the accelerator."""
        culprit = self._producer(tensor)
        raise refused(
            culprit,
            f"{self.host[culprit.name]}, and {operator.name} needs the result back on the accelerator",
            "a program runs the accelerator once: cut the model there, or change that operator",
        )

    def _producer(self, tensor: str) -> Operator:
        return next(operator for operator in self.graph.operators if operator.output == tensor)

    def _root(self, tensor: str) -> str:
        return self.roots.get(tensor, tensor)

    def _layout(self, tensor: str) -> Layout | None:
        """How a tensor that is computed lies on chip; None for one that can be loaded in any layout."""
        root = self._root(tensor)
        return next(iter(self.views[root])) if self._computed(root) else None

    def _view(self, tensor: str, wanted: Layout) -> str:
        """The image that holds a tensor in a layout; loaded or copied if there is none yet."""
        root = self._root(tensor)
        while tensor != root:
            self.moved.add(tensor)
            tensor = self._producer(tensor).inputs[0]
        views = self.views.setdefault(root, {})
        if wanted in views:
            return views[wanted]
        computed = self._computed(root)
        image = self._define(root, wanted)
        self.steps.append(Copy(next(iter(views.values())), image) if computed else Load(root, image))
        return image

    def _computed(self, root: str) -> bool:
        """The accelerator itself defines the tensor."""
        return root in self.outputs

    def _define(self, tensor: str, layout: Layout) -> str:
        views = self.views.setdefault(tensor, {})
        name = tensor if not views else f"{tensor}@{'x'.join(map(str, layout))}"
        views[layout] = name
        self.images[name] = Image(name, tensor, *layout)
        return name


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
    for load in loads.values():
        ordered.append(load)
        ordered += [store for store in steps if isinstance(store, Store) and store.image == load.image]
    return tuple(ordered)
