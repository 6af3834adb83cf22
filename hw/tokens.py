"""Tokens: what the engines have finished, and the gate that holds an instruction until enough is."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register

__all__ = ["COUNTS", "TOKENS", "TokenCounts", "TokenGate", "missing_tokens"]

COUNTS = data.StructLayout({"load": 16, "compute": 16, "store": 16})
"""Instructions that each engine has finished, modulo 2**16."""

TOKENS = data.StructLayout({"load": 1, "compute": 1, "store": 1})
"""A bit for each engine that gives tokens."""


def missing_tokens(counts, header) -> Value:
    """`TOKENS` that the instruction waits for: a count is short while ``(count - wait) mod 2**16 >= 2**15``."""
    waits = {name: getattr(header, f"wait_{name}") for name in COUNTS.members}
    return Cat((getattr(counts, name) - wait)[15] for name, wait in waits.items())


class TokenCounts(wiring.Component):
    """Count the ``done`` pulses. ``hold`` stops counting; reset the component to start again at zero. ``counts`` has a
    latency of 1 cycle; ``coming`` is what it shows in the next cycle."""

    done: In(TOKENS)
    hold: In(1)
    counts: Out(COUNTS)
    coming: Out(COUNTS)

    def elaborate(self, platform):
        m = Module()
        for name in COUNTS.members:
            coming = getattr(self.coming, name)
            m.d.comb += coming.eq(getattr(self.counts, name) + (getattr(self.done, name) & ~self.hold))
        m.d.sync += self.counts.eq(self.coming)
        return m


class TokenGate(wiring.Component):
    """Pass instructions on, each when the counts have reached its ``wait_load``, ``wait_compute`` and ``wait_store``.

    ``shape`` is one of the formats of `isa`. ``coming`` are the counts of the next cycle. An instruction is kept in a register
    while it waits, and what it lacks in another, so it goes on in the very cycle in which the counts suffice, at the earliest one
    cycle after it came; the next one comes two cycles after it went on, or later. ``waiting`` says which tokens it lacks (zero
    when there is no instruction), ``busy`` that there is one.
    """

    def __init__(self, shape):
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "coming": In(COUNTS),
                "waiting": Out(TOKENS),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        missing = Signal(TOKENS, reset_less=True)
        instruction = data_register(m, self.o.payload, "instruction")
        head = Signal.like(instruction, name="head")
        m.d.sync += missing.eq(missing_tokens(self.coming, head))
        m.d.comb += [
            head.eq(Mux(self.busy, instruction, self.i.payload)),
            self.waiting.eq(Mux(self.busy, missing, 0)),
            self.o.valid.eq(self.busy & ~missing.as_value().any()),
            self.i.ready.eq(~self.busy),
        ]
        with m.If(self.i.ready):
            m.d.sync += [self.busy.eq(self.i.valid), instruction.eq(self.i.payload)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += self.busy.eq(0)
        return m
