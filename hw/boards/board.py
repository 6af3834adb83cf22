"""A board: which pins of the FPGA are what, and the top module with its clock. Pins come from amaranth-boards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..params import Parameters
from ..verilog import convert
from .compact_design import CompactBoardDesign
from .design import BoardDesign
from .pll import MODULE, PLL

__all__ = ["TOP", "Board", "BoardTop", "Pin", "clock_of", "pin_of", "serial_pins", "write_cst", "write_lpf", "write_pcf"]

TOP = "top"
"""Name of the top-level module."""

_RESET_CYCLES = 16


@dataclass(frozen=True)
class Pin:
    """A pin of the package. ``inverted`` if low is true; ``attributes`` are the tool's."""

    site: str
    inverted: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


def pin_of(platform, name: str, number: int = 0, subsignal: str = "") -> Pin:
    """The one pin of a resource of an amaranth-boards platform, or of its subsignal."""
    item = platform.lookup(name, number)
    attributes = dict(item.attrs)
    if subsignal:
        (item,) = [part for part in item.ios if part.name == subsignal]
        attributes |= item.attrs
    (pins,) = item.ios
    (site,) = pins.names
    return Pin(site, pins.invert, attributes)


def serial_pins(platform, *, button: str, busy: tuple[str, int], error: tuple[str, int]) -> dict[str, Pin]:
    """The pins of a board whose serial line is amaranth-boards' ``uart``."""
    return {
        "clk": pin_of(platform, platform.default_clk),
        "button": pin_of(platform, button),
        "rx": pin_of(platform, "uart", subsignal="rx"),
        "tx": pin_of(platform, "uart", subsignal="tx"),
        "busy": pin_of(platform, *busy),
        "error": pin_of(platform, *error),
    }


class BoardTop(wiring.Component):
    """Pins to a design: the PLL, reset while it is not locked or the button is pressed, levels as the board has them.

    ``inverted`` names the ports whose level is low when true.
    """

    def __init__(self, design: BoardDesign | CompactBoardDesign, inverted: tuple[str, ...]):
        self._design = design
        self._inverted = inverted
        super().__init__(
            {"clk": In(1), "button": In(1), "rx": In(1), "tx": Out(1), "busy": Out(1), "error": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        clock, locked = Signal(), Signal()
        m.submodules.pll = Instance(MODULE, i_clki=self.clk, o_clko=clock, o_locked=locked)
        m.domains.start = ClockDomain(reset_less=True, local=True)
        m.domains.sync = ClockDomain(local=True)
        chain = Signal(_RESET_CYCLES, init=-1)  # also brings the button and the lock into the clock domain
        m.d.start += chain.eq(Cat(~locked | self._true("button"), chain[:-1]))
        m.d.comb += [
            ClockSignal("start").eq(clock),
            ClockSignal("sync").eq(clock),
            ResetSignal("sync").eq(chain[-1]),
        ]
        m.submodules.board = design = self._design
        m.d.comb += [
            design.rx.eq(self.rx),
            self.tx.eq(design.tx),
            self.busy.eq(design.busy ^ ("busy" in self._inverted)),
            self.error.eq(design.error ^ ("error" in self._inverted)),
        ]
        return m

    def _true(self, name: str) -> Value:
        return ~getattr(self, name) if name in self._inverted else getattr(self, name)


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with a serial line. ``pins`` has one for each port of `BoardTop`.

    ``constraints`` writes pins and the oscillator's frequency as the tool wants them; ``loader`` is openFPGALoader's name for it.
    """

    name: str
    clock_hz: int
    pins: Mapping[str, Pin]
    pll: Callable[[int, int], PLL]
    write_constraints: Callable[[Mapping[str, Pin], int], str]
    loader: str

    def verilog(self, params: Parameters, memory_kib: int, clock_hz: int, baud: int) -> str:
        """The whole board as module `TOP`, with a clock of at most ``clock_hz``, as near as the PLL gets to it. The
        compact accelerator has its own memory in the place of ``memory_kib``.

        Raises ``ValueError`` for values that PLL, memory or serial line cannot have.
        """
        pll = self.pll(self.clock_hz, clock_hz)
        hz = round(pll.output_hz)
        design = CompactBoardDesign(params, hz, baud) if params.compact else BoardDesign(params, memory_kib, hz, baud)
        inverted = tuple(port for port, pin in self.pins.items() if pin.inverted)
        return convert(BoardTop(design, inverted), TOP) + pll.verilog

    @property
    def constraints(self) -> str:
        """Pins and the oscillator's frequency, for the place and route tool."""
        return self.write_constraints(self.pins, self.clock_hz)


def clock_of(platform) -> int:
    """The frequency of a platform's default oscillator, in Hz."""
    return round(platform.lookup(platform.default_clk).clock.frequency)


def write_lpf(pins: Mapping[str, Pin], clock_hz: int) -> str:
    """Lattice preferences."""
    lines = [f'FREQUENCY PORT "clk" {clock_hz} HZ;']
    for port, pin in pins.items():
        attributes = "".join(f" {key}={value}" for key, value in pin.attributes.items())
        lines += [f'LOCATE COMP "{port}" SITE "{pin.site}";', f'IOBUF PORT "{port}"{attributes};']
    return "\n".join(lines) + "\n"


def write_pcf(pins: Mapping[str, Pin], clock_hz: int) -> str:
    """Lattice iCE40 physical constraints."""
    lines = [f"set_frequency clk {clock_hz / 1e6:g}"]
    return "\n".join([*lines, *(f"set_io {port} {pin.site}" for port, pin in pins.items())]) + "\n"


def write_cst(pins: Mapping[str, Pin], clock_hz: int) -> str:
    """Gowin physical constraints. They know no frequency."""
    lines = []
    for port, pin in pins.items():
        attributes = "".join(f" {key}={value}" for key, value in pin.attributes.items())
        lines += [f'IO_LOC "{port}" {pin.site};', f'IO_PORT "{port}"{attributes};']
    return "\n".join(lines) + "\n"
