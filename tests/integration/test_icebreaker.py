"""The whole iCEBreaker through the tools: it fits, reaches its clock, and its bitstream is the same every time."""

import pytest
from tilewright.hw.boards.board import TOP
from tilewright.hw.boards.catalog import BOARDS
from tilewright.hw.presets import find_preset
from tilewright.hw.synth import DEVICES, Design, synthesize

PRESET = find_preset("icebreaker")
MOST_CELLS = 4_800
LEAST_MHZ = 20


@pytest.mark.slow
def test_bitstream() -> None:
    board = BOARDS[PRESET.board]
    verilog = board.verilog(PRESET.params, PRESET.memory_kib, round(1e6 * PRESET.frequency), 1_000_000)
    design = Design(
        verilog=verilog, top=TOP, constraints=board.constraints, frequency=PRESET.frequency,
        array="board.accelerator.array", bitstream=True,
    )  # fmt: skip
    first, second = (synthesize(design, DEVICES[PRESET.device], seeds=(1,)) for _ in range(2))
    (place,) = first.places
    print(f"\n{place.cells} at {place.fmax:.2f} MHz, bitstream {first.sha256['bitstream']}")
    assert place.cells["lut4"] <= MOST_CELLS
    assert place.cells["dsp"] == 8
    assert place.fmax >= LEAST_MHZ
    assert 0 < first.array_lut4 < place.cells["lut4"]
    assert len(first.bitstream) > 100_000
    assert first.bitstream == second.bitstream
    assert first.places == second.places
