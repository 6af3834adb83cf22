"""The compact accelerator: no external memory, everything on the chip, as in the 5,280 cells and 128 KiB of an iCE40UP5K."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..array import SystolicArray
from ..counters import Category
from ..isa import ErrorCode, Mode
from ..params import BANKS, Parameters
from ..registers import STATUS
from ..requests import RequestSignature
from ..skew import Delay
from .accumulator import CompactAccumulator
from .drain import ParallelDrain, SerialDrain
from .fields import Decoder, instruction_words
from .host_port import HostPort
from .memory import WORD, SinglePortMemory
from .postprocess import ParallelPostProcessor, SerialPostProcessor
from .sequencer import Sequencer
from .tiles import TileLoader
from .walker import Walker

__all__ = ["CompactAccelerator"]


class CompactAccelerator(wiring.Component):
    """The top for `Parameters` whose ``memory`` is ``spram`` or ``bram``: a host's port for single words to registers
    and memories.

    ``status`` is the register's; ``category`` says for a bench what the array does.
    """

    FEED = 2
    """Cycles from a step to its wave at the array: the activation memory, and the choice between word, pad and zero."""

    registers: In(RequestSignature())
    memory: In(RequestSignature())
    status: Out(STATUS)
    category: Out(Category)

    def __init__(self, params: Parameters):
        self._params = params
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        params = self._params
        clear = Signal()

        def block(name: str, component: wiring.Component) -> wiring.Component:
            m.submodules[name] = ResetInserter(clear)(component)
            return component

        side = params.vector  # bytes of a word of either memory
        program_bytes, bank_bytes = 1024 * params.program_kib, side * params.bank_words
        m.submodules.host_port = host = HostPort(
            params.fingerprint, side=side, program_bytes=program_bytes, bank_bytes=bank_bytes
        )
        spram = params.target == "ice40" and params.memory == "spram"
        m.submodules.program_memory = program = SinglePortMemory(program_bytes // side, word_bits=8 * side, spram=spram)
        m.submodules.activation_memory = activations = SinglePortMemory(
            BANKS * params.bank_words, word_bits=8 * side, banks=BANKS, spram=spram
        )
        m.submodules.array = array = SystolicArray(
            rows=params.rows, cols=params.cols, groups=0, target=params.target, blocks=params.array_blocks
        )
        m.submodules.decoder = decoder = Decoder(side)
        latency = self.FEED + array.latency
        depth = params.accumulator_depth
        m.submodules.accumulator = accumulator = CompactAccumulator(
            cols=side, depth=depth, delay=latency, sum_width=array.sum_width
        )
        walker = block("walker", Walker())
        tiles = block("tiles", TileLoader(side))
        if params.serial_lanes:
            m.submodules.postprocessor = post = SerialPostProcessor(side)
            drain = block("drain", SerialDrain(depth=depth, lanes=side))
            m.d.comb += [post.lane.eq(drain.lane), post.start.eq(drain.start), drain.period.eq(post.period)]
        else:
            m.submodules.postprocessor = post = ParallelPostProcessor(side, lanes=params.lanes, target=params.target)
            drain = block("drain", ParallelDrain(depth=depth, parts=params.parts))
            m.d.comb += post.part.eq(drain.part)
        sequencer = block(
            "sequencer",
            Sequencer(instruction_words=instruction_words(side), flush=latency + CompactAccumulator.WRITTEN),
        )
        connect(m, flipped(self.registers), host.registers)
        connect(m, flipped(self.memory), host.memory)
        fields = decoder.fields
        depthwise = Signal()
        program_word = Signal.like(program.word, reset_less=True)
        m.d.sync += program_word.eq(program.word)

        m.d.comb += [
            clear.eq(host.reset),
            depthwise.eq(fields.mode == Mode.DEPTHWISE.value),
            sequencer.begin.eq(host.start),
            sequencer.base.eq(host.base),
            sequencer.opcode.eq(decoder.opcode),
            sequencer.mode.eq(fields.mode),
            sequencer.offset.eq(decoder.offset),
            sequencer.blocks.eq(fields.blocks),
            sequencer.tile_reading.eq(tiles.reading),
            sequencer.tile_advance.eq(tiles.advance),
            sequencer.tile_ready.eq(tiles.ready),
            sequencer.walk_step.eq(walker.step),
            sequencer.walk_start.eq(walker.start),
            sequencer.walk_more.eq(walker.more),
            sequencer.walk_done.eq(walker.done),
            sequencer.drain_busy.eq(drain.busy),
            sequencer.drain_write.eq(drain.write),
            self.category.eq(sequencer.category),
            # The program's words.
            program.address.eq(Mux(sequencer.busy, sequencer.read_address, host.address)),
            program.enable.eq(sequencer.read | (host.access & ~host.activations)),
            program.write.eq(Mux(sequencer.busy, 0, host.write)),
            program.data.eq(host.data),
            decoder.word.eq(program_word),
            decoder.index.eq(sequencer.index),
            decoder.arrives.eq(sequencer.arrives),
            decoder.next_block.eq(sequencer.drain_begin),
            decoder.next_input.eq(depthwise),
            tiles.begin.eq(sequencer.tile_begin),
            tiles.taken.eq(walker.step & walker.start),
            tiles.rows.eq(fields.rows),
            tiles.diagonal.eq(depthwise),
            tiles.word.eq(program_word),
            # The loops, and the activations.
            walker.fields.eq(fields),
            walker.begin.eq(sequencer.walk_begin),
            walker.tile.eq(tiles.ready),
            walker.stall.eq(drain.write),
            activations.address.eq(
                Mux(sequencer.busy, Mux(drain.write, drain.address, walker.address), host.address)
            ),
            activations.enable.eq(walker.step | drain.write | (host.access & host.activations)),
            activations.write.eq(Mux(sequencer.busy, drain.write.replicate(len(host.write)), host.write)),
            activations.data.eq(Mux(sequencer.busy, post.result, host.data)),
            # The array and what is behind it.
            array.weights.eq(tiles.weights),
            array.shift.eq(tiles.shift),
            accumulator.step.eq(walker.step),
            accumulator.start.eq(walker.start),
            accumulator.first.eq(walker.first),
            accumulator.sums.eq(array.sums),
            accumulator.constants.eq(program_word),
            accumulator.load_bias.eq(sequencer.load_bias),
            accumulator.half.eq(sequencer.half),
            accumulator.entry.eq(drain.entry),
            post.constants.eq(program_word),
            post.load.eq(sequencer.load_lanes),
            post.rounding.eq(fields.rounding),
            post.zero_point.eq(fields.zero_point),
            post.minimum.eq(fields.minimum),
            post.maximum.eq(fields.maximum),
            post.sums.eq(accumulator.totals),
            drain.fields.eq(fields),
            drain.begin.eq(sequencer.drain_begin),
        ]
        self._feed(m, array, walker, activations.word, fields, depthwise)
        self._report(m, host, sequencer, activations.word, program_word)
        return m

    def _feed(self, m, array, walker, word, fields, depthwise):
        """The step's bytes, a cycle behind the read: the word, or ``pad`` outside the image; zero in rows without weights."""
        outside, swaps = Signal(), Signal()
        m.d.sync += [outside.eq(walker.outside), swaps.eq(walker.step & walker.start)]
        for row, lane in enumerate(array.lanes):
            used = Signal(name=f"used_{row}")
            m.d.comb += used.eq(depthwise | (fields.rows > row))
            m.d.sync += lane.swap.eq(swaps)
            m.d.sync += lane.data.eq(Mux(used, Mux(outside, fields.pad, word.word_select(row, 8).as_signed()), 0))

    def _report(self, m, host, sequencer, activations_word, program_word):
        """What the host sees."""
        cycles = Signal(32)
        held_word = Signal.like(activations_word, reset_less=True)
        m.submodules.memory_delay = of_activations = Delay(1, WORD)  # which memory the word is from
        m.d.sync += held_word.eq(activations_word)
        with m.If(host.start & ~sequencer.busy):
            m.d.sync += cycles.eq(0)
        with m.Elif(sequencer.busy):
            m.d.sync += cycles.eq(cycles + 1)
        m.d.comb += [
            host.running.eq(sequencer.busy),
            of_activations.i.eq(host.activations),
            host.word.eq(Mux(of_activations.o, held_word, program_word)),
            host.status.busy.eq(sequencer.busy),
            host.status.done.eq(sequencer.done),
            host.status.error.eq(sequencer.error != ErrorCode.NONE),
            host.error.eq(sequencer.error),
            host.pc.eq(sequencer.pc),
            host.cycles.eq(cycles),
            self.status.eq(host.status),
        ]
