"""The first bank of each image: residual operand and activation should not meet in a bank, and in places must not."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..hw.isa import Mode
from ..hw.params import BANKS
from .layer import Layer, Network
from .tiling import Tiling

__all__ = ["choose_banks", "meetings", "shares_place"]

_FORBIDDEN = 1 << 30


@dataclass(frozen=True)
class _Tie:
    """What it costs if `second`'s first bank lies 0 to 3 banks behind `first`'s."""

    first: str
    second: str
    costs: tuple[int, ...]

    @property
    def weight(self) -> int:
        return max(self.costs)


def choose_banks(network: Network, tilings: Mapping[str, Tiling]) -> dict[str, int]:
    """The bank of the first row of each image that does not lie in another.

    Heaviest ties first: a tie between two groups of images turns one group against the other as suits it best, and
    leaves each group as it is in itself. So every tie that closes no cycle is met at its least cost; those of
    depthwise layers form none (see `fuse`). Raises `ValueError` if they do.
    """
    ties = sorted(_ties(network, tilings), key=lambda tie: -tie.weight)
    names = [name for name in network.images if name not in network.parts]
    groups = {name: frozenset((name,)) for name in names}
    banks = dict.fromkeys(names, 0)
    for tie in ties:
        first, second = groups[tie.first], groups[tie.second]
        if first is second:
            continue
        between = [other for other in ties if {groups[other.first], groups[other.second]} == {first, second}]

        def turned(turn: int, ties: list[_Tie] = between, moved: frozenset[str] = second) -> int:
            return sum(_cost(tie, banks, moved, turn) for tie in ties)

        turn = min(range(BANKS), key=turned)
        for name in second:
            banks[name] = (banks[name] + turn) % BANKS
        groups.update(dict.fromkeys(first | second, first | second))
    for tie in ties:
        if _cost(tie, banks, frozenset(), 0) >= _FORBIDDEN:
            raise ValueError(f"images {tie.first!r} and {tie.second!r} meet in a bank")
    return banks


def shares_place(network: Network, layer: Layer, source: str) -> bool:
    """Whether the output may replace an image that the layer reads: pixel by pixel, each read before it is written.

    That needs the same layout, no later reader, and no step that reads the place of a pixel already written. Only
    computed images are replaced: one that is loaded may still be on its way while the layer works on its first rows.
    """
    if layer.pooled is not None or all(source != other.output for other in network.layers):
        return False
    if network.images[source].layout != network.images[layer.output].layout or layer.batch != 1:
        return False
    if network.readers(source)[-1] is not layer:
        return False
    if source != layer.input:
        return True
    residual_too = layer.residual is not None and layer.residual.image == source
    return layer.pointwise and layer.mode is Mode.DEPTHWISE and not residual_too


def meetings(layer: Layer, tiling: Tiling, behind: int) -> int:
    """Steps in which residual operand and activation meet, if the one's first bank is `behind` the other's."""
    last = (-(-layer.kernel[0] // tiling.group_rows) - 1) * tiling.group_rows * layer.dilation[0]
    found = 0
    for item in range(layer.batch):
        for row in range(layer.out_size[0]):
            top = layer.origin[0] + row * layer.stride[0] + last
            for group in range(tiling.group_rows):
                banks = item * layer.size[0] + top + group, item * layer.out_size[0] + row + behind
                inside = layer.mode is Mode.DEPTHWISE or 0 <= top < layer.size[0]
                found += inside and (banks[0] - banks[1]) % BANKS == 0
    return found * layer.out_size[1]


def _ties(network: Network, tilings: Mapping[str, Tiling]) -> list[_Tie]:
    ties = []
    for layer in network.layers:
        if layer.residual is not None:
            tiling = tilings[layer.name]
            costs = [meetings(layer, tiling, behind) for behind in range(BANKS)]
            if layer.mode is Mode.DEPTHWISE and layer.kernel != (1, 1):
                costs = [_FORBIDDEN if cost else 0 for cost in costs]
            ties.append(_Tie(layer.input, layer.residual.image, tuple(costs)))
        for source in dict.fromkeys(layer.reads):
            # In place only if the banks are the same; worth less than a single step, since memory is not short
            # everywhere.
            if shares_place(network, layer, source):
                ties.append(_Tie(source, layer.output, (0, 1, 1, 1)))
    parts = network.parts
    return [tie for tie in ties if tie.first != tie.second and not parts.keys() & {tie.first, tie.second}]


def _cost(tie: _Tie, banks: Mapping[str, int], moved: frozenset[str], turn: int) -> int:
    first = banks[tie.first] + (turn if tie.first in moved else 0)
    second = banks[tie.second] + (turn if tie.second in moved else 0)
    return tie.costs[(second - first) % BANKS]
