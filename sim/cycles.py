"""The cycle model: when every instruction finishes, from the program and the parameters alone.

The engines are processes on a common clock, as in `docs/architecture.md`: a controller that fetches and hands out
instructions, LOAD, WEIGHTS, COMPUTE and STORE, and the read channel that three of them share. Nothing is simulated
below a pass of the array, a burst of the bus, or a vector of a stream. Cycle 0 is the one of the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..hw.encoding import Fields
from ..hw.isa import Opcode
from ..hw.params import Parameters
from ..hw.program import Program
from .compact_cycles import predict_compact
from .latencies import Latencies, MemoryModel
from .machine import COUNTERS, Machine

__all__ = ["Prediction", "predict", "predict_run"]


@dataclass(frozen=True)
class Prediction:
    """`total` cycles; the cycle in which each instruction finished; cycles by category, which sum to the total.

    Several runs count as if each began in the cycle in which the one before it ended.
    """

    total: int
    completions: tuple[int, ...]
    counters: dict[str, int]


def predict(program: Program, memory: MemoryModel | None = None, latencies: Latencies | None = None) -> Prediction:
    """Predict all runs of a legal program. Raises ``ValueError`` if one would not end."""
    total, completions, counters = 0, list[int](), dict.fromkeys(COUNTERS, 0)
    for part in program.parts:
        run = predict_run(list(part.decoded()), program.params, memory, latencies, weights=program.weights)
        completions += [total + end for end in run.completions]
        total += run.total
        for name, count in run.counters.items():
            counters[name] += count
    return Prediction(total, tuple(completions), counters)


def predict_run(
    instructions: Sequence[tuple[Opcode, Fields]],
    params: Parameters,
    memory: MemoryModel | None = None,
    latencies: Latencies | None = None,
    *,
    weights: bytes,
) -> Prediction:
    """Predict one run of legal instructions, END the last of them. Raises ``ValueError`` if it would not end.

    The compact accelerator's requantization takes as long as the constants in ``weights`` say; it has no external memory.
    """
    if params.compact:
        return Prediction(*predict_compact(instructions, params, weights))
    return Prediction(*Machine(instructions, params, memory or MemoryModel(), latencies or Latencies()).run())
