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
    ``read_data`` is valid in the cycle after. ``results`` always writes, the sub-vectors of ``result_mask``; ``loads`` waits
    for a cycle in which the results leave its bank alone.
    """

    LATENCY = 2

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
        blocked = (port.en & (port.place.bank == self.reads.payload.bank) for port in self.ports)
        m.d.comb += [
            self.reads.ready.eq(~reduce(or_, blocked)),
            self.loads.ready.eq(~(self.result_en & (self.results.bank == self.loads.payload.bank))),
        ]
        read_ports = []
        for b in range(BANKS):
            m.submodules[f"bank_{b}"] = bank = memory.Memory(
                shape=unsigned(8 * self._vector), depth=self._words, init=[]
            )
            granularity = 8 * self._vector // self._units if self._units > 1 else None
            read = bank.read_port()
            write = bank.write_port(granularity=granularity)
            read_ports.append(read)

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
            with m.If(self.result_en & (self.results.bank == b)):
                m.d.comb += [
                    write.addr.eq(self.results.address),
                    write.data.eq(self.results.data),
                    write.en.eq(self.result_mask),
                ]
            with m.Elif(self.loads.valid & (self.loads.payload.bank == b)):
                m.d.comb += write.en.eq(~C(0, self._units))

        answers = Array(read.data for read in read_ports)
        for n, (port, word) in enumerate(zip(self.ports, self.words, strict=True)):
            bank = Signal.like(port.place.bank)
            register = data_register(m, word, f"word_{n}")
            m.d.sync += [bank.eq(port.place.bank), register.eq(answers[bank])]
        read_bank = Signal(range(BANKS))
        m.d.sync += read_bank.eq(self.reads.payload.bank)
        m.d.comb += self.read_data.eq(answers[read_bank])
        return m
