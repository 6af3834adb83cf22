"""Schedules: tokens point backwards and suffice, input comes just in time, weights right before their COMPUTE."""

from dataclasses import replace

import pytest
from tilewright.hw.encoding import decode
from tilewright.hw.isa import Opcode, Stream
from tilewright.hw.legality import resolve_wait
from tilewright.hw.params import Parameters
from tilewright.mapper.compile import compile_steps
from tilewright.mapper.describe import external_tensors
from tilewright.mapper.emit import WeightRegion, emit
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.schedule import Compute, Rows, Schedule, Waits, Weights, synchronize, verify_schedule
from tilewright.sim.hazards import find_hazards

from .networks import NetworkBuilder, random_graph

PARAMS = Parameters(rows=16, cols=16)
COUNTED = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)


@pytest.mark.parametrize("seed", range(100, 140))
def test_tokens_point_backwards_and_suffice(seed):
    graph, params = random_graph(seed)
    try:
        program = compile_steps(graph, params, fuse=seed % 2 == 0).program
    except UnsupportedError:
        pytest.skip("does not fit")
    issued = dict.fromkeys(COUNTED, 0)
    for opcode, fields in program.decoded():
        for engine in COUNTED:
            assert fields[f"wait_{engine.name.lower()}"] <= issued[engine]
        if opcode in issued:
            issued[opcode] += 1
    assert find_hazards(program) == ()


def two_convolutions():
    builder = NetworkBuilder()
    return builder.graph(builder.conv(builder.conv(builder.input(1, 32, 32, 16), 16, 3), 16, 3))


def test_bands_of_input_come_just_in_time():
    compilation = compile_steps(two_convolutions(), PARAMS)
    opcodes = [opcode for opcode, _ in compilation.program.decoded()]
    assert opcodes[:3] == [Opcode.LOAD, Opcode.WEIGHTS, Opcode.COMPUTE]
    tasks = compilation.runs[0].schedule.tasks
    loads = [task for task in tasks if isinstance(task, Rows) and task.opcode is Opcode.LOAD]
    stores = [task for task in tasks if isinstance(task, Rows) and task.opcode is Opcode.STORE]
    assert len(loads) > 3 and [task.first for task in loads] == sorted({task.first for task in loads})
    assert sum(task.rows for task in loads) == sum(task.rows for task in stores) == 32
    assert len(stores) > 1
    first = next(task for task in tasks if isinstance(task, Compute))
    assert first.waits == Waits(load=1)
    # Each band waits for its own load alone, and each band of the second layer for no more than the rows it reads.
    waits = [task.waits for task in tasks if isinstance(task, Compute)]
    assert [wait.load for wait in waits[: len(loads)]] == list(range(1, len(loads) + 1))
    assert waits[len(loads)].compute < len(loads)


def test_weights_are_fetched_again_and_stored_once():
    program = compile_steps(two_convolutions(), PARAMS).program
    streams = [fields for opcode, fields in program.decoded() if opcode is Opcode.WEIGHTS]
    assert len({fields["offset"] for fields in streams}) == 2 < len(streams)
    assert all(fields["offset"] % 64 == 0 and fields["stream"] is Stream.TILES for fields in streams)
    assert len(program.weights) == -(-(9 + 9 * 16) * 16 // 64) * 64 + (9 + 9 * 16) * 16


def test_tables_wait_for_the_last_user():
    builder = NetworkBuilder()
    image = builder.conv(builder.input(1, 8, 8, 16), 16, 1)
    for _ in range(2):
        image = builder.add(builder.conv(image, 16, 3), image)
    program = compile_steps(builder.graph(image), PARAMS).program
    computes, last_user, waits = 0, 0, []
    for opcode, fields in program.decoded():
        if opcode is Opcode.COMPUTE:
            computes += 1
            last_user = computes if fields["residual"] else last_user
        elif opcode is Opcode.WEIGHTS and fields["stream"] is Stream.TABLES:
            waits.append((fields["wait_compute"], last_user))
    assert len(waits) == 2 and waits[1][0] == waits[1][1] > 0


def test_tokens_wrap():
    builder = NetworkBuilder()
    graph = builder.graph(builder.conv(builder.input(1, 2, 2, 3), 3, 1))
    compilation = compile_steps(graph, PARAMS)
    tasks = compilation.runs[0].schedule.tasks
    last = tasks[-1]
    assert last.opcode is Opcode.STORE
    weights, compute = (next(task for task in tasks if isinstance(task, kind)) for kind in (Weights, Compute))
    middle = [replace(last, waits=Waits())] * 70_000
    schedule = Schedule((*tasks, *middle, weights, compute, last), 0)
    schedule = synchronize(schedule, compilation.runs[0].network, compilation.runs[0].allocation, PARAMS)
    verify_schedule(schedule)
    run = compilation.runs[0]
    inputs, outputs = external_tensors(graph, [run.network])
    tensors = {tensor.name: tensor for tensor in inputs + outputs}
    code = emit(schedule, run.network, run.tilings, run.allocation, tensors, PARAMS, WeightRegion())
    issued = dict.fromkeys(COUNTED, 0)
    for number, task in enumerate(schedule.tasks):
        opcode, fields = decode(code[64 * number : 64 * number + 64])
        for engine, wait in zip(COUNTED, (task.waits.load, task.waits.compute, task.waits.store), strict=True):
            assert resolve_wait(fields[f"wait_{engine.name.lower()}"], issued[engine]) >= wait
        if opcode in issued:
            issued[opcode] += 1
    assert schedule.tasks[-2].waits.store == 70_001


def test_verifier_objects():
    schedule = compile_steps(two_convolutions(), PARAMS).runs[0].schedule
    forward = replace(schedule.tasks[0], waits=Waits(compute=1))
    with pytest.raises(ValueError, match="task 0 waits for COMPUTE 1 of 0"):
        verify_schedule(replace(schedule, tasks=(forward, *schedule.tasks[1:])))
    missing = tuple(task for task in schedule.tasks if not isinstance(task, Weights))
    with pytest.raises(ValueError, match="no weights"):
        verify_schedule(replace(schedule, tasks=missing))
