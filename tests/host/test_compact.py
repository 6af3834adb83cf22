"""The boards with the compact accelerator in RTL, with the real driver at the other end of their serial line."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from tilewright.cli.host_steps import run_steps
from tilewright.examples import digits
from tilewright.host.compact import CompactAccelerator
from tilewright.host.driver import AcceleratorError, RefusedError, Run
from tilewright.host.link import DeviceError
from tilewright.host.serial_transport import SerialTransport
from tilewright.hw.compact.host_port import ACTIVATIONS, MEMORY_BYTES
from tilewright.hw.compact.transfers import program_image
from tilewright.hw.isa import INSTRUCTION_BYTES, ErrorCode, Opcode
from tilewright.hw.params import Parameters
from tilewright.hw.presets import find_preset
from tilewright.hw.program import Program
from tilewright.hw.registers import MAGIC, OFFSETS
from tilewright.mapper.compile import compile_model
from tilewright.mapper.tflite import read_tflite
from tilewright.sim.cycles import predict

from ..simulated_board import BAUD, CLOCK_HZ, simulated_board

PARAMS = find_preset("icebreaker").params
LARGER = find_preset("tang-primer-20k").params
LARGEST = find_preset("orangecrab-25f").params
SMALLER = replace(LARGER, rows=4, cols=4, lanes=4, axi_bits=32, activation_kib=32)


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model(read_tflite(digits.MODEL), PARAMS)


@pytest.mark.parametrize("params", [PARAMS, SMALLER, LARGER, LARGEST], ids=["spram", "4x4", "8x8/2", "8x8/4"])
def test_digits(params: Parameters) -> None:
    """The demo's cases, over the line: LiteRT's answers, in as many cycles as predicted."""
    program = compile_model(read_tflite(digits.MODEL), params)
    cases = np.load(digits.CASES)
    (image,) = (tensor for tensor in program.inputs if tensor.name in program.model_inputs)
    with simulated_board(params, 0) as name, SerialTransport.open(name, BAUD) as transport:
        assert (transport.memory_bytes, transport.clock_hz) == (MEMORY_BYTES, CLOCK_HZ)
        accelerator = CompactAccelerator(transport)
        accelerator.load(program)
        for case, expected, label in list(zip(cases["input"], cases["output_0"], cases["label"], strict=True))[:3]:
            runs: list[Run] = []

            def accelerate(number: int, part: Program, values: Mapping[str, np.ndarray], runs: list[Run] = runs):
                runs.append(accelerator.run(values, number))
                return runs[-1].outputs

            values = run_steps(program, {image.name: case.reshape(image.shape)}, accelerate)
            answer = values[program.model_outputs[0]]
            np.testing.assert_array_equal(answer.ravel(), expected)
            assert answer.argmax() == label
            assert sum(run.cycles for run in runs) == predict(program).total
        assert transport.link.retries == 0


@pytest.mark.parametrize("params", [SMALLER, LARGER, LARGEST], ids=["4x4", "8x8", "8x8 with more"])
def test_memory_that_is_not_there(params: Parameters) -> None:
    """Where block RAMs leave a part of the memory space empty, an access is an error, and changes no other word."""
    program, bank = 1024 * params.program_kib, params.vector * params.bank_words
    quarter = (MEMORY_BYTES - ACTIVATIONS) // 4
    last = [program - 4, *(ACTIVATIONS + n * quarter + bank - 4 for n in range(4))]
    with simulated_board(params, 0) as name, SerialTransport.open(name, BAUD) as transport:
        first = [0, 4, *(ACTIVATIONS + n * quarter + half for n in range(4) for half in (0, 4))]
        for place in (*first, *last):
            transport.write_memory(place, place.to_bytes(4, "little"))
        for place in last:
            with pytest.raises(DeviceError):
                transport.write_memory(place + 4, b"lost")
            with pytest.raises(DeviceError):
                transport.read_memory(place + 4, 4)
        for place in (*first, *last):
            assert transport.read_memory(place, 4) == place.to_bytes(4, "little")


def test_errors(program: Program) -> None:
    """What is refused, and what a machine says that stopped; it runs again after that."""
    at = next(number for number, (opcode, _) in enumerate(program.decoded()) if opcode is Opcode.COMPUTE)
    base, image = program_image(program)
    place = base + at * INSTRUCTION_BYTES
    (tensor,) = program.parts[0].inputs
    inputs = {tensor.name: np.zeros(tensor.shape, tensor.dtype)}
    with simulated_board(PARAMS, 0) as name, SerialTransport.open(name, BAUD) as transport:
        accelerator = CompactAccelerator(transport)
        assert transport.read_register(OFFSETS["MAGIC"]) == MAGIC
        assert accelerator.fingerprint == PARAMS.fingerprint
        with pytest.raises(RefusedError, match="fingerprint"):
            accelerator.load(replace(program, params=Parameters(rows=4, cols=4)))
        with pytest.raises(DeviceError):
            transport.read_memory(MEMORY_BYTES, 4)
        with pytest.raises(DeviceError):
            transport.write_register(OFFSETS["WATCHDOG"], 1)
        accelerator.load(program)
        transport.write_memory(place, b"\xff")  # no opcode
        with pytest.raises(AcceleratorError, match=f"instruction {at} has an unknown opcode") as caught:
            accelerator.run(inputs)
        assert (caught.value.code, caught.value.pc) == (ErrorCode.ILLEGAL_OPCODE, at)
        transport.write_memory(place, image[place : place + 1])
        first = accelerator.run(inputs)
        assert first.cycles == predict(program.parts[0]).total
        transport.write_register(OFFSETS["CONTROL"], 1)
        accelerator.reset()  # in the midst of a run
        again = accelerator.run(inputs)
        assert again.cycles == first.cycles
        for output, values in first.outputs.items():
            np.testing.assert_array_equal(again.outputs[output], values)
