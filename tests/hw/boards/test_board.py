"""The boards' top modules and constraints, and PLL settings against the limits in the vendors' data sheets."""

import gc
import re

import pytest
from tilewright.hw.boards.catalog import BOARDS
from tilewright.hw.boards.icebreaker import ICEBREAKER
from tilewright.hw.boards.orangecrab import ORANGECRAB_25F
from tilewright.hw.boards.pll import ecp5_pll, gowin_pll
from tilewright.hw.boards.pll_ice40 import ice40_pll
from tilewright.hw.boards.tang_primer_20k import TANG_PRIMER_20K
from tilewright.hw.boards.ulx3s import ULX3S_85F
from tilewright.hw.params import Parameters

PARAMS = Parameters(rows=4, cols=4, activation_kib=4, depthwise=False, packed=False, residual=False)
PORTS = ("clk", "button", "rx", "tx", "busy", "error")


@pytest.mark.parametrize("output_mhz", [25, 33.3, 60, 80, 99, 110, 133])
@pytest.mark.parametrize(("make", "input_mhz"), [(ecp5_pll, 25), (ecp5_pll, 48), (gowin_pll, 27), (ice40_pll, 12)])
def test_pll(make, input_mhz: float, output_mhz: float):
    pll = make(round(input_mhz * 1e6), round(output_mhz * 1e6))
    numbers = {name: int(value) for name, value in re.findall(r"\.(\w+)\((?:\d'd)?(\d+)\)", pll.verilog)}
    if make is ecp5_pll:
        phase = input_mhz / numbers["CLKI_DIV"]
        output = phase * numbers["CLKFB_DIV"]
        vco = output * numbers["CLKOP_DIV"]
        assert 3.125 <= phase <= 400
        assert 400 <= vco <= 800
    elif make is ice40_pll:
        phase = input_mhz / (numbers["DIVR"] + 1)
        vco = phase * (numbers["DIVF"] + 1)
        output = vco / 2 ** numbers["DIVQ"]
        assert 10 <= phase <= 133
        assert 533 <= vco <= 1066
        assert numbers["DIVR"] < 16 and numbers["DIVF"] < 128 and 1 <= numbers["DIVQ"] <= 6
        assert numbers["FILTER_RANGE"] == 1
    else:
        phase = input_mhz / (numbers["IDIV_SEL"] + 1)
        output = phase * (numbers["FBDIV_SEL"] + 1)
        vco = output * numbers["ODIV_SEL"]
        assert 3 <= phase <= 500
        assert 500 <= vco <= 1250
        assert numbers["IDIV_SEL"] < 64 and numbers["FBDIV_SEL"] < 64
    assert 0.95 * output_mhz <= output <= output_mhz * (1 + 1e-9)
    assert pll.output_hz == pytest.approx(output * 1e6)


def test_a_clock_that_no_pll_makes():
    with pytest.raises(ValueError, match="clock_hz: the PLL makes no 1 MHz of 25 MHz"):
        ecp5_pll(25_000_000, 1_000_000)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_port_has_a_pin_of_its_own(board):
    assert tuple(board.pins) == PORTS
    assert len({pin.site for pin in board.pins.values()}) == len(PORTS)
    for port, pin in board.pins.items():
        if board is ICEBREAKER:
            assert f"\nset_io {port} {pin.site}\n" in board.constraints
            continue
        assert re.search(rf'"{port}".*{pin.site}\b', board.constraints)
        assert "IO_TYPE" in pin.attributes
        for key, value in pin.attributes.items():
            assert re.search(rf'"{port}".* {key}={value}\b', board.constraints)


def test_known_pins():
    """From the schematics: ULX3S v3.0.8, OrangeCrab r0.2, Tang Primer 20K dock, iCEBreaker v1.0e."""
    assert [ICEBREAKER.pins[port].site for port in PORTS] == ["35", "10", "6", "9", "37", "11"]
    assert [ULX3S_85F.pins[port].site for port in PORTS] == ["G2", "R1", "M1", "L4", "B2", "C2"]
    assert [ORANGECRAB_25F.pins[port].site for port in ("clk", "rx", "tx")] == ["A9", "N17", "M18"]
    assert [TANG_PRIMER_20K.pins[port].site for port in ("clk", "rx", "tx")] == ["H11", "T13", "M11"]


@pytest.mark.parametrize("board", [ULX3S_85F, pytest.param(TANG_PRIMER_20K, marks=pytest.mark.slow)])
def test_top(board):
    text = board.verilog(PARAMS, 16, 60_000_000, 1_000_000)
    assert text.count("\nmodule top(") == text.count("\nmodule pll(") == 1
    head = re.search(r"\nmodule top\((.*?)\);", text)[1]
    assert sorted(head.replace(" ", "").split(",")) == sorted(PORTS)
    assert re.search(r"\n  pll pll \(", text)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_rate_that_the_clock_does_not_make():
    with pytest.raises(ValueError, match=r"baud: 9000000 of a 60 MHz clock is 8571429, off by more than 2 %"):
        ULX3S_85F.verilog(PARAMS, 16, 60_000_000, 9_000_000)
    gc.collect()  # of the component that did not come to be, while its warning is ignored
