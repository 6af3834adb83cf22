"""The whole board in RTL, with the real driver at the other end of its serial line."""

import time
from collections.abc import Mapping

import numpy as np
import pytest
from tilewright.cli.board import BOARD_MEMORY
from tilewright.cli.host_steps import run_steps
from tilewright.examples import digits
from tilewright.host.driver import Accelerator, AcceleratorError, RefusedError, Run
from tilewright.host.port import UnpluggedError
from tilewright.host.serial_transport import SerialTransport
from tilewright.hw.isa import ErrorCode
from tilewright.hw.params import Parameters
from tilewright.hw.program import Program
from tilewright.hw.registers import MAGIC, OFFSETS
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.cycles import predict

from ..simulated_board import BAUD, CLOCK_HZ, simulated_board

PARAMS = Parameters(rows=4, cols=4)
KIB = 32


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model(read_tflite(digits.MODEL), PARAMS)


def test_digits(program: Program):
    """The demo's cases, over the line: LiteRT's answers, in as many cycles as predicted for this memory."""
    cases = np.load(digits.CASES)
    (image,) = program.inputs
    with simulated_board(PARAMS, KIB) as name, SerialTransport.open(name, BAUD) as transport:
        assert (transport.memory_bytes, transport.clock_hz) == (KIB * 1024, CLOCK_HZ)
        accelerator = Accelerator(transport)
        began = time.monotonic()
        accelerator.load(program)
        print(f"\nloaded {len(program.instructions) + len(program.weights)} bytes in {time.monotonic() - began:.1f} s")
        for case, expected, label in zip(cases["input"], cases["output_0"], cases["label"], strict=True):
            runs: list[Run] = []

            def accelerate(number: int, part: Program, values: Mapping[str, np.ndarray], runs: list[Run] = runs):
                runs.append(accelerator.run(values, number))
                return runs[-1].outputs

            values = run_steps(program, {image.name: case.reshape(image.shape)}, accelerate)
            answer = values[program.model_outputs[0]]
            np.testing.assert_array_equal(answer.ravel(), expected)
            assert answer.argmax() == label
            assert [run.cycles for run in runs] == [sum(run.counters.values()) for run in runs] != []
            assert sum(run.cycles for run in runs) == predict(program, BOARD_MEMORY.model).total
        assert transport.link.retries == 0


def test_errors(program: Program):
    """What a board refuses, and what an accelerator that stopped says; it runs again after that."""
    other = Program(params=Parameters(rows=4, cols=4, activation_kib=64), instructions=b"", weights=b"", inputs=(), outputs=())
    large = Program(params=PARAMS, instructions=b"", weights=bytes(64 * 1024), inputs=(), outputs=())
    with simulated_board(PARAMS, KIB) as name, SerialTransport.open(name, BAUD) as transport:
        accelerator = Accelerator(transport)
        with pytest.raises(RefusedError, match="the program is for 4x4, fingerprint"):
            accelerator.load(other)
        with pytest.raises(RefusedError, match="the program needs 64 KiB of external memory, and there are 32 KiB"):
            accelerator.load(large)
        accelerator.load(program)
        (image,) = program.inputs
        inputs = {image.name: np.zeros(image.shape, np.int8)}
        good = accelerator.run(inputs)
        transport.write_register(OFFSETS["BASE_WEIGHTS"], KIB * 1024)
        with pytest.raises(AcceleratorError, match="a bus error answered a WEIGHTS") as stopped:
            accelerator.run(inputs)
        assert stopped.value.code is ErrorCode.WEIGHTS_BUS
        accelerator.load(program)
        again = accelerator.run(inputs)
        assert again.cycles == good.cycles
        for tensor, value in good.outputs.items():
            np.testing.assert_array_equal(again.outputs[tensor], value)


def test_damage_on_the_line():
    """Every so many bytes one is lost, doubled or flipped, each way: everything arrives all the same."""
    rng = np.random.default_rng(3)
    board = simulated_board(PARAMS, KIB, sent=401, returned=367, seed=5)
    with board as name, SerialTransport.open(name, 20 * BAUD) as transport:
        for size in (50, 100, 250, 20, 200, 1, 250):
            data = rng.bytes(size)
            transport.write_memory(4097, data)
            assert transport.read_memory(4097, size) == data
            assert transport.read_register(OFFSETS["MAGIC"]) == MAGIC
        assert transport.link.retries >= 4


def test_unplugged():
    board = simulated_board(PARAMS, KIB, unplug=100)
    with board as name, SerialTransport.open(name, BAUD) as transport, pytest.raises(UnpluggedError, match="is gone"):
        transport.read_memory(0, 1000)


