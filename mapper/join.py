"""Concatenations without copies: the parts are computed or loaded where they lie in the whole image."""

from dataclasses import replace

from ..hw.isa import Mode
from ..hw.params import Parameters
from .layer import WHOLE, Image, Join, Layer, Move, Network, Runs, Step, Triple

__all__ = ["join_in_place"]


def join_in_place(network: Network, params: Parameters) -> Network:
    """Replace every move that joins images by a `Join` where the instructions can put the parts in their places.

    Rows and columns of pixels may come from anywhere. Channels must begin at a vector, be computed by layers without a
    residual operand, whose step from pixel to pixel is that of their results, and be read by layers alone.
    """
    for move in network.steps:
        if isinstance(move, Move) and move.operator is not None and len(move.images) > 1 and move.load == WHOLE:
            offsets = _offsets(network, move)
            reason = _obstacle(network, move, offsets or (), params)
            step = replace(move, reason=reason) if reason else Join(move.operator, move.images, move.output, offsets or ())
            steps: list[Step] = [step if each is move else each for each in network.steps]
            network = Network(network.images, tuple(steps))
    return network


def _offsets(network: Network, move: Move) -> tuple[Triple, ...] | None:
    """Row, column and channel at which each part begins; None if the parts are cut otherwise than the whole."""
    whole = network.images[move.output]
    sizes = [network.images[name].layout for name in move.images]
    for axis in range(3):
        alike = all(_without(size, axis) == _without(whole.layout, axis) for size in sizes)
        if alike and sum(size[axis] for size in sizes) == whole.layout[axis]:
            ends = [sum(size[axis] for size in sizes[:number]) for number in range(len(sizes))]
            if move.stores == tuple(_runs(whole, axis, end) for end in ends):
                return tuple((end * (axis == 0), end * (axis == 1), end * (axis == 2)) for end in ends)
    return None


def _without(layout: Triple, axis: int) -> tuple[int, ...]:
    return layout[:axis] + layout[axis + 1 :]


def _runs(whole: Image, axis: int, begin: int) -> Runs:
    """How a part that begins there along an axis is joined by way of external memory."""
    inner = (whole.width * whole.channels, whole.channels, 1)[axis]
    outer = (1, whole.rows, whole.rows * whole.width)[axis]
    return Runs(outer, whole.size // outer, begin * inner)


def _obstacle(network: Network, move: Move, offsets: tuple[Triple, ...], params: Parameters) -> str:
    """Why the parts cannot lie in the whole; empty if they can."""
    joined = {name for step in network.steps if isinstance(step, Join) for name in (*step.images, step.output)}
    if not offsets:
        return "its parts are cut into other pixels than the whole"
    if len(set(move.images)) != len(move.images) or joined.intersection(move.images):
        return "a part lies in another place already"
    by_channels = any(offset[2] for offset in offsets)
    if by_channels and any(offset[2] % params.vector for offset in offsets):
        return f"a part's channels begin at no multiple of {params.vector}"
    for name in move.images:
        if any(isinstance(reader, Layer) and _ties_banks(reader) for reader in network.readers(name)):
            return "a reader of a part needs it in certain banks"
        if by_channels and not _steps_freely(network, name, move):
            return "a part is loaded, stored, or read or made together with a residual operand, pixel behind pixel"
    return ""


def _ties_banks(layer: Layer) -> bool:
    """Whether the layer needs its operands in certain banks."""
    return layer.mode is Mode.DEPTHWISE and layer.residual is not None and layer.kernel != (1, 1)


def _steps_freely(network: Network, name: str, move: Move) -> bool:
    """Whether nothing but layers' inputs and results, which have a step of their own, uses an image."""
    maker = next(step for step in network.steps if step.output == name)
    if not isinstance(maker, Layer) or maker.residual is not None:
        return False
    return all(
        reader is move or (isinstance(reader, Layer) and (reader.residual is None or reader.residual.image != name))
        for reader in network.readers(name)
    )
