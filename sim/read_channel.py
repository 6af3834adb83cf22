"""The read channel that three engines share, and when the beats on a direction of the bus come."""

from collections import deque
from collections.abc import Generator
from typing import Any

from .clock import Clock, Process, Signal
from .latencies import Latencies, MemoryModel

__all__ = ["Beats", "ReadChannel"]

_BEAT = 100


class Beats:
    """Cycles of the beats on one direction of the bus: every cycle earns `bandwidth`, a beat costs 100."""

    _MOST = 199

    def __init__(self, memory: MemoryModel) -> None:
        self._bandwidth = memory.bandwidth
        self._last = -1
        self._credit = self._MOST

    def burst(self, earliest: int, beats: int) -> list[int]:
        """The cycles of the next beats, of which none can come before `earliest`."""
        if self._bandwidth < _BEAT:
            return [self.next(earliest) for _ in range(beats)]
        first = max(earliest, self._last + 1)
        self._last = first + beats - 1
        return list(range(first, first + beats))

    def next(self, earliest: int) -> int:
        """The cycle of the next beat, which cannot come before `earliest`."""
        cycle = max(earliest, self._last + 1)
        credit = min(self._MOST, self._credit + self._bandwidth * (cycle - self._last))
        if credit < _BEAT:
            wait = -(-(_BEAT - credit) // self._bandwidth)
            cycle, credit = cycle + wait, credit + wait * self._bandwidth
        self._last, self._credit = cycle, credit - _BEAT
        return cycle


class ReadChannel:
    """AR and R: one request per cycle, round robin over the clients; beats come in the order of the requests."""

    def __init__(self, clock: Clock, memory: MemoryModel, latencies: Latencies) -> None:
        self._clock, self._memory, self._latencies = clock, memory, latencies
        self._asked = Signal(clock)
        self._answered = Signal(clock)
        self._wanted: dict[str, int] = {}
        self._given: dict[str, list[int]] = {}
        self._beats = Beats(memory)

    def read(self, client: str, beats: int) -> Generator[Any, None, list[int]]:
        """Ask for a burst; gives the cycles in which the client sees its beats."""
        self._wanted[client] = beats
        self._asked.give()
        while client not in self._given:
            yield self._answered
        return self._given.pop(client)

    def serve(self) -> Process:
        """The channel's own process."""
        clients = ("controller", "load", "weights")
        former = 0
        address = -1  # the cycle of the latest address on the bus
        flying: deque[int] = deque()
        room = deque([0] * self._memory.outstanding, maxlen=self._memory.outstanding)  # addresses may come from these cycles on
        while True:
            while not self._wanted:
                yield self._asked
            if len(flying) == self._latencies.outstanding_reads:
                yield flying.popleft() + 1
            order = ((former + offset) % len(clients) for offset in range(1, len(clients) + 1))
            former = next(index for index in order if clients[index] in self._wanted)
            beats = self._wanted.pop(clients[former])
            address = max(self._clock.now + self._latencies.request, address + 1, room[0])
            cycles = self._beats.burst(address + self._memory.latency + self._latencies.beat, beats)
            flying.append(cycles[-1])
            room.append(cycles[-1] - self._latencies.beat - 1)
            self._given[clients[former]] = cycles
            self._answered.give()
            yield max(self._clock.now + 1, address)
