"""The driver against a register file in Python, and against the accelerator in RTL."""

import numpy as np
import pytest
from tilewright.host.driver import Accelerator, AcceleratorError, MemoryMap, RefusedError
from tilewright.hw.encoding import encode
from tilewright.hw.generate import generate
from tilewright.hw.isa import Base, ErrorCode, Opcode
from tilewright.hw.params import Parameters
from tilewright.hw.program import Program, TensorInfo
from tilewright.hw.registers import CONTROL, MAGIC, OFFSETS, STATUS, VERSION
from tilewright.sim.rtl import Faults
from tilewright.sim.transport import SimulatedTransport

PARAMS = Parameters(rows=4, cols=4)
SHAPE = (1, 3, 5, 6)
IMAGE = {
    "run_bytes": 90, "runs": 1, "run_pitch": 0, "address": 0, "bank": 0, "row_step": 10, "rows": 3, "width": 5,
    "channels": 6,
}  # fmt: skip


def copy_program(params: Parameters = PARAMS) -> Program:
    """LOAD and STORE one tensor."""
    waits = {"wait_load": 0, "wait_compute": 0, "wait_store": 0}
    loaded = waits | {"wait_load": 1}
    code = [
        encode(Opcode.LOAD, base=Base.INPUT, offset=0, **waits, **IMAGE),
        encode(Opcode.STORE, base=Base.OUTPUT, offset=64, **loaded, **IMAGE),
        encode(Opcode.END, **loaded | {"wait_store": 1}),
    ]
    return Program(
        params=params,
        instructions=b"".join(code),
        weights=bytes(5000),
        inputs=(TensorInfo("x", SHAPE, "int8", 0.5, 0, Base.INPUT, 0),),
        outputs=(TensorInfo("y", SHAPE, "int8", 0.5, 0, Base.OUTPUT, 64),),
    )


class Stub:
    """Registers that are as they are told; a start copies the input to the output, or fails."""

    def __init__(self, *, error: ErrorCode = ErrorCode.NONE, stuck: bool = False, **registers: int):
        self.memory_bytes = 1 << 16
        self.memory = bytearray(self.memory_bytes)
        self.error = error
        self.stuck = stuck
        self.registers = dict.fromkeys(OFFSETS.values(), 0)
        halves = {"FINGERPRINT_LO": PARAMS.fingerprint & 0xFFFFFFFF, "FINGERPRINT_HI": PARAMS.fingerprint >> 32}
        for name, value in ({"MAGIC": MAGIC, "VERSION": VERSION} | halves | registers).items():
            self.registers[OFFSETS[name]] = value

    def read_register(self, offset: int) -> int:
        return self.registers[offset]

    def write_register(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        if offset == OFFSETS["CONTROL"] and CONTROL.from_bits(value).start and not self.stuck:
            source, target = (self.registers[OFFSETS[f"BASE_{name}"]] for name in ("INPUT", "OUTPUT"))
            self.memory[target + 64 : target + 64 + 90] = self.memory[source : source + 90]
            status = {"error": 1} if self.error.value else {"done": 1}
            self.registers[OFFSETS["STATUS"]] = STATUS.const(status).as_bits()
            self.registers |= {
                OFFSETS["ERROR"]: self.error.value,
                OFFSETS["ERROR_PC"]: 7,
                OFFSETS["ERROR_DETAIL"]: 0xAB,
            }

    def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address : address + size])

    def write_memory(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = data


def tensor(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, SHAPE).astype(np.int8)


def test_regions_follow_each_other_on_pages():
    layout = MemoryMap.of(copy_program(), 8192)
    assert layout.bases == {
        Base.PROGRAM: 8192, Base.WEIGHTS: 12288, Base.INPUT: 20480, Base.OUTPUT: 24576, Base.SCRATCH: 28672,
    }  # fmt: skip
    assert layout.end == 28672
    with pytest.raises(ValueError, match="start: 0x10 is not a multiple of 4096"):
        MemoryMap.of(copy_program(), 16)


def test_runs():
    stub = Stub(CYCLES_LO=5, CYCLES_HI=1, COUNTER_IDLE=3)
    accelerator = Accelerator(stub, memory_start=4096, watchdog=77)
    program = copy_program()
    accelerator.load(program)
    run = accelerator.run({"x": tensor()})
    np.testing.assert_array_equal(run.outputs["y"], tensor())
    assert run.cycles == (1 << 32) + 5
    assert run.counters["idle"] == 3
    assert stub.registers[OFFSETS["WATCHDOG"]] == 77
    assert stub.registers[OFFSETS["PROGRAM_LENGTH"]] == 3
    assert stub.read_memory(4096, len(program.instructions)) == program.instructions


def test_refuses_what_is_not_its_accelerator():
    with pytest.raises(RefusedError, match="MAGIC is 0x00000000"):
        Accelerator(Stub(MAGIC=0))
    with pytest.raises(RefusedError, match="register map version 9"):
        Accelerator(Stub(VERSION=9))
    other = Parameters(rows=8, cols=4)
    with pytest.raises(RefusedError, match=f"the program is for 8x4, fingerprint {other.fingerprint:016x}"):
        Accelerator(Stub()).load(copy_program(other))
    small = Stub()
    small.memory_bytes = 24 * 1024
    with pytest.raises(RefusedError, match="needs 20 KiB of external memory, and there are 16 KiB"):
        Accelerator(small, memory_start=8192).load(copy_program())
    assert not any(small.memory)


@pytest.mark.parametrize("value", [None, np.zeros((3, 5, 6), np.int8), np.zeros(SHAPE, np.uint8)])
def test_refuses_wrong_inputs(value: np.ndarray | None):
    accelerator = Accelerator(Stub())
    with pytest.raises(ValueError, match="no program is loaded"):
        accelerator.run({})
    accelerator.load(copy_program())
    with pytest.raises(ValueError, match=r"input 'x' is .*, not int8 \(1, 3, 5, 6\)"):
        accelerator.run({} if value is None else {"x": value})


@pytest.mark.parametrize("code", [code for code in ErrorCode if code is not ErrorCode.NONE])
def test_errors_have_a_text(code: ErrorCode):
    accelerator = Accelerator(Stub(error=code))
    accelerator.load(copy_program())
    with pytest.raises(AcceleratorError, match="the accelerator stopped: ") as caught:
        accelerator.run({"x": tensor()})
    assert (caught.value.code, caught.value.pc, caught.value.detail) == (code, 7, 0xAB)
    assert "{" not in str(caught.value)


def test_gives_up():
    accelerator = Accelerator(Stub(stuck=True), timeout=0.05)
    accelerator.load(copy_program())
    with pytest.raises(AcceleratorError, match=r"did not finish within 0.05 s"):
        accelerator.run({"x": tensor()})


# --- In RTL -------------------------------------------------------------------------------------------------


def simulated(**options: object) -> tuple[Accelerator, SimulatedTransport]:
    transport = SimulatedTransport(generate(PARAMS).verilog, PARAMS, 1 << 16, max_cycles=10_000, **options)
    return Accelerator(transport, watchdog=500), transport


def test_simulated_accelerator():
    accelerator, transport = simulated()
    assert accelerator.fingerprint == PARAMS.fingerprint
    accelerator.load(copy_program())
    for seed in (1, 2):
        run = accelerator.run({"x": tensor(seed)})
        np.testing.assert_array_equal(run.outputs["y"], tensor(seed))
        assert transport.run is not None
        assert run.cycles == transport.run.cycles == sum(run.counters.values())


def test_simulated_bus_error():
    page = MemoryMap.of(copy_program()).bases[Base.INPUT]
    accelerator, _ = simulated(faults=Faults(reads=range(page, page + 1)))
    accelerator.load(copy_program())
    with pytest.raises(AcceleratorError, match="a bus error answered a LOAD") as caught:
        accelerator.run({"x": tensor()})
    assert caught.value.code is ErrorCode.LOAD_BUS
    assert caught.value.pc == 0


def test_simulated_watchdog():
    accelerator, _ = simulated(faults=Faults(mute=60))
    accelerator.load(copy_program())
    with pytest.raises(AcceleratorError, match="no progress for 500 cycles"):
        accelerator.run({"x": tensor()})


def test_simulated_memory_has_an_end():
    _, transport = simulated()
    with pytest.raises(ValueError, match="8 bytes at 0xfffc are not within its 65536 bytes"):
        transport.write_memory(0xFFFC, bytes(8))
    with pytest.raises(ValueError, match="offset: 0x014 is not a register that can be written"):
        transport.write_register(OFFSETS["STATUS"], 1)
