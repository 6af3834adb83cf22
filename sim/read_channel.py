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
    """AR and R: one request per cycle, round robin over the clients, of which each has one that waits for its turn; beats come in
    the order of the requests."""

    def __init__(self, clock: Clock, memory: MemoryModel, latencies: Latencies) -> None:
        self._clock, self._memory, self._latencies = clock, memory, latencies
        self._asked = Signal(clock)
        self._answered = Signal(clock)
        self._wanted: dict[str, tuple[int, int]] = {}  # beats, and the cycle from which its turn may come
        self._free: dict[str, int] = {}  # from which cycle on a client can ask
        self._given: dict[str, list[int]] = {}
        self._beats = Beats(memory)

    def ask(self, client: str, beats: int) -> Process:
        """Ask for a burst, behind an `answer` to the one before; goes on in the cycle in which the channel has taken it."""
        yield max(self._clock.now, self._free.get(client, 0))
        self._wanted[client] = beats, self._clock.now + self._latencies.turn
        self._asked.give()

    def answer(self, client: str) -> Generator[Any, None, list[int]]:
        """Wait for the turn of the burst that was asked for; gives the cycles in which the client sees its beats."""
        while client not in self._given:
            yield self._answered
        return self._given.pop(client)

    def serve(self) -> Process:
        """The channel's own process."""
        clients = ("controller", "load", "weights")
        former = 0
        turnover = self._memory.turnover if self._memory.bandwidth == _BEAT else 1
        address = -1  # the cycle of the latest address on the bus
        flying: deque[int] = deque()
        room = deque([0] * self._memory.outstanding, maxlen=self._memory.outstanding)  # addresses may come from these cycles on
        while True:
            while not self._wanted:
                yield self._asked
            if len(flying) == self._latencies.outstanding_reads:
                yield flying.popleft() + 1
            earliest = min(cycle for _, cycle in self._wanted.values())
            if earliest > self._clock.now:
                yield earliest
            order = ((former + offset) % len(clients) for offset in range(1, len(clients) + 1))
            there = {client for client, (_, cycle) in self._wanted.items() if cycle <= self._clock.now}
            former = next(index for index in order if clients[index] in there)
            beats, _ = self._wanted.pop(clients[former])
            self._free[clients[former]] = self._clock.now + 1
            address = max(self._clock.now + self._latencies.request, address + 1, room[0])
            cycles = self._beats.burst(address + self._memory.latency + self._latencies.beat, beats)
            flying.append(cycles[-1])
            room.append(cycles[-1] - self._latencies.beat - turnover)
            self._given[clients[former]] = cycles
            self._answered.give()
            yield max(self._clock.now + 1, address)
