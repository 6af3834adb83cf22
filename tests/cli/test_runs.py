"""Programs of several runs, with host operators before, between and behind them."""

import dataclasses
import json

import numpy as np
import pytest
from tilewright.cli.report import make_report
from tilewright.cli.session import Session
from tilewright.host.driver import Accelerator, MemoryMap
from tilewright.hw.generate import generate
from tilewright.hw.legality import verify_program
from tilewright.hw.params import Parameters
from tilewright.hw.program import AcceleratorRun, HostStep, Program, ProgramError
from tilewright.mapper.compile import compile_model
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.host_steps import read_host_step
from tilewright.mapper.ir import Graph
from tilewright.sim.transport import SimulatedTransport

from ..mapper.networks import SAME, NetworkBuilder, random_inputs
from ..mapper.operator_networks import OperatorBuilder

PARAMS = Parameters(rows=4, cols=4)


def three_runs() -> Graph:
    """SOFTMAX, run, two SOFTMAX, run, SOFTMAX, run, RESHAPE; the last run adds what the first one left."""
    builder = NetworkBuilder()
    image = builder.conv(builder.softmax(builder.input(1, 6, 5, 4)), 8, 3)
    left, right = builder.softmax(builder.conv(image, 8, 1)), builder.softmax(image)
    left = builder.softmax(builder.depthwise(left, 3, padding=SAME))
    total = builder.add(builder.conv(left, 8, 1), image)
    return builder.graph(builder.reshape(builder.maximum(total, 2), 20, 8), builder.conv(right, 3, 3))


def test_golden_and_cycles():
    graph = three_runs()
    session = Session(graph, PARAMS)
    case = session.golden(random_inputs(graph))
    assert case.mismatches == 0 and case.runs is None
    report = make_report(session, "cycles", [])
    layers = sum(row.cycles or 0 for row in report.layers)
    assert (report.start_cycles or 0) + layers + (report.end_cycles or 0) == report.cycles == session.prediction.total
    assert sum((report.counters or {}).values()) == report.cycles
    assert all(row.cycles for row in report.layers if row.where == "accelerator" and row.fused_into is None)


def test_rtl():
    graph = three_runs()
    session = Session(graph, PARAMS)
    inputs = random_inputs(graph)
    case = session.rtl(inputs)
    expected = evaluate(graph, inputs)
    assert case.runs is not None and len(case.runs) == 3
    for name in graph.outputs:
        np.testing.assert_array_equal(case.values[name], expected[name])
    report = make_report(session, "rtl", [case])
    assert report.mismatches == 0
    assert report.cycles == report.counted_cycles == sum(run.cycles for run in case.runs)
    layers = sum(row.cycles or 0 for row in report.layers)
    assert (report.start_cycles or 0) + layers + (report.end_cycles or 0) == report.cycles
    assert sum((report.counters or {}).values()) == report.cycles
    assert [row.predicted_cycles for row in report.layers] == [row.cycles for row in report.layers]
    assert report.predicted_cycles == report.cycles


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_other_operators_in_rtl(dtype: str):
    """A border, a mean, tables, constants, a join, a cut and a product on the host."""
    builder = OperatorBuilder(3, dtype)
    image = builder.pad(builder.input(1, 7, 6, 3), (0, 0), (1, 0), (2, 1), (0, 0))
    image = builder.conv(image, 6, 3, stride=2, padding=(0, 0, 0, 0))
    gate = builder.lookup(builder.mean(image, 1, 2, keep_dims=True))
    image = builder.mul(builder.pad(image, (0, 0), (1, 1), (0, 0), (0, 0), value=50), gate)
    left, right = builder.split(builder.conv(image, 6, 1), 3, 2, 4)
    joined = builder.concatenate(right, left, right, axis=3)
    scaled = builder.mul(joined, builder.constant((10,), point=builder.by))
    graph = builder.graph(builder.sub(builder.lookup(scaled), scaled))
    session = Session(graph, PARAMS)
    limits = np.iinfo(dtype)
    values = np.random.default_rng(1).integers(limits.min, limits.max + 1, (1, 7, 6, 3)).astype(dtype)
    case = session.rtl({graph.inputs[0]: values})
    report = make_report(session, "rtl", [case])
    assert [row.op for row in report.layers if row.where == "host"] == ["MUL"]
    assert report.mismatches == 0 and len(case.runs or ()) == 2
    assert report.predicted_cycles == report.cycles


def test_the_driver_starts_each_run_at_its_instructions():
    graph = three_runs()
    program = compile_model(graph, PARAMS)
    expected = evaluate(graph, random_inputs(graph))
    transport = SimulatedTransport(
        generate(PARAMS).verilog, PARAMS, MemoryMap.of(program, 4096).end + 4096, max_cycles=100_000
    )
    accelerator = Accelerator(transport, memory_start=4096)
    accelerator.load(program)
    written = {tensor.name for tensor in program.inputs}
    for number, part in enumerate(program.parts):
        run = accelerator.run({tensor.name: expected[tensor.name] for tensor in part.inputs if tensor.name in written}, number)
        assert run.cycles == sum(run.counters.values())
        for name, value in run.outputs.items():
            np.testing.assert_array_equal(value, expected[name])


def test_a_program_comes_back():
    program = compile_model(three_runs(), PARAMS)
    again = Program.from_bytes(program.to_bytes())
    assert again == program
    case = Session(again, PARAMS).golden(random_inputs(three_runs()))
    np.testing.assert_array_equal(
        case.values[program.model_outputs[0]], evaluate(three_runs(), random_inputs(three_runs()))[program.model_outputs[0]]
    )


def altered(program: Program, number: int, **changes: object) -> Program:
    steps = list(program.steps)
    steps[number] = dataclasses.replace(steps[number], **changes)
    return dataclasses.replace(program, steps=tuple(steps))


def test_inconsistent_steps_are_refused():
    program = compile_model(three_runs(), PARAMS)
    verify_program(program)
    runs = [number for number, step in enumerate(program.steps) if isinstance(step, AcceleratorRun)]
    first, second = (program.steps[number] for number in runs[:2])
    assert isinstance(first, AcceleratorRun) and isinstance(second, AcceleratorRun)
    assert first.count is not None and first.outputs is not None
    swapped = list(program.steps)
    swapped[0], swapped[1] = swapped[1], swapped[0]
    cases = [
        (altered(program, runs[0], count=first.count + 1), "a run has .* instructions from"),
        (altered(program, runs[0], count=first.count - 1), "a run has .* instructions from"),
        (altered(program, runs[0], count=0), "a run has 0 instructions from 0"),
        (altered(program, runs[2], count=1), "no run has the instructions from"),
        (altered(program, runs[0], inputs=("nowhere",)), "names 'nowhere', which no table has"),
        (altered(program, runs[0], outputs=first.outputs[:1]), "before anything defines it|nothing defines"),
        (altered(program, runs[1], outputs=first.outputs), "defines .* again"),
        (dataclasses.replace(program, steps=tuple(swapped)), "before anything defines it"),
        (dataclasses.replace(program, steps=program.steps[:-1]), "nothing defines the model's output"),
    ]
    for wrong, message in cases:
        with pytest.raises(ProgramError, match=f"^steps: .*({message})") as error:
            verify_program(wrong)
        assert "\n" not in str(error.value)


def test_host_steps_that_are_not_understood():
    program = compile_model(three_runs(), PARAMS)
    step = program.steps[0]
    assert isinstance(step, HostStep)
    with pytest.raises(ProgramError, match="'POLKA' is no operator that the host knows"):
        read_host_step(dataclasses.replace(step, op="POLKA"))
    less = {name: value for name, value in step.parameters.items() if name != "shift"}
    with pytest.raises(ProgramError, match=r"SOFTMAX: .*shift"):
        read_host_step(dataclasses.replace(step, parameters=less))
    with pytest.raises(ProgramError, match="not those of its parameters"):
        read_host_step(dataclasses.replace(step, inputs=("other",)))
    assert json.loads(json.dumps(step.parameters)) == step.parameters
