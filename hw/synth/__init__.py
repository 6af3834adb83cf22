"""Synthesis, place and route: from Verilog to the area, the clock and the bitstream of a device."""

from .device import DEVICES, Device
from .flash import FlashError, flash
from .flow import Design, Synthesis, SynthesisError, synthesize
from .funnel import Funnel
from .report import Place
from .tools import Tool, ToolMissingError, find_tool

__all__ = [
    "DEVICES", "Design", "Device", "FlashError", "Funnel", "Place", "Synthesis", "SynthesisError", "Tool", "ToolMissingError",
    "find_tool", "flash", "synthesize",
]  # fmt: skip
