"""Registers of data, which no reset touches: its wires go only to what says whether the data counts."""

from amaranth import *

__all__ = ["data_register"]


def data_register(m: Module, port: Value, name: str) -> Signal:
    """A register to assign in ``m.d.sync``, without reset, whose value is the output ``port``'s, of the same shape."""
    register = Signal.like(port, name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register
