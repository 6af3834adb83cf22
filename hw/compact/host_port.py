"""The host's side of the compact accelerator: a few registers, and both memories while it does not run."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..isa import ErrorCode
from ..params import BANKS
from ..registers import CONTROL, MAGIC, OFFSETS, STATUS, VERSION
from ..requests import RequestSignature
from .memory import MOST_WORDS

__all__ = ["ACTIVATIONS", "MEMORY_BYTES", "HostPort"]

ACTIVATIONS = 4 * MOST_WORDS
"""Where the activation memory begins in the host's memory space; the program memory begins at 0."""

MEMORY_BYTES = 2 * ACTIVATIONS


class HostPort(wiring.Component):
    """Answers requests in 2 cycles. Registers are those of `hw.registers` that a machine without buses has; others are
    answered with an error, as is memory while ``running``, beyond `MEMORY_BYTES`, beyond ``program_words`` of the program memory
    or beyond ``bank_words`` of a bank of the activation memory.

    ``BASE_PROGRAM`` is a byte address in the program memory; ``pc`` is the word behind the instruction that runs.
    ``access`` asks for the word at ``address`` of the memory that ``activations`` names; it is in ``word`` a cycle later.
    """

    def __init__(self, fingerprint: int, *, program_words: int = MOST_WORDS, bank_words: int = MOST_WORDS // BANKS):
        self._fingerprint = fingerprint
        self._program_words = program_words
        self._bank_words = bank_words
        super().__init__({
            "registers": In(RequestSignature()),
            "memory": In(RequestSignature()),
            "access": Out(1),
            "activations": Out(1),
            "write": Out(1),
            "address": Out(14),
            "data": Out(32),
            "word": In(32),
            "start": Out(1),
            "reset": Out(1),
            "base": Out(14),
            "running": In(1),
            "status": In(STATUS),
            "error": In(ErrorCode),
            "pc": In(14),
            "cycles": In(32),
        })

    def elaborate(self, platform):
        m = Module()
        self._serve_memory(m)
        self._serve_registers(m)
        return m

    def _serve_memory(self, m):
        port = self.memory
        request = port.requests.p
        word = request.address[2:]
        missing = request.address[17:].any()
        if self._program_words < MOST_WORDS:
            missing |= ~self.activations & (word[:14] >= self._program_words)
        if self._bank_words < MOST_WORDS // BANKS:
            missing |= self.activations & (word[: exact_log2(MOST_WORDS // BANKS)] >= self._bank_words)
        m.d.comb += [
            port.requests.ready.eq(~port.reply_valid),
            self.access.eq(port.requests.valid & port.requests.ready & ~self.running & ~missing),
            self.activations.eq(request.address[16]),
            self.write.eq(request.write),
            self.address.eq(word),
            self.data.eq(request.data),
            port.reply.data.eq(self.word),
        ]
        m.d.sync += [
            port.reply_valid.eq(port.requests.valid & port.requests.ready),
            port.reply.error.eq(self.running | missing),
        ]

    def _serve_registers(self, m):
        port = self.registers
        request = port.requests.p
        accepted = Signal()
        m.d.comb += [port.requests.ready.eq(~port.reply_valid), accepted.eq(port.requests.valid & port.requests.ready)]
        m.d.sync += port.reply_valid.eq(accepted)
        shown = {
            "MAGIC": C(MAGIC, 32),
            "VERSION": C(VERSION, 32),
            "FINGERPRINT_LO": C(self._fingerprint & 0xFFFFFFFF, 32),
            "FINGERPRINT_HI": C(self._fingerprint >> 32, 32),
            "STATUS": self.status.as_value(),
            "ERROR": self.error.as_value(),
            "ERROR_PC": (self.pc + ~self.base)[4:14],
            "ERROR_DETAIL": C(0, 32),
            "CYCLES_LO": self.cycles,
            "CYCLES_HI": C(0, 32),
        }
        written = Signal()
        m.d.comb += written.eq(accepted & request.write)
        m.d.sync += [port.reply.error.eq(1), port.reply.data.eq(0)]
        with m.Switch(request.address[2:10]):
            for name, value in shown.items():
                with m.Case(OFFSETS[name] >> 2):
                    m.d.sync += [port.reply.data.eq(value), port.reply.error.eq(request.write)]
            with m.Case(OFFSETS["CONTROL"] >> 2):
                control = CONTROL(request.data[: CONTROL.size])
                m.d.sync += port.reply.error.eq(~request.write)
                m.d.comb += [self.start.eq(written & control.start), self.reset.eq(written & control.reset)]
            with m.Case(OFFSETS["BASE_PROGRAM"] >> 2):
                m.d.sync += [port.reply.data.eq(self.base << 2), port.reply.error.eq(0)]
                with m.If(written):
                    m.d.sync += self.base.eq(request.data[2:])
