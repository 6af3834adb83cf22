"""The cycle model: when every instruction finishes, from the program and the parameters alone.

The engines are processes on a common clock, as in `docs/architecture.md`: a controller that fetches and hands out
instructions, LOAD, WEIGHTS, COMPUTE and STORE, and the read channel that three of them share. Nothing is simulated
below a pass of the array, a burst of the bus, or a vector of a stream. Cycle 0 is the one of the start.
"""

from dataclasses import dataclass

from ..hw.program import Program
from .latencies import Latencies, MemoryModel
from .machine import Machine

__all__ = ["Prediction", "predict"]


@dataclass(frozen=True)
class Prediction:
    """`total` cycles; the cycle in which each instruction finished; cycles by category, which sum to the total."""

    total: int
    completions: tuple[int, ...]
    counters: dict[str, int]


def predict(program: Program, memory: MemoryModel | None = None, latencies: Latencies | None = None) -> Prediction:
    """Predict a run of a legal program. Raises ``ValueError`` if it would not end."""
    return Prediction(*Machine(program, memory or MemoryModel(), latencies or Latencies()).run())
