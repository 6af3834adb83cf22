"""The cycle model of the compact accelerator: when every instruction finishes, pass by pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..hw.compact.accelerator import CompactAccelerator
from ..hw.compact.accumulator import CompactAccumulator
from ..hw.compact.drain import ParallelDrain, SerialDrain
from ..hw.compact.fields import instruction_words
from ..hw.compact.memory import WORD
from ..hw.compact.walker import Walker
from ..hw.encoding import Fields
from ..hw.isa import CONSTANT_VECTORS, Mode, Opcode
from ..hw.params import Parameters
from ..hw.pe import ProcessingElement
from .machine import COUNTERS

__all__ = ["predict_compact"]

_OTHERS = CONSTANT_VECTORS - 4 + 1
"""Cycles for the constants behind the biases, and the one in which the sums are set free."""


@dataclass
class _Drain:
    """The writes of a block's results: the next one's cycle, how far apart they are, how many are left."""

    next: int = 0
    period: int = 1
    left: int = 0

    @property
    def end(self) -> int:
        """The cycle of the last write."""
        return self.next + (self.left - 1) * self.period

    def writes_until(self, cycle: int) -> int:
        """How many of the writes are in cycles up to this one; they are no longer left."""
        if not self.left or cycle < self.next:
            return 0
        count = min(self.left, (cycle - self.next) // self.period + 1)
        self.next += count * self.period
        self.left -= count
        return count


@dataclass
class _Clock:
    """The cycle up to which everything is counted, and where the cycles went."""

    now: int = 0
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))

    def spend(self, category: str, cycles: int) -> None:
        self.now += cycles
        self.counters[category] += cycles


def predict_compact(
    instructions: Sequence[tuple[Opcode, Fields]], params: Parameters, weights: bytes
) -> tuple[int, tuple[int, ...], dict[str, int]]:
    """Total, the cycle in which each instruction finished, and cycles by category, of one run of legal instructions.

    Cycle 1 is the first behind the start. ``weights`` has the shifts, which say how long a serial requantization takes.
    """
    latency = params.rows + params.cols - 2 + ProcessingElement.LATENCY
    flush = CompactAccelerator.FEED + latency + CompactAccumulator.WRITTEN
    dispatch = instruction_words(params.vector) + WORD + 1  # from its first word, both included
    clock, drain = _Clock(), _Drain()
    ends = []
    periods: list[int] = []
    for opcode, fields in instructions:
        clock.spend("idle", dispatch)
        if opcode is Opcode.WEIGHTS:
            periods = _periods(fields, weights, params)
        elif opcode is Opcode.COMPUTE:
            for block in range(fields["blocks"]):
                _block(clock, drain, fields, flush, params.rows)
                period = periods[block]
                drain.next = clock.now + _first_write(params, period)
                drain.period, drain.left = period, fields["out_rows"] * fields["out_cols"]
            del periods[: fields["blocks"]]
            clock.spend("wait_output", drain.end + 1 - clock.now)
            drain.left = 0
        ends.append(clock.now)
    return clock.now, tuple(ends), clock.counters


def _first_write(params: Parameters, period: int) -> int:
    """Cycles from the one in which a block's sums are set free to its first result's write."""
    if params.serial_lanes:
        return 2 + period + SerialDrain.written(params.cols)
    return ParallelDrain.written(params.parts)


def _periods(fields: Fields, weights: bytes, params: Parameters) -> list[int]:
    """Cycles from a result to the next, for each block of a stream."""
    if not params.serial_lanes:
        return [params.parts] * fields["blocks"]
    stream = np.frombuffer(weights[fields["offset"] : fields["offset"] + fields["bytes"]], np.uint8)
    shifts = stream.reshape(fields["blocks"], -1, params.cols)[:, CONSTANT_VECTORS - 1]
    return [int(period) for period in shifts.max(axis=1) // 2 + 1]


def _block(clock: _Clock, drain: _Drain, fields: Fields, flush: int, side: int) -> None:
    """A block up to the cycle in which its sums are set free."""
    clock.spend("wait_weights", CONSTANT_VECTORS)
    drain.writes_until(clock.now)
    tile = (side if fields["mode"] is Mode.DEPTHWISE else fields["rows"]) + WORD - 1
    steps = fields["out_rows"] * fields["out_cols"]
    begun, between = clock.now, Walker.BEFORE
    for _ in range(fields["taps_y"] * fields["taps_x"] * fields["channels"]):
        # The first step waits for the walker, for the tile, for a write; later ones for a write alone.
        _wait(clock, drain, begun + tile, max(clock.now + between, begun + tile) + 1)
        begun, between = clock.now + 1, Walker.BETWEEN
        left = steps
        while left:
            writes = drain.writes_until(clock.now + left)
            clock.spend("active", left - writes)
            clock.spend("wait_output", writes)
            left = writes
    clock.spend("wait_tokens", flush)
    drain.writes_until(clock.now)
    clock.spend("wait_output", drain.end + 1 - clock.now if drain.left else 1)
    clock.spend("wait_weights", _OTHERS)


def _wait(clock: _Clock, drain: _Drain, loaded: int, first: int) -> None:
    """Spend the cycles before a pass's first step, in cycle ``first`` or later; its tile is loaded up to cycle ``loaded``."""
    while (write := drain.writes_until(clock.now + 1)) or clock.now + 1 < first:
        clock.spend("wait_output" if write else "wait_weights" if clock.now < loaded else "wait_tokens", 1)
