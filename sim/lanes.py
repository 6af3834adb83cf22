"""When vectors of sums go through a post-processor with fewer lanes than columns, and when it has room for more."""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from ..hw.params import Parameters
from ..hw.sum_queue import SumQueue

__all__ = ["LaneQueue"]


class LaneQueue:
    """The queue of sums in front of the lanes (`hw.sum_queue`), in cycles of the steps that the sums come from."""

    _ROOM = SumQueue.LATE + 1  # a step or read is counted, to the first step that it allows

    def __init__(self, params: Parameters, sums: int) -> None:
        """``sums`` are the cycles from a step to its sums."""
        self._parts, self._sums, self._depth = params.parts, sums, params.accumulator_depth
        self._latency = SumQueue.latency(params.cols, params.lanes)
        self._threshold = SumQueue.threshold(params.cols, params.lanes, params.accumulator_depth)
        self._steps: list[int] = []  # of the latest results, and when their sums were read
        self._reads: list[int] = []

    def room(self, cycle: int) -> int:
        """The first cycle, from this one on, in which a block's last pass may start."""
        while True:
            under_way = bisect_right(self._steps, cycle - self._ROOM) - bisect_right(self._reads, cycle - self._ROOM)
            if under_way <= self._threshold:
                return cycle
            cycle += 1

    def pass_through(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The cycles in which there are the steps of a block's last pass; when those steps would have been if the lanes had
        taken their sums at once."""
        spaced = self._parts * np.arange(steps.size)
        earliest = steps.ravel() + self._sums + 1
        if self._reads:
            earliest[0] = max(earliest[0], self._reads[-1] + self._parts)
        reads = np.maximum.accumulate(earliest - spaced) + spaced
        self._steps = (self._steps + steps.ravel().tolist())[-4 * self._depth :]
        self._reads = (self._reads + reads.tolist())[-4 * self._depth :]
        return (reads - 1 + self._latency - self._sums).reshape(steps.shape)
