"""Simulation models, in Verilog, of primitives that the hardware instantiates, and of block RAMs that its memories become."""

from pathlib import Path

__all__ = ["models"]

_MODELS = {
    "generic": (),
    "ecp5": ("CCU2C", "MULT18X18D"),
    "ice40": ("SB_MAC16", "SB_SPRAM256KA"),
    "gowin": ("MULT9X9", "MULT18X18"),
}


def models(target: str) -> tuple[Path, ...]:
    """The Verilog files that simulating an accelerator for ``target`` needs besides its own."""
    return tuple(Path(__file__).with_name(f"{name}.v") for name in _MODELS[target])
