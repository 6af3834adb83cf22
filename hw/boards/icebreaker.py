"""iCEBreaker: iCE40UP5K with a 12 MHz oscillator; the FT2232H's second port is the serial line, the button UBUTTON the reset."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board, clock_of, serial_pins, write_pcf
from .pll_ice40 import ice40_pll

__all__ = ["ICEBREAKER"]


def _board(name: str, platform) -> Board:
    pins = serial_pins(platform, button="button", busy=("led_g", 0), error=("led_r", 0))
    return Board(
        name=name, clock_hz=clock_of(platform), pins=pins, pll=ice40_pll, write_constraints=write_pcf, loader="ice40_generic"
    )


ICEBREAKER = _board("icebreaker", ICEBreakerPlatform())
