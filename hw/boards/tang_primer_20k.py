"""Tang Primer 20K on its dock: Gowin GW2A-18 with a 27 MHz oscillator; the dock's USB bridge is the serial line."""

from amaranth_boards.tang_primer_20k import TangPrimer20kDockPlatform

from .board import Board, clock_of, serial_pins, write_cst
from .pll import gowin_pll

__all__ = ["TANG_PRIMER_20K"]


def _board(name: str, platform) -> Board:
    pins = serial_pins(platform, button="button", busy=("led", 0), error=("led", 1))
    return Board(
        name=name, clock_hz=clock_of(platform), pins=pins, pll=gowin_pll, write_constraints=write_cst, loader="tangprimer20k"
    )


TANG_PRIMER_20K = _board("tang-primer-20k", TangPrimer20kDockPlatform())
