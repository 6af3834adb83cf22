"""The fewest cycles that a layer can take on an accelerator, however it is arranged."""

from ..hw.params import Parameters
from .layer import Layer
from .tiling import candidates, compute_cycles, fetch_vectors, rectangles

__all__ = ["lower_bound"]


def lower_bound(layer: Layer, params: Parameters) -> int:
    """Cycles from the last result before the layer to its own last one, at the least.

    Either the array's steps of the best legal tiling, without any wait, or what of the layer's weights and constants does not
    fit into the weight stream's FIFO ahead of time, at a beat per cycle.
    """
    tilings = candidates(layer, params)
    steps = min(sum(compute_cycles(layer, t, part, params) for part in rectangles(layer, t)) for t in tilings)
    weights = min(fetch_vectors(layer, t, params) for t in tilings) * params.cols - params.weight_fifo_bytes
    return max(steps, -(-weights // params.axi_bytes))
