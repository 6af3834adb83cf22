"""Where multiplier blocks go: in the order of the array, which no placer finds by itself."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["block_sites", "ecp5_sites"]

_FULL = 0.9  # a row of blocks that is nearly full is hard to route
_ELEMENT = re.compile(r"multiplier_(\d+)_(\d+)\.")


def ecp5_sites(*rows: int, groups: int, middle: int) -> tuple[tuple[str, ...], ...]:
    """nextpnr's names of an ECP5's MULT18X18D, from left to right, in each of the device's ``rows``.

    Four of them make a group, nine columns wide; two more columns stand before group number ``middle``.
    """
    left = [4 + 9 * group + 2 * (group >= middle) for group in range(groups)]
    return tuple(tuple(f"X{x + n}/Y{y}/MULT18_{n}" for x in left for n in (0, 1, 4, 5)) for y in rows)


def block_sites(blocks: Iterable[str], array: str, sites: Sequence[Sequence[str]]) -> dict[str, str]:
    """The site of each of ``blocks``, which are cells; those inside the instance ``array`` belong to its elements.

    Each row of the device takes a band of the array's rows, column by column, so that an element's neighbours are close on all
    sides; the post-processor's blocks stand behind the last band. Only as many of the last rows as are needed take any, none of
    them more than `_FULL` of its sites if that can be. Raises ``ValueError`` if there are more blocks than sites.
    """
    places = {}
    for name in blocks:
        found = _ELEMENT.match(name.removeprefix(f"{array}."))
        places[name] = (0, int(found[1]), int(found[2])) if found else (1, 0, 0)
    names = sorted(places, key=lambda name: (places[name], name))
    if len(names) > sum(map(len, sites)):
        raise ValueError(f"{len(names)} multiplier blocks do not fit into {sum(map(len, sites))}")
    used = next(
        (sites[first:] for first in range(len(sites) - 1, -1, -1) if len(names) <= _FULL * sum(map(len, sites[first:]))), sites
    )
    size = -(-len(names) // len(used))
    chosen = {}
    for number, row in enumerate(used):
        band = sorted(names[number * size : (number + 1) * size], key=lambda name: (places[name][::2], name))
        chosen |= {name: row[index * len(row) // len(band)] for index, name in enumerate(band)}
    return chosen
