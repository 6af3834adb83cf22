"""The network: its tensors, and its operators in an order in which each can run."""

from collections.abc import Mapping
from dataclasses import dataclass

from .ir_base import Operator, Tensor

__all__ = ["Folded", "Graph"]


@dataclass(frozen=True)
class Folded:
    """An operator of the model that the importer folded. `into` names the graph's operator that does its work, if any."""

    index: int
    name: str
    kind: str
    into: str | None


@dataclass(frozen=True, eq=False)
class Graph:
    """A network. `tensors` keeps the model's order, `operators` an order of execution.

    `folded` are the model's other operators, in its order. `notes` says, one line each, what the importer read although
    the file had it wrong.
    """

    name: str
    tensors: Mapping[str, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    folded: tuple[Folded, ...] = ()

    def producer(self, tensor: str) -> Operator | None:
        """The operator that defines a tensor; None for inputs and constants."""
        return next((operator for operator in self.operators if tensor in operator.outputs), None)

    def consumers(self, tensor: str) -> tuple[Operator, ...]:
        """The operators that read a tensor, in order."""
        return tuple(operator for operator in self.operators if tensor in operator.inputs)
