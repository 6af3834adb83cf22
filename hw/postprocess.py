"""From partial sums to bytes in the scratchpad: constants, requantization, residual addition, and where vectors go."""

from collections.abc import Callable
from itertools import pairwise

from amaranth import *
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .accumulator import SumSignature
from .isa import COMPUTE, CONSTANT_VECTORS
from .pool import POOL_FACTOR, POOL_WINDOW, Pooling
from .requant import RequantLane
from .residual import TABLE_PAIR, ResidualLane
from .write_walker import WriteWalker

__all__ = ["CONTEXT", "CONTEXTS", "RING_BLOCKS", "PostProcessor", "WriteSignature"]

RING_BLOCKS = 16
"""Blocks of constants that are on chip at a time, with a lane for each column; with fewer lanes that many parts of blocks."""

CONTEXTS = 16
"""Instructions between the sequencer and the scratchpad at a time."""

CONTEXT = data.StructLayout({
    name: COMPUTE[name].shape
    for name in (
        "rounding", "zero_point", "minimum", "maximum",
        "residual", "res_tie", "res_offset", "res_shift", "res_zero_point", "res_minimum", "res_maximum",
        "out_cols", "out_address", "out_bank", "out_row_step", "out_x_step",
        "pool", "pool_rows", "pool_cols", "pool_multiplier", "pool_shift",
    )
})  # fmt: skip
"""The fields of a COMPUTE instruction that its results need."""


class WriteSignature(wiring.Signature):
    """A write of a bank's word, taken in the cycle of ``valid``; ``mask`` has a bit per unit of ``data``."""

    def __init__(self, vector: int, units: int, address_bits: int) -> None:
        super().__init__({
            "valid": Out(1),
            "bank": Out(2),
            "address": Out(address_bits),
            "data": Out(8 * vector),
            "mask": Out(units),
        })


class ConstantRing(wiring.Component):
    """Constants of ``RING_BLOCKS`` parts of output blocks: byte-planar vectors in, a part per cycle; those of the lanes out.

    ``constants`` waits while the ring is full. The outputs belong to the oldest block and to ``part``, and follow ``valid`` by
    a cycle; with ``block_end`` that block is dropped. ``empty`` says that there is no complete block.
    """

    def __init__(self, cols: int, lanes: int) -> None:
        self._cols = cols
        self._lanes = lanes
        super().__init__({
            "constants": In(stream.Signature(_constant_vector(cols))),
            "valid": In(1),
            "part": In(range(cols // lanes)),
            "block_end": In(1),
            "empty": Out(1),
            "bias": Out(data.ArrayLayout(signed(32), lanes)),
            "multiplier": Out(data.ArrayLayout(31, lanes)),
            "shift": Out(data.ArrayLayout(6, lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        parts = self._cols // self._lanes
        blocks = RING_BLOCKS // parts
        newest = Signal(range(blocks))
        oldest = Signal(range(blocks))
        level = Signal(range(blocks + 1))  # complete blocks
        full = Signal()  # a flag beside the counter: what comes before waits for it
        part = Signal(range(parts))  # of the vector that comes
        enter, comes, goes = Signal(), Signal(), Signal()
        m.d.comb += [
            self.empty.eq(level == 0),
            enter.eq(self.constants.valid & ~full),
            self.constants.ready.eq(~full & (part == parts - 1)),
            comes.eq(enter & (part == parts - 1) & (self.constants.payload.plane == CONSTANT_VECTORS - 1)),
            goes.eq(self.valid & self.block_end),
        ]
        m.d.sync += [
            part.eq(part + enter),
            newest.eq(newest + comes),
            oldest.eq(oldest + goes),
            level.eq(level + comes - goes),
            full.eq((full | (comes & (level == blocks - 1))) & ~goes),
        ]

        # Written a cycle later: what comes is known late.
        place = Signal(range(RING_BLOCKS), reset_less=True)
        written = Signal(8 * self._lanes, reset_less=True)
        enables = Signal(CONSTANT_VECTORS)
        m.d.sync += [
            place.eq(Cat(part, newest)),
            written.eq(self.constants.payload.data.word_select(part, 8 * self._lanes)),
            *(enable.eq(enter & (self.constants.payload.plane == plane)) for plane, enable in enumerate(enables)),
        ]
        planes = []
        for plane in range(CONSTANT_VECTORS):
            m.submodules[f"plane_{plane}"] = ram = memory.Memory(shape=8 * self._lanes, depth=RING_BLOCKS, init=[])
            write, read = ram.write_port(), ram.read_port()
            m.d.comb += [
                write.addr.eq(place),
                write.data.eq(written),
                write.en.eq(enables[plane]),
                read.addr.eq(Cat(self.part, oldest)),
                read.en.eq(self.valid),
            ]
            planes.append(read.data)
        for lane in range(self._lanes):
            constants = [plane.word_select(lane, 8) for plane in planes]
            m.d.comb += [
                self.bias[lane].eq(Cat(constants[0:4])),
                self.multiplier[lane].eq(Cat(constants[4:8])),
                self.shift[lane].eq(constants[8]),
            ]
        return m


class PostProcessor(wiring.Component):
    """A vector of ``cols`` sums in, a write of ``cols`` bytes out ``latency(residual)`` cycles later, one per cycle; of
    pooled results, as `Pooling` says. With fewer ``lanes`` than that (0 stands for ``cols``) a vector comes in parts, and
    is written behind the last one.

    ``vector`` is the bytes of a scratchpad word, ``units`` its units; ``cols`` is a word or a unit. ``address_bits`` is
    the width of a word address. ``residual`` builds the residual tables; without it there are no ports
    ``tables`` and ``residuals``. ``pooling`` builds the pools. ``depth`` is how many residual vectors can wait for their results,
    ``target`` whose multipliers lanes and pool have.

    - ``contexts``: one per instruction, in order, at least a cycle before its first sum; ``CONTEXTS`` fit.
    - ``constants``: the last vector of a block at least two cycles before the block's first sum; ``RING_BLOCKS`` parts fit.
    - ``tables``: always taken. Nothing here keeps them apart from results in flight: no entry may change from the first
      sum of an instruction with ``residual`` until its ``done``.
    - ``residuals``: a vector for each sum of an instruction with ``residual``, in their order, no later than the sum.
    - ``done``: in the cycle of an instruction's last write.
    - ``fault``: a pulse if one of these promises was broken: no context, constants or residual, too many residuals, or
      a result while a mean was on its way.
    """

    DEPTH = 128

    def __init__(
        self, *, cols: int, vector: int, units: int, address_bits: int, residual: bool = True, pooling: bool = True,
        depth: int = DEPTH, lanes: int = 0, target: str = "generic",
    ) -> None:  # fmt: skip
        if vector % units or cols not in (vector, vector // units):
            raise ValueError(f"cols: {cols} is neither a vector of {vector} bytes nor one of its {units} units")
        self._cols = cols
        self._lanes = lanes or cols
        self._parts = cols // self._lanes
        self._vector = vector
        self._units = units
        self._residual = residual
        self._pooling = pooling
        self._depth = depth
        self._target = target
        operands = {
            "tables": In(stream.Signature(TABLE_PAIR)),
            "residuals": In(wiring.Signature({"valid": Out(1), "data": Out(8 * cols)})),
        }
        super().__init__({
            "sums": In(SumSignature(self._lanes, self._parts)),
            "contexts": In(stream.Signature(CONTEXT)),
            "constants": In(stream.Signature(_constant_vector(cols))),
            **(operands if residual else {}),
            "writes": Out(WriteSignature(vector, units, address_bits)),
            "done": Out(1),
            "fault": Out(1),
        })

    @staticmethod
    def latency(residual: bool) -> int:
        """Cycles from a vector's last sums to its write, with or without the residual tables in the hardware."""
        return 1 + RequantLane.LATENCY + (ResidualLane.LATENCY if residual else 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # What travels with a result, cycle by cycle; its slot is its instruction's place in the context memories.
        latency = self.latency(self._residual)
        mark = data.StructLayout({
            "valid": 1,  # a vector, with its last part
            "part": range(self._parts),
            "first": 1,
            "block_end": 1,
            "end": 1,
            "slot": range(CONTEXTS),
        })  # fmt: skip
        marks = [Signal(mark, name=f"mark_{cycle}") for cycle in range(latency + (not self._pooling))]
        for previous, following in pairwise(marks):
            m.d.sync += following.eq(previous)

        # Instructions: pushed, begun (all sums are in). A bit more than an address, to tell none from all. Those that are not
        # written are counted, with a flag beside the counter as above.
        pushed = Signal(range(2 * CONTEXTS))
        begun = Signal(range(2 * CONTEXTS))
        level = Signal(range(CONTEXTS + 1))
        full = Signal()
        starting = Signal(init=1)
        m.d.comb += [
            self.contexts.ready.eq(~full),
            marks[0].valid.eq(self.sums.valid & (self.sums.part == self._parts - 1)),
            marks[0].part.eq(self.sums.part),
            marks[0].first.eq(starting),
            marks[0].block_end.eq(self.sums.block_end),
            marks[0].end.eq(self.sums.valid & self.sums.end),
            marks[0].slot.eq(begun[:-1]),
        ]
        push = self.contexts.valid & self.contexts.ready
        m.d.sync += [
            pushed.eq(pushed + push),
            begun.eq(begun + marks[0].end),
            level.eq(level + push - self.done),
            full.eq((full | (push & (level == CONTEXTS - 1))) & ~self.done),
        ]
        with m.If(marks[0].valid):
            m.d.sync += starting.eq(self.sums.end)

        def field(name: str, value: Value, cycle: int) -> Value:
            """The part ``value`` of a context, as the result needs it that is ``cycle`` cycles behind its sum."""
            m.submodules[f"context_{name}"] = ram = memory.Memory(shape=value.shape(), depth=CONTEXTS, init=[])
            write, read = ram.write_port(), ram.read_port()
            m.d.comb += [
                write.addr.eq(pushed[:-1]),
                write.data.eq(value),
                write.en.eq(push),
                read.addr.eq(marks[cycle - 1].slot),
            ]
            return read.data

        context = self.contexts.payload

        m.submodules.ring = ring = ConstantRing(self._cols, self._lanes)
        connect(m, flipped(self.constants), ring.constants)
        m.d.comb += [
            ring.valid.eq(self.sums.valid),
            ring.part.eq(self.sums.part),
            ring.block_end.eq(self.sums.block_end),
        ]
        sums = Signal.like(self.sums.data, name="sums_1", reset_less=True)
        m.d.sync += sums.eq(self.sums.data)

        shared = {name: field(name, context[name], 1 + stage) for name, stage in RequantLane.STAGES.items()}
        values = Signal(data.ArrayLayout(signed(8), self._lanes))
        for number in range(self._lanes):
            m.submodules[f"requant_{number}"] = lane = RequantLane(target=self._target)
            m.d.comb += [
                lane.sum.eq(sums[number]),
                lane.bias.eq(ring.bias[number]),
                lane.multiplier.eq(ring.multiplier[number]),
                lane.shift.eq(ring.shift[number]),
                values[number].eq(lane.result),
            ]
            m.d.comb += [getattr(lane, name).eq(value) for name, value in shared.items()]

        fault = self.sums.valid & (ring.empty | (pushed == begun))
        if self._residual:
            values, residual_fault = self._add_residuals(m, values, marks, field)
            fault = fault | residual_fault
        if self._parts > 1:
            former = Signal(8 * (self._cols - self._lanes), name="former_parts", reset_less=True)
            whole = Signal(data.ArrayLayout(signed(8), self._cols), name="whole")
            m.d.comb += whole.as_value().eq(Cat(former, values))
            m.d.sync += former.eq(whole.as_value()[8 * self._lanes :])
            values = whole

        m.submodules.walker = walker = WriteWalker(self._cols * self._units // self._vector, pooling=self._pooling)
        coming, walk = marks[latency - 2], marks[latency - 1]
        m.d.comb += [
            walker.begin.eq(coming.valid & coming.first),
            walker.valid.eq(walk.valid),
            walker.block_end.eq(walk.block_end),
            *(getattr(walker, name).eq(field(name, context[name], latency - 2)) for name in WriteWalker.START),
            *(getattr(walker, name).eq(field(name, context[name], latency - 1)) for name in WriteWalker.STEPS),
        ]
        if self._pooling:
            m.submodules.pooling = pooling = Pooling(self._cols, target=self._target)
            m.d.comb += [
                pooling.valid.eq(walk.valid),
                pooling.row_end.eq(walker.row_end),
                pooling.block_end.eq(walk.block_end),
                pooling.end.eq(walk.end),
                pooling.out_cols.eq(walker.cols),
                *(pooling.window[name].eq(field(name, context[name], latency - 1)) for name in POOL_WINDOW.members),
                *(pooling.factor[name].eq(field(name, context[name], latency)) for name in POOL_FACTOR.members),
                pooling.values.eq(values),
                walker.write.eq(pooling.write),
                walker.row_done.eq(pooling.row_done),
            ]
            values, valid, done = pooling.results, pooling.result_valid, pooling.done
            fault = fault | pooling.fault
        else:
            valid, done = marks[-1].valid, marks[-1].end
        m.d.comb += self.done.eq(done)
        m.d.sync += self.fault.eq(fault)

        copies = self._vector // self._cols
        sub_bits = (self._units - 1).bit_length()
        m.d.comb += [
            self.writes.valid.eq(valid),
            self.writes.bank.eq(walker.bank),
            self.writes.address.eq(walker.address[sub_bits:]),
            self.writes.data.eq(values.as_value().replicate(copies)),
            self.writes.mask.eq(1 << walker.address[:sub_bits] if copies > 1 else ~0),
        ]
        return m

    def _add_residuals(
        self, m: Module, values: data.View, marks: list[data.View], field: Callable[[str, Value, int], Value]
    ) -> tuple[data.View, Value]:
        """Build the residual lanes behind ``values``; returns their results and a bit for a broken promise."""
        start = 1 + RequantLane.LATENCY
        context = self.contexts.payload
        m.d.comb += self.tables.ready.eq(1)
        write, entry = Signal(), Signal(TABLE_PAIR, reset_less=True)  # for all lanes, far from where the tables come from
        m.d.sync += [write.eq(self.tables.valid), entry.eq(self.tables.payload)]

        # The vector leaves the queue two cycles before its operands are needed: the queue's memory answers late in the cycle.
        m.submodules.operands = operands = fifo.SyncFIFOBuffered(width=8 * self._cols, depth=self._depth)
        take = marks[start - 2].valid & field("operand", context.residual, start - 2)
        vector = Signal(8 * self._cols, reset_less=True)
        operand = Signal(8 * self._lanes, reset_less=True)
        m.d.comb += [
            operands.w_data.eq(self.residuals.data),
            operands.w_en.eq(self.residuals.valid),
            operands.r_en.eq(take),
        ]
        m.d.sync += [vector.eq(operands.r_data), operand.eq(vector.word_select(marks[start - 1].part, 8 * self._lanes))]

        parts = {
            "residual": context.residual,
            "offset": context.res_offset,
            "offset_below": (context.res_offset - context.res_tie)[:29].as_signed(),
            "shift": context.res_shift,
            "zero_point": context.res_zero_point,
            "minimum": context.res_minimum,
            "maximum": context.res_maximum,
        }
        shared = {
            name: field(f"residual_{name}", parts[name], start + stage) for name, stage in ResidualLane.STAGES.items()
        }
        results = Signal(data.ArrayLayout(signed(8), self._lanes))
        for number in range(self._lanes):
            m.submodules[f"residual_{number}"] = lane = ResidualLane()
            m.d.comb += [
                lane.write.eq(write),
                lane.entry.eq(entry),
                lane.value.eq(values[number]),
                lane.operand.eq(operand.word_select(number, 8)),
                results[number].eq(lane.result),
            ]
            m.d.comb += [getattr(lane, name).eq(value) for name, value in shared.items()]
        return results, (self.residuals.valid & ~operands.w_rdy) | (take & ~operands.r_rdy)


def _constant_vector(cols: int) -> data.StructLayout:
    return data.StructLayout({"plane": range(CONSTANT_VECTORS), "data": 8 * cols})
