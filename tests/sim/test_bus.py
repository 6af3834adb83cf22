"""Both buses against cocotbext-axi, which stalls every channel at random and answers with errors."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tilewright.hw.generate import generate
from tilewright.hw.isa import ErrorCode
from tilewright.hw.params import Parameters
from tilewright.hw.program import Program
from tilewright.hw.registers import MAGIC, OFFSETS, STATUS
from tilewright.hw.verilog import convert
from tilewright.sim.interpreter import Interpreter
from tilewright.sim.memory import make_memory
from tilewright.sim.verilator import Build, run_test

from .assembler import Assembler, Layer
from .copier import BEATS, Copier
from .copier import Register as CopierRegister

SLVERR = 2
PARAMS = Parameters(rows=4, cols=4)


@dataclass
class Bus:
    """A device to run; the memory afterwards and the registers' (response, value)."""

    verilog: str
    folder: Path

    def run(
        self,
        memory: bytes,
        writes: dict[int, int],
        reads: list[int],
        *,
        seed: int = 0,
        pause: float = 0.0,
        read_errors: tuple[int, int] = (0, 0),
        write_errors: tuple[int, int] = (0, 0),
    ) -> tuple[bytes, dict[int, tuple[int, int]]]:
        source = self.folder / "tilewright.v"
        source.write_text(self.verilog)
        executable = Build(sources=(source,), top="tilewright", visible=True).executable()
        image, answer = self.folder / "image", self.folder / "answer.json"
        image.write_bytes(memory)
        job = {
            "image": str(image), "answer": str(answer), "writes": [[int(a), v] for a, v in writes.items()],
            "reads": [int(a) for a in reads], "seed": seed, "pause": pause, "cycles": 100_000,
            "read_errors": read_errors, "write_errors": write_errors,
        }  # fmt: skip
        (self.folder / "job.json").write_text(json.dumps(job))
        module = Path(__file__).parent / "bus_cocotb.py"
        run_test(
            executable,
            module=module,
            folder=self.folder,
            environment={"BUS_JOB": str(self.folder / "job.json")},
            timeout=600,
        )
        registers = {int(a): tuple(v) for a, v in json.loads(answer.read_text()).items()}
        return image.read_bytes(), registers


# --- A stand-in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "pause"), [(0, 0.0), (1, 0.3), (2, 0.7)])
def test_copier(tmp_path: Path, seed: int, pause: float):
    bus = Bus(convert(Copier(32), "tilewright"), tmp_path)
    memory = bytes(np.random.default_rng(seed).integers(0, 256, 8192, dtype=np.uint8))
    writes = {
        CopierRegister.SOURCE: 64,
        CopierRegister.TARGET: 4096,
        CopierRegister.BURSTS: 5,
        CopierRegister.CONTROL: 1,
    }
    after, registers = bus.run(memory, writes, [CopierRegister.STATUS], seed=seed, pause=pause)
    size = 5 * BEATS * 4
    assert after == memory[:4096] + memory[64 : 64 + size] + memory[4096 + size :]
    assert registers[CopierRegister.STATUS] == (0, 0)


# --- The accelerator ----------------------------------------------------------------------------------------


@pytest.fixture
def accelerator(tmp_path: Path) -> Bus:
    return Bus(generate(PARAMS).verilog, tmp_path)


def program() -> Program:
    """A 3x3 convolution of odd sizes, so that no address is a multiple of anything."""
    rng = np.random.default_rng(5)
    assembler = Assembler(PARAMS)
    x, y = assembler.image(5, 7, 5), assembler.image(5, 7, 6)
    assembler.load(x)
    weights = rng.integers(-128, 128, (3, 3, 5, 6)).astype(np.int8)
    layer = Layer(weights, rng.integers(-999, 999, 6), np.full(6, 1 << 30), np.full(6, 37), pads=(1, 1), pad=-7)
    assembler.layer(layer, x, y)
    assembler.store(y)
    return assembler.end()


def registers_of(code: Program, bases: dict) -> dict[int, int]:
    """What a driver writes."""
    writes = {OFFSETS[f"BASE_{base.name}"]: address for base, address in bases.items()}
    return writes | {OFFSETS["PROGRAM_LENGTH"]: len(code), OFFSETS["WATCHDOG"]: 5000, OFFSETS["CONTROL"]: 1}


def start(bus: Bus, **options: object) -> tuple[np.ndarray, bytes, dict[str, int]]:
    """Run the program: what the interpreter makes of the memory, the memory, and the registers by name."""
    code = program()
    image = np.random.default_rng(6).integers(-128, 128, (1, 5, 7, 5)).astype(np.int8)
    memory, bases = make_memory(code, {"x": image})
    names = ("STATUS", "ERROR", "MAGIC")
    after, registers = bus.run(
        memory.tobytes(), registers_of(code, bases), [OFFSETS[name] for name in names], **options
    )
    Interpreter(code, memory).run()
    return memory, after, {name: registers[OFFSETS[name]][1] for name in names}


@pytest.mark.parametrize(("seed", "pause"), [(0, 0.0), (1, 0.2), (2, 0.5), (3, 0.8)])
def test_accelerator_under_back_pressure(accelerator: Bus, seed: int, pause: float):
    golden, after, registers = start(accelerator, seed=seed, pause=pause)
    assert registers == {"STATUS": STATUS.const({"done": 1}).as_bits(), "ERROR": 0, "MAGIC": MAGIC}
    assert after == golden.tobytes()


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ({"read_errors": (64, 65)}, ErrorCode.FETCH_BUS),
        ({"read_errors": (4096 + 100, 4096 + 101)}, ErrorCode.WEIGHTS_BUS),
        ({"read_errors": (8192 + 50, 8192 + 51)}, ErrorCode.LOAD_BUS),
        ({"write_errors": (12288 + 70, 12288 + 71)}, ErrorCode.STORE_BUS),
    ],
)
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_accelerator_reports_errors(
    accelerator: Bus, errors: dict[str, tuple[int, int]], code: ErrorCode, pause: float
):
    _, _, registers = start(accelerator, pause=pause, seed=9, **errors)
    assert registers["STATUS"] == STATUS.const({"error": 1}).as_bits()
    assert ErrorCode(registers["ERROR"]) is code


def test_registers_that_do_not_exist(accelerator: Bus):
    code = program()
    memory, bases = make_memory(code, {"x": np.zeros((1, 5, 7, 5), np.int8)})
    offsets = [OFFSETS["CONTROL"], 0xFFC, OFFSETS["MAGIC"]]
    _, registers = accelerator.run(memory.tobytes(), registers_of(code, bases), offsets, pause=0.4)
    assert registers == {OFFSETS["CONTROL"]: (SLVERR, 0), 0xFFC: (SLVERR, 0), OFFSETS["MAGIC"]: (0, MAGIC)}
