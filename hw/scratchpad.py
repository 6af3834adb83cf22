"""The activation memory: four row banks, each reading and writing one vector per cycle."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .data_register import data_register
from .params import BANKS

__all__ = ["Scratchpad", "place_layout", "write_layout"]


def place_layout(words: int) -> data.StructLayout:
    """A word of the scratchpad: bank and word address within it."""
    return data.StructLayout({"bank": range(BANKS), "address": ceil_log2(words)})


def write_layout(words: int, vector: int) -> data.StructLayout:
    """A word with its bytes to write."""
    return data.StructLayout({"bank": range(BANKS), "address": ceil_log2(words), "data": 8 * vector})


class Scratchpad(wiring.Component):
    """``BANKS`` banks of ``words`` vectors.

    ``ports`` read for the array: they are always served, and never two of them on one bank in a cycle; the word follows on
    ``words`` LATENCY cycles later. ``reads`` (the store engine) waits for a cycle in which the array leaves its bank alone;
    ``read_data`` is valid STORE_LATENCY cycles later. ``results`` always writes, the sub-vectors of ``result_mask``,
    RESULT_LATENCY cycles later; ``loads`` waits for a cycle in which no result is written to its bank.
    """

    LATENCY = 3
    STORE_LATENCY = 2
    RESULT_LATENCY = 1

    def __init__(self, *, words: int, vector: int, units: int, ports: int = BANKS):
        self._words = words
        self._vector = vector
        self._units = units
        self._ports = ports
        place = place_layout(words)
        write = write_layout(words, vector)
        super().__init__({
            "ports": In(wiring.Signature({"en": Out(1), "place": Out(place)})).array(ports),
            "words": Out(8 * vector).array(ports),
            "reads": In(stream.Signature(place)),
            "read_data": Out(8 * vector),
            "results": In(write),
            "result_en": In(1),
            "result_mask": In(units),
            "loads": In(stream.Signature(write)),
        })

    def elaborate(self, platform):
        m = Module()
        # Results come from far away, and the loads wait for them.
        result = Signal(self.results.shape(), reset_less=True)
        mask = Signal(self._units, reset_less=True)
        taken = Signal(BANKS)  # the result's bank
        m.d.sync += [
            result.eq(self.results),
            mask.eq(self.result_mask),
            *(bank.eq(self.result_en & (self.results.bank == b)) for b, bank in enumerate(taken)),
        ]
        blocked = (port.en & (port.place.bank == self.reads.payload.bank) for port in self.ports)
        m.d.comb += [
            self.reads.ready.eq(~reduce(or_, blocked)),
            self.loads.ready.eq(~taken.bit_select(self.loads.payload.bank, 1)),
        ]
        answers = []
        for b in range(BANKS):
            m.submodules[f"bank_{b}"] = bank = memory.Memory(
                shape=unsigned(8 * self._vector), depth=self._words, init=[]
            )
            granularity = 8 * self._vector // self._units if self._units > 1 else None
            read = bank.read_port()
            write = bank.write_port(granularity=granularity)
            # A block RAM's own output register, where it has one: without it the word comes late in its cycle.
            answer = Signal(8 * self._vector, name=f"answer_{b}", reset_less=True)
            m.d.sync += answer.eq(read.data)
            answers.append(answer)

            m.d.comb += read.addr.eq(self.reads.payload.address)
            chosen = self.reads.valid & (self.reads.payload.bank == b)
            wanted = 0
            for port in self.ports:
                here = port.en & (port.place.bank == b)
                with m.If(here):
                    m.d.comb += read.addr.eq(port.place.address)
                wanted |= here
            m.d.comb += read.en.eq(wanted | chosen)

            m.d.comb += [write.addr.eq(self.loads.payload.address), write.data.eq(self.loads.payload.data)]
            with m.If(taken[b]):
                m.d.comb += [write.addr.eq(result.address), write.data.eq(result.data), write.en.eq(mask)]
            with m.Elif(self.loads.valid & (self.loads.payload.bank == b)):
                m.d.comb += write.en.eq(~C(0, self._units))

        for n, (port, word) in enumerate(zip(self.ports, self.words, strict=True)):
            register = data_register(m, word, f"word_{n}")
            m.d.sync += register.eq(Array(answers)[self._answering(m, port.place.bank, f"bank_{n}")])
        m.d.comb += self.read_data.eq(Array(answers)[self._answering(m, self.reads.payload.bank, "read_bank")])
        return m

    @staticmethod
    def _answering(m, bank, name):
        """``bank`` when its answer is there."""
        for n in range(Scratchpad.STORE_LATENCY):
            later = Signal.like(bank, name=f"{name}_{n}", reset_less=True)
            m.d.sync += later.eq(bank)
            bank = later
        return bank
