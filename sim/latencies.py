"""What the cycle model takes as given: the cycles and sizes of the hardware, and external memory."""

from dataclasses import dataclass

from ..hw.accumulator import Accumulator
from ..hw.axi import BURST_BEATS
from ..hw.compute import ComputeEngine
from ..hw.encoding import Fields
from ..hw.feeder import Feeder
from ..hw.isa import Pool
from ..hw.params import Parameters
from ..hw.pe import ProcessingElement
from ..hw.pool import Pooling
from ..hw.postprocess import RING_BLOCKS, PostProcessor
from ..hw.scratchpad import Scratchpad
from ..hw.store import READ_CREDITS

__all__ = ["Latencies", "MemoryModel"]


@dataclass(frozen=True, kw_only=True)
class MemoryModel:
    """External memory. A burst's first beat comes `latency` cycles after its address, later ones one per cycle, all in
    order; writes are answered `write_latency` cycles after a burst's last beat. `bandwidth` is the percentage of cycles
    that can carry a beat, each way, `outstanding` how many bursts it takes to read, up to `turnover` cycles before the last
    beat of the first; one cycle where the bandwidth is less than all."""

    latency: int = 20
    write_latency: int = 4
    bandwidth: int = 100
    outstanding: int = 64
    turnover: int = 1


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Cycles and sizes of the hardware that the instruction set does not show; literals where no class exports them."""

    start: int = 2  # start to the first request for instructions
    fetch_again: int = 2  # an instruction is out of the queue of beats, to the request for another
    dispatch: int = 3  # an instruction is out of the queue of beats, to its dispatch
    gate: int = 1  # a dispatch to the exit of the engine's gate, tokens given
    token: int = 1  # an engine's `done` to the count
    loaded: int = 2  # a LOAD's last write, to the count
    turn: int = 1  # a burst is asked for, to its turn
    request: int = 1  # a burst's turn, to its address on the bus
    beat: int = 1  # a beat on the bus to its client
    freed: int = 2  # a beat leaves its queue, to the request that has room for that
    split: int = 2  # a transfer is accepted, to its first request
    fifo: int = 2  # into a queue to out of it
    late: int = 1  # a beat out of its queue, to its way out of the register behind that
    queued: int = 3  # a LOAD is accepted, to its way out of the queue
    walk: int = 3  # a LOAD leaves the queue, to its first beat
    ring: int = 2  # a beat goes into LOAD's ring, to a vector out of it
    weights: int = 3  # a beat to its vector at the head of the stream
    compute: int = 4  # a COMPUTE leaves the gate, to its first step
    issue: int = ComputeEngine.ISSUE  # a step of the array to its reads
    write: int = Scratchpad.RESULT_LATENCY  # a result to its place in the memory
    store_read: int = 1  # a STORE leaves the gate, to its first read
    store_queue: int = 2 + Scratchpad.STORE_LATENCY  # a read, to its vector's way into the ring
    store_ring: int = 2  # a vector goes into the ring, to the beat that it completes
    store_out: int = 2  # a beat leaves the ring, to the bus
    store_reads: int = READ_CREDITS
    end: int = 1  # the dispatch of END, to its first look at the tokens
    finish: int = 1  # all engines idle, to the end
    reuse: int = Accumulator.REUSE  # between the starts of two passes
    burst_beats: int = BURST_BEATS
    outstanding_reads: int = 16
    outstanding_writes: int = 8
    load_queue: int = 3  # instructions between LOAD's requests and its vectors
    weights_queue: int = 4  # instructions between the requests for streams and the vectors at their head
    fetch_ahead: int = 8  # instructions in the queue of beats, or asked for
    load_beats: int = 64  # beats that LOAD holds or has asked for
    constant_parts: int = RING_BLOCKS

    def sums(self, params: Parameters) -> int:
        """Cycles from a step to its total's way out of the accumulator."""
        array = params.rows + params.cols - 2 + ProcessingElement.LATENCY  # `SystolicArray.latency`, without an array
        return ComputeEngine.ISSUE + Feeder.LATENCY + array + Accumulator.LATENCY

    def result(self, params: Parameters) -> int:
        """Cycles from the last step of a COMPUTE to its token, if its sums wait nowhere."""
        return self.sums(params) + PostProcessor.latency(params.residual) + self.token

    def mean(self, fields: Fields, params: Parameters) -> int:
        """Cycles that a COMPUTE's token comes later for the division of an average pool."""
        return Pooling.mean_latency(params.cols) if fields["pool"] is Pool.AVERAGE else 0
