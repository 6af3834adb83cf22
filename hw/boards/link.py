"""The host's link: request frames in, register and memory accesses, reply frames out. docs/link.md has the protocol."""

from amaranth import *
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..requests import REPLY, RequestSignature
from .framing import Deframer, Framer
from .uart import RECEIVED

__all__ = ["HEADER", "IDENTITY", "LINK_MAGIC", "LINK_VERSION", "OVERHEAD", "REPLY_FLAG", "SLOTS", "Link", "Space", "Status"]

LINK_MAGIC = int.from_bytes(b"TLWL", "little")
LINK_VERSION = 1

SLOTS = 2
"""Requests that the device can hold: one that it works on and one that waits."""

OVERHEAD = 3
"""Words of a request besides its data: header, address, CRC."""

REPLY_FLAG = 0x80
"""Added to a command in its reply."""


class Space(enum.Enum, shape=2):
    """What an address means."""

    IDENTITY = 0
    REGISTERS = 1
    MEMORY = 2


class Status(enum.Enum, shape=2):
    """The last word of a reply."""

    OK = 0
    BUS = 1
    """An access was answered with an error: no such register, or outside memory."""
    TIMEOUT = 2
    """An access was not answered at all."""
    REQUEST = 3
    """No such command, or as many words as the frame has not."""


HEADER = data.StructLayout({"space": Space, "zero": 2, "write": 1, "more": 3, "sequence": 8, "words": 16})
"""The first word of a frame. Its low byte is the command; ``zero`` and ``more`` are 0 in a request."""

IDENTITY = ("magic", "protocol", "memory_bytes", "clock_hz")
"""The words of the identity; ``protocol`` is version, slots (8 bits each) and the words of a slot (16 bits)."""


class Link(wiring.Component):
    """Carries out requests one after the other, each one whole and checked before it begins.

    ``memory_bytes`` and ``clock_hz`` are for the host to read. ``slot_words`` (a power of two) is the longest request.
    An access that is not answered within 2 ** ``patience`` cycles is given up. A request that finds all slots full is
    lost, like a damaged one.
    """

    def __init__(self, *, memory_bytes: int, clock_hz: int, slot_words: int = 256, patience: int = 16):
        self._slot_words = slot_words
        self._patience = patience
        self._identity = (LINK_MAGIC, LINK_VERSION | SLOTS << 8 | slot_words << 16, memory_bytes, clock_hz)
        super().__init__(
            {
                "rx": In(stream.Signature(RECEIVED)),
                "tx": Out(stream.Signature(8)),
                "registers": Out(RequestSignature()),
                "memory": Out(RequestSignature()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.framer = framer = Framer()
        wiring.connect(m, wiring.flipped(self.rx), deframer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.tx))
        m.submodules.slots = slots = memory.Memory(shape=32, depth=SLOTS * self._slot_words, init=[])
        full = Signal(SLOTS)
        lengths = Signal(data.ArrayLayout(exact_log2(self._slot_words) + 1, SLOTS))  # words, the CRC among them
        release = Signal(SLOTS)
        self._receive(m, deframer, slots.write_port(), full, lengths, release)
        self._execute(m, framer, slots.read_port(), full, lengths, release)
        return m

    def _receive(self, m, deframer, port, full, lengths, release):
        """Frames into free slots; one that is whole and right makes its slot full."""
        slot = Signal(range(SLOTS))
        count = Signal.like(lengths[0])
        enough = Signal()  # words for a frame
        lost = Signal()
        free = Signal()  # a cycle later than it could be: words are far apart
        m.d.sync += free.eq(~full.bit_select(slot, 1) & ~lost)
        m.d.comb += [
            port.addr.eq(Cat(count[:-1], slot)),
            port.data.eq(deframer.word),
            port.en.eq(deframer.word_valid & free & ~count[-1]),
        ]
        m.d.sync += full.eq(full & ~release)
        with m.If(deframer.word_valid):
            m.d.sync += [count.eq(count + 1), enough.eq(count >= OVERHEAD - 1)]
            with m.If(~free | count[-1]):
                m.d.sync += lost.eq(1)
        with m.If(deframer.end):
            m.d.sync += [count.eq(0), enough.eq(0), lost.eq(0)]
            with m.If(deframer.good & free & enough):
                m.d.sync += [
                    full.eq((full & ~release) | (1 << slot)),
                    lengths[slot].eq(count),
                    slot.eq(slot + 1),
                ]

    def _execute(self, m, framer, port, full, lengths, release):
        """Slots in turn: read the header, access word by word, reply."""
        slot = Signal(range(SLOTS))
        place = Signal(exact_log2(self._slot_words))
        header = Signal(HEADER)
        address = Signal(32)
        left = Signal(16)
        status = Signal(Status)
        word = Signal(32)
        # A register write that is asked for again, because its reply was lost, must not happen again.
        former, former_valid = Signal(8), Signal()
        repeated = Signal()
        timer = Signal(self._patience)
        patient = Signal()
        m.d.comb += patient.eq(~timer.all())
        m.d.sync += timer.eq(timer + patient)

        command = Signal(8)
        legal = Signal()
        length = lengths[slot]
        m.d.comb += [
            port.addr.eq(Cat(place, slot)),
            command.eq(header.as_value()[:8]),
            repeated.eq(former_valid & (header.sequence == former)),
        ]
        with m.Switch(command):
            with m.Case(*(space.value for space in Space)):
                m.d.comb += legal.eq(length == OVERHEAD)
            with m.Case(0x10 | Space.REGISTERS.value, 0x10 | Space.MEMORY.value):
                m.d.comb += legal.eq(length == header.words + OVERHEAD)

        reply = framer.i
        wanted = Signal()
        taken, answering, answer = self._ports(m, header, address, port.data, wanted)
        answered, failed = Signal(), Signal()  # in the cycle before
        m.d.sync += [answered.eq(answering), failed.eq(answer.error)]
        with m.FSM(name="link"):
            with m.State("IDLE"), m.If(full.bit_select(slot, 1)):
                m.d.sync += place.eq(1)
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.sync += [header.eq(port.data), place.eq(2)]
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += [address.eq(port.data), left.eq(header.words)]
                m.next = "CHECK"
            with m.State("CHECK"):
                register_write = legal & header.write & (header.space == Space.REGISTERS)
                m.d.sync += [former.eq(header.sequence), former_valid.eq(register_write)]
                with m.If(~legal):
                    m.d.sync += [status.eq(Status.REQUEST), left.eq(0)]
                with m.Elif(register_write & repeated):
                    m.d.sync += left.eq(0)  # and `status` is still its own
                with m.Else():
                    m.d.sync += status.eq(Status.OK)
                m.next = "BEGIN"
            with m.State("BEGIN"):
                opening = Signal(HEADER)
                m.d.comb += [
                    opening.eq(header),
                    opening.more.eq(header.more | (REPLY_FLAG >> 5)),
                    opening.words.eq(Mux(header.write, 0, left)),
                    reply.p.data.eq(opening),
                    reply.valid.eq(1),
                ]
                with m.If(reply.ready):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [timer.eq(0), word.eq(0)]
                with m.If(left == 0):
                    m.next = "STATUS"
                with m.Elif(status == Status.OK):
                    m.next = "ACCESS"
                with m.Elif(header.write):
                    m.next = "STATUS"
                with m.Else():
                    m.next = "SEND"
            with m.State("ACCESS"):
                m.d.comb += wanted.eq(1)
                with m.If(taken):
                    m.next = "ANSWER"
                with m.Elif(~patient):
                    m.d.sync += status.eq(Status.TIMEOUT)
                    m.next = "NEXT"
            with m.State("ANSWER"):
                with m.If(answering):
                    m.d.sync += word.eq(answer.data)
                with m.If(answered | ~patient):
                    with m.If(~answered):
                        m.d.sync += [status.eq(Status.TIMEOUT), word.eq(0)]
                    with m.Elif(failed):
                        m.d.sync += status.eq(Status.BUS)
                    with m.If(header.write):
                        m.next = "ADVANCE"
                    with m.Else():
                        m.next = "SEND"
            with m.State("ADVANCE"):
                m.d.sync += [address.eq(address + 4), left.eq(left - 1), place.eq(place + 1)]
                m.next = "NEXT"
            with m.State("SEND"):
                m.d.comb += [reply.p.data.eq(word), reply.valid.eq(1)]
                with m.If(reply.ready):
                    m.next = "ADVANCE"
            with m.State("STATUS"):
                m.d.comb += [reply.p.data.eq(status.as_value()), reply.p.last.eq(1), reply.valid.eq(1)]
                with m.If(reply.ready):
                    m.d.comb += release.eq(1 << slot)
                    m.d.sync += [slot.eq(slot + 1), place.eq(0)]
                    m.next = "IDLE"

    def _ports(self, m, header, address, word, wanted):
        """Connect the port that ``header.space`` names: when it takes the access that is ``wanted``, and its answer."""
        taken, answered, answer = Signal(), Signal(), Signal(REPLY)
        for space, port in ((Space.REGISTERS, self.registers), (Space.MEMORY, self.memory)):
            request = port.requests
            m.d.comb += [request.p.write.eq(header.write), request.p.address.eq(address), request.p.data.eq(word)]
            with m.If(header.space == space):
                m.d.comb += [
                    request.valid.eq(wanted),
                    taken.eq(request.ready),
                    answered.eq(port.reply_valid),
                    answer.eq(port.reply),
                ]
        with m.If(header.space == Space.IDENTITY):
            m.d.comb += [taken.eq(1), answered.eq(1), answer.error.eq(address[4:].any())]
            with m.Switch(address[2:4]):
                for index, value in enumerate(self._identity):
                    with m.Case(index):
                        m.d.comb += answer.data.eq(value)
        return taken, answered, answer
