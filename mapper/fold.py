"""Operators of the model that are none of the graph: what an importer folded, and where their work went."""

from collections.abc import Iterable, Mapping, Sequence

from .ir_graph import Folded

__all__ = ["folded_operators", "reading_nodes"]


def folded_operators(
    kinds: Sequence[str], own: Mapping[int, str], readers: Mapping[int, Sequence[int]]
) -> tuple[Folded, ...]:
    """The operators, of all whose kinds these are, that are not in the graph.

    `own` names the operator of the graph that does a position's work, as far as the importer knows; the work of any
    other went into the first of its `readers`, all further on, whose work went anywhere.
    """
    into: dict[int, str | None] = {}
    for index in reversed(range(len(kinds))):
        went = (into[reader] for reader in readers.get(index, ()))
        into[index] = own.get(index) or next((name for name in went if name is not None), None)
    names = [f"{index}:{kind}" for index, kind in enumerate(kinds)]
    return tuple(
        Folded(index, names[index], kind, into[index]) for index, kind in enumerate(kinds) if own.get(index) != names[index]
    )


def reading_nodes(reads: Sequence[Iterable[str]], writes: Sequence[Iterable[str]]) -> dict[int, list[int]]:
    """For each position the later ones that read what it writes, in order; names are tensors'."""
    by_name: dict[str, list[int]] = {}
    for index, names in enumerate(reads):
        for name in names:
            by_name.setdefault(name, []).append(index)
    return {
        index: sorted({reader for name in names for reader in by_name.get(name, ()) if reader > index})
        for index, names in enumerate(writes)
    }
