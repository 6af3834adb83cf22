"""The host's side of the compact accelerator: a few registers, and both memories while it does not run."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..isa import ErrorCode
from ..params import BANKS
from ..registers import CONTROL, MAGIC, OFFSETS, STATUS, VERSION
from ..requests import RequestSignature
from ..skew import Delay
from .fields import instruction_words
from .memory import MOST_WORDS, WORD

__all__ = ["ACTIVATIONS", "MEMORY_BYTES", "HostPort"]

ACTIVATIONS = 4 * MOST_WORDS
"""Where the activation memory begins in the host's memory space; the program memory begins at 0."""

MEMORY_BYTES = 2 * ACTIVATIONS

_SPACE_BITS = exact_log2(ACTIVATIONS)
_BANK_BITS = exact_log2(ACTIVATIONS // BANKS)


class HostPort(wiring.Component):
    """Answers requests in 2 cycles, those for memory in 4. Registers are those of `hw.registers` that a machine without buses
    has; others are answered with an error, as is memory while ``running``, beyond `MEMORY_BYTES`, beyond ``program_bytes`` of the
    program memory or beyond ``bank_bytes`` of a bank of the activation memory.

    ``BASE_PROGRAM`` is a byte address in the program memory; ``pc`` is the word behind the instruction that runs.
    ``access`` asks for the word, of ``side`` bytes, at ``address`` of the memory that ``activations`` names; it is in ``word``
    `WORD` cycles later. ``write`` has a bit for each 32 bits of it.
    """

    def __init__(self, fingerprint: int, *, side: int, program_bytes: int, bank_bytes: int):
        self._fingerprint = fingerprint
        self._side = side
        self._program_bytes = program_bytes
        self._bank_bytes = bank_bytes
        super().__init__({
            "registers": In(RequestSignature()),
            "memory": In(RequestSignature()),
            "access": Out(1),
            "activations": Out(1),
            "write": Out(side // 4),
            "address": Out(14),
            "data": Out(8 * side),
            "word": In(8 * side),
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
        busy = Signal()  # a request is on its way
        activations = request.address[_SPACE_BITS]
        address, in_bank = request.address[:_SPACE_BITS], request.address[:_BANK_BITS]
        missing = request.address[_SPACE_BITS + 1 :].any()
        if self._program_bytes < ACTIVATIONS:
            missing |= ~activations & (address[2:] >= self._program_bytes // 4)
        if self._bank_bytes < ACTIVATIONS // BANKS:
            missing |= activations & (in_bank[2:] >= self._bank_bytes // 4)
        # A bank has 12 bits of the address inside, whatever a word is; of a word's parts the host sees one.
        low, parts = exact_log2(self._side), self._side // 4
        part = Signal(range(parts))
        if parts > 1:
            m.d.comb += part.eq(address[2:low])
        waiting = data.StructLayout({"valid": 1, "error": 1, "part": part.shape()})
        m.submodules.delay = delay = Delay(waiting, 1 + WORD)
        word = address[low:] if low == 2 else Mux(
            activations, Cat(in_bank[low:], C(0, low - 2), address[_BANK_BITS:]), address[low:]
        )
        m.d.sync += [
            self.access.eq(port.requests.valid & port.requests.ready & ~self.running & ~missing),
            self.activations.eq(activations),
            self.write.eq(request.write << part),
            self.address.eq(word),
            self.data.eq(request.data.replicate(parts)),
        ]
        m.d.comb += [
            port.requests.ready.eq(~busy),
            delay.i.valid.eq(port.requests.valid & port.requests.ready),
            delay.i.error.eq(self.running | missing),
            delay.i.part.eq(part),
            port.reply_valid.eq(delay.o.valid),
            port.reply.error.eq(delay.o.error),
            port.reply.data.eq(self.word.word_select(delay.o.part, 32)),
        ]
        with m.If(port.reply_valid):
            m.d.sync += busy.eq(0)
        with m.Elif(port.requests.valid):
            m.d.sync += busy.eq(1)

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
            "ERROR_PC": (self.pc + ~self.base)[exact_log2(instruction_words(self._side)) : 14],
            "ERROR_DETAIL": C(0, 32),
            "CYCLES_LO": self.cycles,
            "CYCLES_HI": C(0, 32),
        }
        written = Signal()
        m.d.comb += written.eq(accepted & request.write)
        m.d.sync += [port.reply.error.eq(1), port.reply.data.eq(0), self.start.eq(0), self.reset.eq(0)]
        with m.Switch(request.address[2:10]):
            for name, value in shown.items():
                with m.Case(OFFSETS[name] >> 2):
                    m.d.sync += [port.reply.data.eq(value), port.reply.error.eq(request.write)]
            with m.Case(OFFSETS["CONTROL"] >> 2):
                control = CONTROL(request.data[: CONTROL.size])
                m.d.sync += port.reply.error.eq(~request.write)
                m.d.sync += [self.start.eq(written & control.start), self.reset.eq(written & control.reset)]
            with m.Case(OFFSETS["BASE_PROGRAM"] >> 2):
                m.d.sync += [port.reply.data.eq(self.base << exact_log2(self._side)), port.reply.error.eq(0)]
                with m.If(written):
                    m.d.sync += self.base.eq(request.data[exact_log2(self._side) :])
