"""Synthesis, place and route: from Verilog to the area, the clock and the bitstream of a device."""

from .device import DEVICES, Device
from .flow import Design, Synthesis, SynthesisError, synthesize
from .funnel import Funnel
from .report import Place
from .tools import Tool, ToolMissingError, find_tool

__all__ = [
    "DEVICES", "Design", "Device", "Funnel", "Place", "Synthesis", "SynthesisError", "Tool", "ToolMissingError",
    "find_tool", "synthesize",
]  # fmt: skip
