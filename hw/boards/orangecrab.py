"""OrangeCrab r0.2: ECP5 with a 48 MHz oscillator. It has no USB bridge: the serial line is on pins 0 and 1, at 3.3 V.

Pin 0 is the input (the adapter's TX), pin 1 the output (its RX). The green light is ``busy``, the red one ``error``.
"""

from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform

from .board import Board, Pin, clock_of, pin_of, write_lpf
from .pll import ecp5_pll

__all__ = ["ORANGECRAB_25F"]


def _board(name: str, platform) -> Board:
    sites = platform.connectors["io", 0].mapping
    line = {"IO_TYPE": "LVCMOS33"}
    pins = {
        "clk": pin_of(platform, platform.default_clk),
        "button": pin_of(platform, "button", 0),
        "rx": Pin(sites["0"], attributes=line | {"PULLMODE": "UP"}),
        "tx": Pin(sites["1"], attributes=line),
        "busy": pin_of(platform, "rgb_led", 0, "g"),
        "error": pin_of(platform, "rgb_led", 0, "r"),
    }
    return Board(
        name=name, clock_hz=clock_of(platform), pins=pins, pll=ecp5_pll, write_constraints=write_lpf, loader="orangeCrab"
    )


ORANGECRAB_25F = _board("orangecrab-25f", OrangeCrabR0_2_25FPlatform())
