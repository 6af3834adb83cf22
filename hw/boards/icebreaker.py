"""iCEBreaker: iCE40UP5K with a 12 MHz oscillator; the FT2232H's second port is the serial line, the button UBUTTON the reset."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board, clock_of, pin_of, write_pcf
from .pll_ice40 import ice40_pll

__all__ = ["ICEBREAKER"]


def _board(name: str, platform) -> Board:
    pins = {
        "clk": pin_of(platform, platform.default_clk),
        "button": pin_of(platform, "button", 0),
        "rx": pin_of(platform, "uart", 0, "rx"),
        "tx": pin_of(platform, "uart", 0, "tx"),
        "busy": pin_of(platform, "led_g", 0),
        "error": pin_of(platform, "led_r", 0),
    }
    return Board(
        name=name, clock_hz=clock_of(platform), pins=pins, pll=ice40_pll, write_constraints=write_pcf, loader="ice40_generic"
    )


ICEBREAKER = _board("icebreaker", ICEBreakerPlatform())
