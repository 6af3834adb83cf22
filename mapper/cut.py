"""The cut of a graph into runs of the accelerator and host operators between them, with as few runs as can be."""

from collections.abc import Mapping
from dataclasses import dataclass

from .ir import Graph, Operator, Reshape

__all__ = ["VIEWS", "Cut", "cut", "find_roots"]

VIEWS = Reshape
"""Operators that give the same bytes another shape."""

_MOVES_NO_DATA = "it moves no data"


@dataclass(frozen=True)
class Cut:
    """What each run computes, and what the host runs before each run and behind the last one; names of operators.

    `before` has one entry more than `runs`. A view stands in `before` if the host makes it; one that the accelerator
    reads through is in neither, unless the host needs it too. `reasons` says why each host operator is the host's.
    """

    runs: tuple[tuple[Operator, ...], ...]
    before: tuple[tuple[Operator, ...], ...]
    reasons: Mapping[str, str]


def find_roots(graph: Graph) -> dict[str, str]:
    """For each view's output the tensor that holds its bytes."""
    roots: dict[str, str] = {}
    for operator in graph.operators:
        if isinstance(operator, VIEWS):
            roots[operator.output] = roots.get(operator.input, operator.input)
    return roots


def cut(graph: Graph, reasons: Mapping[str, str]) -> Cut:
    """Cut a graph whose operators in `reasons` the accelerator cannot run.

    Each operator runs as early as the ones before it allow: so there are as many runs as the most host operators that
    stand, with something on the accelerator on both of their sides, one behind the other.
    """
    level: dict[str, int] = {}
    ready: dict[str, tuple[int, int]] = {}  # of each tensor: the first run that can read it, and the first host slot
    for operator in graph.operators:
        run = max((ready.get(name, (0, 0))[0] for name in operator.inputs), default=0)
        slot = max((ready.get(name, (0, 0))[1] for name in operator.inputs), default=0)
        if isinstance(operator, VIEWS):
            level[operator.name], result = slot, (run, slot)
        elif operator.name in reasons:
            level[operator.name], result = slot, (slot, slot)
        else:
            level[operator.name], result = run, (run, run + 1)
        ready |= dict.fromkeys(operator.outputs, result)
    why = dict(reasons) | {operator.name: _MOVES_NO_DATA for operator in _host_views(graph, reasons)}
    host = [operator for operator in graph.operators if operator.name in why]
    placed = [op for op in graph.operators if op.name not in why and not isinstance(op, VIEWS)]
    count = 1 + max((level[operator.name] for operator in placed), default=-1)
    return Cut(
        runs=tuple(tuple(op for op in placed if level[op.name] == number) for number in range(count)),
        before=tuple(tuple(op for op in host if level[op.name] == number) for number in range(count + 1)),
        reasons={operator.name: why[operator.name] for operator in host},
    )


def _host_views(graph: Graph, reasons: Mapping[str, str]) -> list[Operator]:
    """The views whose tensor the host or the model wants, or that nothing on the accelerator reads through."""
    wanted, read, found = set(graph.outputs), set[str](), list[Operator]()
    for operator in reversed(graph.operators):
        if isinstance(operator, VIEWS):
            if operator.output in wanted or operator.output not in read:
                found.append(operator)
                wanted.add(operator.input)
            if operator.output in read:
                read.add(operator.input)
        else:
            (wanted if operator.name in reasons else read).update(operator.inputs)
    return found
