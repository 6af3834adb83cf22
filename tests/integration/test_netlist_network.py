"""Whole accelerators in each family's cells, as nextpnr gets them, against their own Verilog, on the whole digits network.

The cells' models are Yosys's own. For those of which it has the ports alone they are ours, after the vendors' documents, in
hw/primitives: MULT18X18D, MULT9X9, MULT18X18, DCCA, and the block RAMs DP16KD, SDPX9B and DPX9B, whose models answer with
wrong data where a word is read while it is written. Synthesis is told not to mind such words, and so this proves that it need
not.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tilewright.cli.host_steps import run_steps
from tilewright.examples.digits import CASES, MODEL
from tilewright.hw.generate import TOP, generate
from tilewright.hw.isa import ErrorCode
from tilewright.hw.params import Parameters
from tilewright.hw.presets import find_preset
from tilewright.hw.program import Program
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.compact_rtl import simulate_compact
from tilewright.sim.cycles import predict
from tilewright.sim.interpreter import Interpreter
from tilewright.sim.memory import make_memory, read_tensor
from tilewright.sim.rtl import RtlResult, simulate

from .. import netlist

SMALL = {"rows": 4, "cols": 4, "activation_kib": 16, "accumulator_depth": 64, "axi_bits": 32}


@dataclass(frozen=True, kw_only=True)
class Case:
    """An accelerator, and cells that its netlist must have: exactly so many blocks, and at least one of the others.

    7 of ecp5's 16 PEs have a multiplier block, and 6 of gowin's (three blocks' worth); all of ice40's.
    """

    params: Parameters
    blocks: dict[str, int]
    others: tuple[str, ...]


ACCELERATORS = {
    "ecp5": Case(
        params=Parameters(**SMALL, target="ecp5", dsp_blocks=24),
        blocks={"MULT18X18D": 24},
        others=("LUT4", "PFUMX", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD"),
    ),
    "gowin": Case(
        params=Parameters(**SMALL, target="gowin", dsp_blocks=20),
        blocks={"MULT18X18": 17, "MULT9X9": 6},
        others=("LUT4", "MUX2_LUT5", "ALU", "DFFE", "RAM16SDP4", "SDPX9B", "DPX9B"),
    ),
    "ice40": Case(
        params=find_preset("icebreaker").params,
        blocks={"SB_MAC16": 8, "SB_SPRAM256KA": 4},
        others=("SB_LUT4", "SB_CARRY", "SB_DFF", "SB_DFFESR", "SB_RAM40_4K"),
    ),
}


def run(part: Program, memory: np.ndarray, bases: dict, verilog: str, *, cells: bool = False) -> RtlResult:
    """A simulation of ``verilog``, stopped after ten times the cycles that the model predicts."""
    limit = 10 * predict(part).total
    if part.params.compact:
        return simulate_compact(part, memory.tobytes(), bases, verilog, max_cycles=limit, cells=cells, timeout=900)
    return simulate(
        memory.tobytes(), bases, part.params, verilog, program_length=len(part), max_cycles=limit, cells=cells, timeout=900
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ACCELERATORS)
def test_network(family: str, tmp_path: Path) -> None:
    case = ACCELERATORS[family]
    graph = read_tflite(MODEL.read_bytes())
    program = compile_model(graph, case.params)
    verilog = generate(case.params).verilog
    cells = netlist.synthesize(tmp_path, family, verilog, TOP)
    counts = netlist.count_cells(cells)
    assert {cell: counts[cell] for cell in case.blocks} == case.blocks
    assert all(counts[cell] for cell in case.others), counts
    mapped = netlist.simulated(family, cells)
    cases = np.load(CASES)
    cycles = 0

    def accelerate(_: int, part: Program, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        nonlocal cycles
        memory, bases = make_memory(part, values)
        rtl = run(part, memory, bases, verilog)
        net = run(part, memory, bases, mapped, cells=True)
        expected = Interpreter(part, memory.copy(), bases).run()
        for result in rtl, net:
            assert result.finished and result.error is ErrorCode.NONE
            assert result.memory == expected.memory.tobytes()
        assert (net.cycles, net.counted_cycles, net.counters) == (rtl.cycles, rtl.counted_cycles, rtl.counters)
        assert net.registers == rtl.registers
        assert expected.memory.tobytes() != memory.tobytes()
        cycles += net.cycles
        left = np.frombuffer(net.memory, np.uint8)
        return {tensor.name: read_tensor(left, bases, tensor) for tensor in part.outputs}

    values = run_steps(program, {graph.inputs[0]: cases["input"][:1]}, accelerate)
    np.testing.assert_array_equal(values[graph.outputs[0]], cases["output_0"][:1])
    print(f"\n{family}: {sum(counts.values())} cells {dict(counts)}, {cycles} cycles")
