"""What runs a program of the compact accelerator: an instruction at a time, a block of output channels at a time."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..counters import Category
from ..isa import CONSTANT_VECTORS, ErrorCode, Mode, Opcode
from ..skew import Delay
from .memory import WORD

__all__ = ["Sequencer"]

_BIAS_WORDS = 4


class Sequencer(wiring.Component):
    """Runs from the cycle after ``begin`` to END or an error; the program's first word is at ``base``, an instruction is
    ``instruction_words``.

    Reads the program memory at ``read_address`` in cycles of ``read``; what comes for the `Decoder`, the accumulator's biases and
    the lanes is announced `WORD` cycles later, with the word. LOAD and STORE are the host's and are passed over; WEIGHTS says
    where the next constants and tiles lie. A block: biases, passes (the `Walker`'s), ``FLUSH`` cycles until their
    sums are in the accumulator; then, when the block before has left it, the other constants, and the sums go their own way. The
    next instruction is fetched when the last block has gone: in the cycle of ``finished`` it has. ``passed_load`` and
    ``passed_store`` are there for a bench.
    """

    begin: In(1)
    base: In(14)
    opcode: In(4)
    mode: In(2)
    offset: In(14)
    blocks: In(8)

    read_address: Out(14)
    read: Out(1)
    index: Out(4)
    arrives: Out(1)
    load_bias: Out(3)
    load_lanes: Out(5)

    tile_begin: Out(1)
    tile_reading: In(1)
    tile_advance: In(1)
    tile_ready: In(1)
    walk_begin: Out(1)
    walk_step: In(1)
    walk_start: In(1)
    walk_more: In(1)
    walk_done: In(1)
    drain_begin: Out(1)
    drain_busy: In(1)
    drain_write: In(1)
    half: Out(1)

    busy: Out(1)
    done: Out(1)
    error: Out(ErrorCode)
    finished: Out(1)
    passed_load: Out(1)
    passed_store: Out(1)
    pc: Out(14)
    category: Out(Category)

    def __init__(self, *, instruction_words: int, flush: int):
        self._instruction_words = instruction_words
        self._flush = flush
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        stream, constants = Signal(14), Signal(14)
        count = Signal(range(max(self._instruction_words + WORD, self._flush)))
        # What is read now, and when it arrives.
        fetching, biases, others = Signal(), Signal(), Signal()
        bias_arrives, others_arrive = Signal(), Signal()
        m.submodules.delay = delay = Delay(unsigned(3 + len(self.index)), WORD)
        m.d.comb += [
            delay.i.eq(Cat(fetching, biases, others, count[: len(self.index)])),
            Cat(self.arrives, bias_arrives, others_arrive, self.index).eq(delay.o),
        ]
        m.d.sync += count.eq(count + 1)
        m.d.comb += [
            self.read.eq(fetching | biases | others | self.tile_reading),
            self.read_address.eq(stream),
            *(bit.eq(bias_arrives & (self.index == n)) for n, bit in enumerate(self.load_bias)),
            *(bit.eq(others_arrive & (self.index == n)) for n, bit in enumerate(self.load_lanes)),
            self.category.eq(Category.IDLE),
        ]
        with m.If(biases | self.tile_advance):
            m.d.sync += stream.eq(stream + 1)
        with m.If(self.walk_step & self.walk_start & self.walk_more):
            m.d.comb += self.tile_begin.eq(1)

        with m.FSM(name="sequencer"):
            with m.State("IDLE"), m.If(self.begin):
                m.d.sync += [self.pc.eq(self.base), self.done.eq(0), self.error.eq(ErrorCode.NONE), count.eq(0), self.busy.eq(1)]
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += [fetching.eq(1), self.read_address.eq(self.pc)]
                m.d.sync += self.pc.eq(self.pc + 1)
                with m.If(count == self._instruction_words - 1):
                    m.next = "SETTLE"
            with m.State("SETTLE"), m.If(count == self._instruction_words - 1 + WORD):
                m.next = "DISPATCH"
            with m.State("DISPATCH"):
                m.d.sync += count.eq(0)
                m.next = "FETCH"
                with m.Switch(self.opcode):
                    with m.Case(Opcode.END.value):
                        m.d.sync += [self.done.eq(1), self.busy.eq(0)]
                        m.next = "IDLE"
                    with m.Case(Opcode.LOAD.value):
                        m.d.comb += self.passed_load.eq(1)
                    with m.Case(Opcode.STORE.value):
                        m.d.comb += self.passed_store.eq(1)
                    with m.Case(Opcode.WEIGHTS.value):
                        m.d.sync += stream.eq(self.offset)
                    with m.Case(Opcode.COMPUTE.value):
                        m.next = "BIASES"
                        with m.If((self.mode != Mode.DENSE.value) & (self.mode != Mode.DEPTHWISE.value)):
                            m.d.sync += [self.error.eq(ErrorCode.ILLEGAL_FIELD), self.busy.eq(0)]
                            m.next = "IDLE"
                    with m.Default():
                        m.d.sync += [self.error.eq(ErrorCode.ILLEGAL_OPCODE), self.busy.eq(0)]
                        m.next = "IDLE"
            with m.State("BIASES"):
                m.d.comb += [biases.eq(1), self.category.eq(Category.WAIT_WEIGHTS)]
                with m.If(count == _BIAS_WORDS):
                    m.d.sync += constants.eq(stream)
                with m.If(count == CONSTANT_VECTORS - 1):
                    m.d.comb += [self.tile_begin.eq(1), self.walk_begin.eq(1)]
                    m.next = "WALK"
            with m.State("WALK"):
                m.d.sync += count.eq(0)
                m.d.comb += self.category.eq(Category.WAIT_TOKENS)
                with m.If(self.walk_step):
                    m.d.comb += self.category.eq(Category.ACTIVE)
                with m.Elif(self.drain_write):
                    m.d.comb += self.category.eq(Category.WAIT_OUTPUT)
                with m.Elif(~self.tile_ready):
                    m.d.comb += self.category.eq(Category.WAIT_WEIGHTS)
                with m.If(self.walk_done):
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.comb += self.category.eq(Category.WAIT_TOKENS)
                with m.If(count == self._flush - 1):
                    m.next = "HOLD"
            with m.State("HOLD"):
                m.d.comb += self.category.eq(Category.WAIT_OUTPUT)
                m.d.sync += count.eq(0)
                with m.If(~self.drain_busy):
                    m.next = "CONSTANTS"
            with m.State("CONSTANTS"):
                m.d.comb += [others.eq(1), self.read_address.eq(constants), self.category.eq(Category.WAIT_WEIGHTS)]
                m.d.sync += constants.eq(constants + 1)
                with m.If(count == CONSTANT_VECTORS - _BIAS_WORDS - 1):
                    m.next = "RELEASE"
            with m.State("RELEASE"):
                m.d.comb += [self.drain_begin.eq(1), self.category.eq(Category.WAIT_WEIGHTS)]
                m.d.sync += [self.half.eq(~self.half), count.eq(0)]
                m.next = "BIASES"
                with m.If(self.blocks == 1):
                    m.next = "LAST"
            with m.State("LAST"):
                m.d.comb += self.category.eq(Category.WAIT_OUTPUT)
                m.d.sync += count.eq(0)
                with m.If(~self.drain_busy):
                    m.d.comb += self.finished.eq(1)
                    m.next = "FETCH"
        return m
