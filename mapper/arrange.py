"""A run of the accelerator: a network with its tilings becomes places in memory and tasks in order."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..hw.encoding import decode
from ..hw.isa import INSTRUCTION_BYTES
from ..hw.params import Parameters
from ..hw.program import TensorInfo
from ..sim.cycles import Prediction, predict_run
from .allocate import Allocation, allocate, verify_allocation
from .banks import choose_banks
from .emit import WeightRegion, emit
from .layer import Network
from .schedule import Schedule, order, synchronize, verify_schedule
from .tiling import Tiling
from .verify_layers import verify_tilings

__all__ = ["CompiledRun", "arrange", "predict_cycles"]


@dataclass(frozen=True, eq=False)
class CompiledRun:
    """A run of the accelerator, and what led to its instructions."""

    network: Network
    tilings: dict[str, Tiling]
    schedule: Schedule
    allocation: Allocation


def arrange(network: Network, tilings: dict[str, Tiling], params: Parameters) -> CompiledRun:
    """Allocate memory, order the tasks, and give them the tokens that keep them apart.

    Raises `UnsupportedError` if the images do not fit.
    """
    verify_tilings(network, tilings, params)
    allocation = allocate(network, choose_banks(network, tilings), params)
    verify_allocation(network, allocation, params)
    schedule = synchronize(order(network, tilings, params), network, allocation, params)
    verify_schedule(schedule)
    return CompiledRun(network, tilings, schedule, allocation)


def predict_cycles(run: CompiledRun, tensors: Mapping[str, TensorInfo], params: Parameters) -> Prediction:
    """What the cycle model says of a run; `tensors` says where tensors lie in external memory."""
    weights = WeightRegion()
    code = emit(run.schedule, run.network, run.tilings, run.allocation, tensors, params, weights)
    starts = range(0, len(code), INSTRUCTION_BYTES)
    instructions = [decode(code[start : start + INSTRUCTION_BYTES]) for start in starts]
    return predict_run(instructions, params, weights=bytes(weights.data))
