"""The compute engine: from a COMPUTE instruction to finished totals."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .accumulator import Accumulator, SumSignature
from .array import SystolicArray
from .data_register import data_register
from .feeder import Feeder
from .isa import COMPUTE
from .params import Parameters
from .passes import PassWalker
from .scratchpad import Scratchpad, place_layout
from .skew import Delay
from .steps import StepWalker
from .sum_queue import SumQueue
from .tiles import TileLoader, tile_vector_layout

__all__ = ["ComputeEngine"]


class ComputeEngine(wiring.Component):
    """Walks ``instructions``, reads the scratchpad through ``ports`` and ``words``, takes ``tiles``, and gives ``sums``.

    ``residual`` carries the residual operand's C bytes for a result, ahead of its sums. ``active``, ``wants_weights``,
    ``held`` and ``busy`` tell what the engine did this cycle. A step's reads leave ``ISSUE`` cycles after it.
    """

    ISSUE = 1

    def __init__(self, params: Parameters):
        self._params = params
        self._ports = params.read_ports
        operand = {"residual_valid": Out(1), "residual": Out(8 * params.cols)} if params.residual else {}
        super().__init__({
            "instructions": In(stream.Signature(COMPUTE)),
            "tiles": In(stream.Signature(tile_vector_layout(params.cols))),
            "ports": Out(wiring.Signature({"en": Out(1), "place": Out(place_layout(params.bank_words))})).array(self._ports),
            "words": In(8 * params.vector).array(self._ports),
            "sums": Out(SumSignature(params.lanes, params.parts)),
            **operand,
            "active": Out(1),
            "wants_weights": Out(1),
            "held": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        params = self._params
        groups = params.pixel_buses if params.depthwise else 0
        m.submodules.passes = passes = PassWalker(
            rows=params.rows,
            vector=params.vector,
            reduction_units=params.rows // params.unit,
            block_units=params.cols // params.unit,
            depthwise=params.depthwise,
            packed=params.packed,
            residual=params.residual,
        )
        m.submodules.steps = steps = StepWalker(
            rows=params.rows, vector=params.vector, units=params.units, words=params.bank_words, ports=self._ports,
            depthwise=params.depthwise, packed=params.packed, residual=params.residual,
        )  # fmt: skip
        m.submodules.feeder = feeder = Feeder(
            rows=params.rows, cols=params.cols, ports=self._ports, groups=groups, packed=params.packed
        )
        m.submodules.tile_loader = loader = TileLoader(
            rows=params.rows, cols=params.cols, latency=self.ISSUE + Feeder.LATENCY
        )
        m.submodules.array = array = SystolicArray(
            rows=params.rows, cols=params.cols, groups=groups, target=params.target, blocks=params.array_blocks
        )
        m.submodules.accumulator = accumulator = Accumulator(
            cols=params.cols, depth=params.accumulator_depth, sum_width=array.sum_width
        )
        m.submodules.wave_delay = wave_delay = Delay(
            steps.wave.shape(), self.ISSUE + Feeder.LATENCY + array.latency - Accumulator.LEAD
        )

        connect(m, flipped(self.instructions), passes.instructions)
        connect(m, passes.passes, steps.passes)
        connect(m, flipped(self.tiles), loader.tiles)
        for port, mine in zip(steps.ports, self.ports, strict=True):
            m.d.sync += [mine.en.eq(port.en), mine.place.eq(port.place)]
        step = data_register(m, feeder.step, "step")
        m.d.sync += step.eq(steps.step)
        m.d.comb += [
            steps.tile_comes.eq(loader.comes),
            steps.tile_here.eq(loader.here),
            loader.swap.eq(steps.step.swap),
            *(into.eq(word) for into, word in zip(feeder.words, self.words, strict=True)),
            array.lanes.eq(feeder.lanes),
            array.weights.eq(loader.weights),
            array.shift.eq(loader.shift),
            wave_delay.i.eq(steps.wave),
            accumulator.wave.eq(wave_delay.o),
            accumulator.sums.eq(array.sums),
            self.active.eq(steps.active),
            self.wants_weights.eq(steps.wants_weights),
            self.held.eq(steps.held),
            self.busy.eq(passes.busy),
        ]
        if params.parts > 1:
            m.submodules.sum_queue = queue = SumQueue(
                cols=params.cols, lanes=params.lanes, depth=params.accumulator_depth
            )
            connect(m, accumulator.totals, queue.sums)
            connect(m, queue.parts, flipped(self.sums))
            m.d.comb += [
                queue.expected.eq(steps.wave.result & steps.wave.last),
                steps.room.eq(queue.room),
            ]
        else:
            connect(m, accumulator.totals, flipped(self.sums))
            m.d.comb += steps.room.eq(1)
        if groups:
            m.d.comb += array.pixels.eq(feeder.pixels)
        if params.residual:
            operand = data.StructLayout({"valid": 1, "sub": steps.res_sub.shape()})
            m.submodules.residual_delay = delay = Delay(operand, self.ISSUE + Scratchpad.LATENCY)
            blocks = data.ArrayLayout(8 * params.cols, params.vector // params.cols)
            word = data.View(blocks, self.words[-1])
            m.d.comb += [delay.i.valid.eq(steps.res_en), delay.i.sub.eq(steps.res_sub)]
            m.d.sync += [
                self.residual_valid.eq(delay.o.valid),
                self.residual.eq(word[delay.o.sub] if len(word) > 1 else word[0]),
            ]
        return m
