"""The search for tilings: from the estimate's choice on, one layer at a time, by what the cycle model says of the whole run."""

from collections.abc import Mapping

from ..hw.params import Parameters
from ..hw.program import TensorInfo
from ..sim.cycles import Prediction
from .arrange import CompiledRun, arrange, predict_cycles
from .bound import lower_bound
from .errors import UnsupportedError
from .layer import Layer, Load, Network
from .schedule import Compute
from .tiling import Tiling, candidates, cost, tile

__all__ = ["search"]

TRIALS = 12
"""Arrangements that are tried besides the first: compiling takes seconds, and always as long for the same network."""

ALTERNATIVES = 3
"""Tilings of a layer that are tried, the best ones by estimate."""


def search(network: Network, tensors: Mapping[str, TensorInfo], params: Parameters) -> CompiledRun:
    """The arrangement of the fewest cycles among those tried; ties go to the earlier one.

    The estimate (`tiling.tile`) chooses all tilings; then those of the layers that are farthest from their lower bounds are
    exchanged, and what makes the run shorter is kept. Raises `UnsupportedError` if the first choice does not fit in memory.
    """
    best = arrange(network, tile(network, params), params)
    prediction = predict_cycles(best, tensors, params)
    loaded = {step.image for step in network.steps if isinstance(step, Load)}
    trials = TRIALS
    for layer in _by_distance(best, prediction, params):
        for tiling in _alternatives(layer, best.tilings[layer.name], params, loaded):
            if trials == 0:
                return best
            trials -= 1
            try:
                other = arrange(network, best.tilings | {layer.name: tiling}, params)
            except UnsupportedError:
                continue
            predicted = predict_cycles(other, tensors, params)
            if predicted.total < prediction.total:
                best, prediction = other, predicted
    return best


def _by_distance(run: CompiledRun, prediction: Prediction, params: Parameters) -> list[Layer]:
    """The layers, those first that take the most cycles beyond their lower bounds."""
    ends = {
        task.layer.name: end
        for task, end in zip(run.schedule.tasks, prediction.completions, strict=False)  # END is no task
        if isinstance(task, Compute)
    }
    distances: list[tuple[int, int]] = []
    former = 0
    for number, layer in enumerate(run.network.layers):
        distances.append((former + lower_bound(layer, params) - ends[layer.name], number))
        former = ends[layer.name]
    return [run.network.layers[number] for _, number in sorted(distances)]


def _alternatives(layer: Layer, chosen: Tiling, params: Parameters, loaded: set[str]) -> list[Tiling]:
    ranked = sorted((cost(layer, tiling, params, loaded), tiling) for tiling in candidates(layer, params) if tiling != chosen)
    return [tiling for _, tiling in ranked[:ALTERNATIVES]]
