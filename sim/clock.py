"""A common clock for processes, which are generators; they wait for a cycle, or for each other through signals."""

import heapq
from collections.abc import Generator
from typing import Any

__all__ = ["Clock", "Process", "Signal"]

Process = Generator[Any, None, Any]
"""Yields a cycle to go on in, or a signal to go on at."""


class Signal:
    """Something that processes wait for; they look again whenever it is given."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self.waiting: list[Process] = []

    def give(self) -> None:
        """Let everything that waits look again, in this cycle."""
        waiting, self.waiting = self.waiting, []
        for process in waiting:
            self._clock.resume(process, self._clock.now)


class Clock:
    """Lets processes go on in the order of their cycles; `now` is the cycle of the one that runs."""

    def __init__(self) -> None:
        self.now = 0
        self._order = 0
        self._heap: list[tuple[int, bool, int, Process]] = []
        self._arbiters: set[Process] = set()

    def start(self, process: Process, *, arbiter: bool = False) -> None:
        """Let a process begin in cycle 0. An arbiter goes on behind all others of a cycle: it sees all their wishes."""
        if arbiter:
            self._arbiters.add(process)
        self.resume(process, 0)

    def resume(self, process: Process, cycle: int) -> None:
        """Let a process go on in a cycle; those of one cycle in the order of these calls."""
        self._order += 1
        heapq.heappush(self._heap, (max(cycle, self.now), process in self._arbiters, self._order, process))

    def run(self) -> None:
        """Until no process has anything left to wait for but signals."""
        while self._heap:
            self.now, _, _, process = heapq.heappop(self._heap)
            wish = next(process, None)
            if isinstance(wish, Signal):
                wish.waiting.append(process)
            elif wish is not None:
                self.resume(process, wish)
