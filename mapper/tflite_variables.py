"""Variables of a TensorFlow Lite model: what they hold when a case begins, and what reads them.

A case begins with the initial state and keeps nothing for the next one. So a variable that is read before it is assigned
is the constant that the model's initialization subgraph gives it; one that is read later is the tensor assigned last.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from .errors import ModelError
from .ir import Operator, ReadVariable, Tensor
from .tflite_file import RawGraph
from .tflite_site import Site

__all__ = ["VARIABLE_KINDS", "Variables"]

VARIABLE_KINDS = ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")

Data = npt.NDArray[Any]
Key = tuple[str, str]

_HINT = "export the model without state, or with its variables initialized by constants"


class Variables:
    """The variables of a model that is being read.

    `subgraph` gives a subgraph by its index, and `constants` the tensors of one by name, in order, with their data;
    `kinds` has the operators' kinds by operator code.
    """

    def __init__(
        self,
        subgraph: Callable[[int], RawGraph],
        constants: Callable[[RawGraph], list[Tensor]],
        kind: Callable[[int], str],
    ) -> None:
        self._subgraph = subgraph
        self._constants = constants
        self._kind = kind
        self._handles: dict[str, Key] = {}
        self._values: dict[Key, Tensor] = {}

    def read(self, site: Site, tensors: Mapping[str, Tensor]) -> Data | Operator | None:
        """What one of `VARIABLE_KINDS` comes to: its output's constant, an operator that defines it, or nothing.

        Raises `UnsupportedError` for a variable that nothing has set, and for an initialization that computes.
        """
        match site.kind:
            case "CALL_ONCE":
                self._initialize(site, int(site.option("initSubgraphIndex")))
            case "VAR_HANDLE":
                site.single_output()
                self._handles[site.outputs[0]] = _key(site.options)
            case "ASSIGN_VARIABLE":
                self._values[self._variable(site)] = tensors[site.tensor(1, "value").name]
            case _:
                site.single_output()
                value = self._values.get(self._variable(site))
                if value is None:
                    site.unsupported("it reads a variable that nothing has set", _HINT)
                if value.dtype != site.tensors[site.outputs[0]].dtype:
                    site.broken(f"it reads a variable of type {value.dtype} as {site.tensors[site.outputs[0]].dtype}")
                if value.data is not None:
                    return value.data
                return ReadVariable(**site.common, input=value.name, shape=value.shape)
        return None

    def _variable(self, site: Site) -> Key:
        handle = site.tensor(0, "variable").name
        if handle not in self._handles:
            site.broken("its variable has no handle")
        return self._handles[handle]

    def _initialize(self, site: Site, index: int) -> None:
        """Run the operators of the initialization, which may only assign constants."""
        graph = self._subgraph(index)
        tensors = self._constants(graph)
        handles: dict[int, Key] = {}
        for raw in graph.operators:
            kind = self._kind(raw.code)
            if any(not 0 <= number < len(tensors) for number in (*raw.inputs, *raw.outputs)):
                raise ModelError(f"{site.where}: subgraph {index} names a tensor that does not exist; export the model again")
            if kind == "VAR_HANDLE" and len(raw.outputs) == 1:
                handles[raw.outputs[0]] = _key(raw.options)
            elif kind == "ASSIGN_VARIABLE" and len(raw.inputs) == 2 and raw.inputs[0] in handles:
                value = tensors[raw.inputs[1]]
                if value.data is None:
                    site.unsupported("it initializes a variable with what it computes", _HINT)
                self._values[handles[raw.inputs[0]]] = value
            else:
                site.unsupported(f"its initialization has the operator {kind}", _HINT)


def _key(options: Any) -> Key:
    """The name of a variable."""
    return str(getattr(options, "container", None)), str(getattr(options, "sharedName", None))
