"""The accelerator: engines, memories and buses, connected."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .axi import AXI4LiteSignature, AXI4Signature, ReadChannel, join_channels
from .compute import ComputeEngine
from .controller import Controller, Lifecycle
from .counters import Category, Counters
from .isa import COMPUTE, TRANSFER, WEIGHTS
from .load import LoadEngine
from .params import Parameters
from .postprocess import CONTEXT, PostProcessor
from .registers import STATUS, Registers
from .scratchpad import Scratchpad
from .store import StoreEngine
from .tokens import TokenCounts, TokenGate
from .watchdog import Watchdog
from .weights import WeightEngine

__all__ = ["Accelerator", "AcceleratorSignature"]


class AcceleratorSignature(wiring.Signature):
    """``m_axi`` to external memory, ``s_axil`` for the registers, ``irq`` high when a run is done or has failed;
    ``status`` is the register's."""

    def __init__(self, params: Parameters):
        super().__init__({
            "m_axi": Out(AXI4Signature(params.axi_bits)),
            "s_axil": In(AXI4LiteSignature()),
            "irq": Out(1),
            "status": Out(STATUS),
        })


class Accelerator(wiring.Component):
    """The top, with the ports of `AcceleratorSignature`."""

    def __init__(self, params: Parameters):
        self._params = params
        super().__init__(AcceleratorSignature(params))

    def elaborate(self, platform):
        m = Module()
        params = self._params
        clear = Signal()
        m.submodules.registers = registers = Registers(params.fingerprint)
        m.submodules.lifecycle = lifecycle = Lifecycle()
        connect(m, flipped(self.s_axil), registers.bus)
        m.d.comb += clear.eq(lifecycle.clear)

        def block(name: str, component: wiring.Component) -> wiring.Component:
            m.submodules[name] = ResetInserter(clear)(component)
            return component

        # Control and external memory.
        controller = block("controller", Controller(
            params.rows, params.cols, params.axi_bytes,
            depthwise=params.depthwise, packed=params.packed, residual=params.residual, pooling=params.pooling,
        ))  # fmt: skip
        counts = block("token_counts", TokenCounts())
        watchdog = block("watchdog", Watchdog())
        counters = block("counters", Counters())
        transfer_sizes = (params.vector, params.unit, params.bank_words, params.axi_bytes)
        load = block("load", LoadEngine(*transfer_sizes))
        store = block("store", StoreEngine(*transfer_sizes))
        weights = block(
            "weights", WeightEngine(params.cols, params.axi_bytes, params.weight_fifo_bytes, residual=params.residual)
        )
        read_channel = block("read_channel", ReadChannel(3, params.axi_bits))
        for client, engine in zip(read_channel.clients, (controller, load, weights), strict=True):
            connect(m, client, engine.read)
        join_channels(m, flipped(self.m_axi), read_channel.axi, store.axi)

        gates = {}
        formats = {"load": TRANSFER, "weights": WEIGHTS, "compute": COMPUTE, "store": TRANSFER}
        instructions = (controller.loads, controller.weights, controller.computes, controller.stores)
        for (name, layout), offered in zip(formats.items(), instructions, strict=True):
            gates[name] = gate = block(f"{name}_gate", TokenGate(layout))
            connect(m, offered, gate.i)
            m.d.comb += [gate.coming.eq(counts.coming), controller.waiting[name].eq(gate.waiting)]
        for name, engine in (("load", load), ("weights", weights), ("store", store)):
            connect(m, gates[name].o, engine.instructions)
            m.d.comb += engine.bases.eq(registers.bases)

        # The array and its memory.
        compute = block("compute", ComputeEngine(params))
        scratchpad = block("scratchpad", Scratchpad(
            words=params.bank_words, vector=params.vector, units=params.units, ports=params.read_ports
        ))  # fmt: skip
        depth = PostProcessor.DEPTH + (params.accumulator_depth if params.parts > 1 else 0)  # behind a queue of sums
        postprocessor = block("postprocessor", PostProcessor(
            cols=params.cols, vector=params.vector, units=params.units, address_bits=len(scratchpad.results.address),
            residual=params.residual, pooling=params.pooling, depth=depth, lanes=params.lanes, target=params.target,
        ))  # fmt: skip
        for mine, theirs in zip(compute.ports, scratchpad.ports, strict=True):
            connect(m, mine, theirs)
        m.d.comb += [word.eq(read) for word, read in zip(compute.words, scratchpad.words, strict=True)]
        connect(m, load.writes, scratchpad.loads)
        connect(m, store.reads, scratchpad.reads)
        connect(m, weights.tiles, compute.tiles)
        connect(m, weights.constants, postprocessor.constants)
        connect(m, compute.sums, postprocessor.sums)
        if params.residual:
            connect(m, weights.tables, postprocessor.tables)
            m.d.comb += [
                postprocessor.residuals.valid.eq(compute.residual_valid),
                postprocessor.residuals.data.eq(compute.residual),
            ]

        # A COMPUTE's context goes on a cycle later, out of the gate's register, and is there before the next one can come.
        gate = gates["compute"]
        context = postprocessor.contexts
        m.d.sync += context.valid.eq(compute.instructions.valid & compute.instructions.ready)
        m.d.comb += [
            compute.instructions.payload.eq(gate.o.payload),
            compute.instructions.valid.eq(gate.o.valid & context.ready),
            gate.o.ready.eq(compute.instructions.ready & context.ready),
            *(context.payload[name].eq(gate.o.payload[name]) for name in CONTEXT.members),
            scratchpad.result_en.eq(postprocessor.writes.valid),
            scratchpad.results.bank.eq(postprocessor.writes.bank),
            scratchpad.results.address.eq(postprocessor.writes.address),
            scratchpad.results.data.eq(postprocessor.writes.data),
            scratchpad.result_mask.eq(postprocessor.writes.mask),
            store.read_data.eq(scratchpad.read_data),
        ]

        # What happened, and what to do about it.
        moves = Signal(6)  # registers, and another behind them: they come from everywhere, and late
        advance = Signal()
        m.d.sync += [
            moves.eq(Cat(
                controller.advance, load.advance, weights.advance, store.advance, compute.active, postprocessor.writes.valid
            )),
            advance.eq(moves.any()),
            counts.hold.eq(controller.halt | lifecycle.resetting),
            # What a program ends with is a STORE.
            controller.idle.load.eq(~load.busy & ~gates["load"].busy),
            controller.idle.weights.eq(~weights.busy & ~gates["weights"].busy),
            controller.idle.compute.eq(~compute.busy & ~gates["compute"].busy),
        ]  # fmt: skip
        m.d.comb += [
            lifecycle.start.eq(registers.start),
            lifecycle.reset.eq(registers.reset),
            lifecycle.busy.eq(controller.busy),
            lifecycle.failed.eq(controller.halt),
            lifecycle.quiet.eq(read_channel.quiet & store.quiet),
            read_channel.halt.eq(lifecycle.halt),
            store.halt.eq(lifecycle.halt),
            controller.start.eq(lifecycle.go),
            controller.program.eq(registers.bases[0]),
            controller.length.eq(registers.program_length),
            controller.counts.eq(counts.counts),
            controller.finished.load.eq(load.done),
            controller.finished.weights.eq(weights.done),
            controller.finished.compute.eq(postprocessor.done),
            controller.finished.store.eq(store.done),
            controller.idle.store.eq(~store.busy & ~gates["store"].busy),
            controller.faults.load.eq(load.error),
            controller.faults.weights.eq(weights.error),
            controller.faults.store.eq(store.error),
            controller.faults.no_progress.eq(watchdog.expired),
            counts.done.load.eq(load.done),
            counts.done.compute.eq(postprocessor.done),
            counts.done.store.eq(store.done),
            watchdog.limit.eq(registers.watchdog),
            watchdog.running.eq(lifecycle.running),
            watchdog.advance.eq(advance),
            counters.running.eq(lifecycle.running),
            registers.status.busy.eq(lifecycle.running | lifecycle.resetting),
            registers.status.done.eq(controller.done),
            registers.status.error.eq(controller.halt),
            self.status.eq(registers.status),
            registers.error.eq(controller.error),
            registers.error_pc.eq(controller.error_pc),
            registers.error_detail.eq(controller.error_detail),
            registers.cycles.eq(counters.cycles),
            registers.counters.eq(counters.by_category),
            registers.tokens.eq(counts.counts),
            registers.instructions.eq(controller.instructions),
            self.irq.eq(controller.done | controller.halt),
        ]  # fmt: skip
        m.d.comb += counters.category.eq(Category.IDLE)
        with m.If(compute.active):
            m.d.comb += counters.category.eq(Category.ACTIVE)
        with m.Elif(compute.wants_weights):
            m.d.comb += counters.category.eq(Category.WAIT_WEIGHTS)
        with m.Elif(compute.held | compute.busy):
            m.d.comb += counters.category.eq(Category.WAIT_TOKENS)
        with m.Elif(gate.waiting.load):
            m.d.comb += counters.category.eq(Category.WAIT_INPUT)
        with m.Elif(gate.waiting.store | (gate.o.valid & ~context.ready)):
            m.d.comb += counters.category.eq(Category.WAIT_OUTPUT)
        with m.Elif(gate.waiting.compute):
            m.d.comb += counters.category.eq(Category.WAIT_TOKENS)
        return m
