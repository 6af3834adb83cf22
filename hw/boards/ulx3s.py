"""ULX3S: ECP5 with a 25 MHz oscillator; the FT231X on US1 is the serial line, FIRE 1 the reset."""

from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform

from .board import Board, clock_of, serial_pins, write_lpf
from .pll import ecp5_pll

__all__ = ["ULX3S_25F", "ULX3S_85F"]


def _board(name: str, platform) -> Board:
    pins = serial_pins(platform, button="button_fire", busy=("led", 0), error=("led", 1))
    return Board(name=name, clock_hz=clock_of(platform), pins=pins, pll=ecp5_pll, write_constraints=write_lpf, loader="ulx3s")


ULX3S_25F = _board("ulx3s-25f", ULX3S_25F_Platform())
ULX3S_85F = _board("ulx3s-85f", ULX3S_85F_Platform())
