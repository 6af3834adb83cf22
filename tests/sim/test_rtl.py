"""The bench's memory, cycle by cycle, on a stand-in; then the accelerator in it."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tilewright.hw.generate import generate
from tilewright.hw.isa import ErrorCode
from tilewright.hw.params import Parameters
from tilewright.hw.program import Program
from tilewright.hw.verilog import convert
from tilewright.sim.interpreter import Interpreter
from tilewright.sim.memory import make_memory
from tilewright.sim.rtl import BenchRun, Faults, MemoryOptions, RtlResult, run_bench, simulate
from tilewright.sim.trace import Event
from tilewright.sim.verilator import SimulationError

from .assembler import Assembler, Layer
from .copier import BEATS, Copier, Register

PARAMS = Parameters(rows=8, cols=8)
BURST_BYTES = BEATS * PARAMS.axi_bytes
TARGET = 32768
MEMORY = bytes(np.random.default_rng(1).integers(0, 256, 65536, dtype=np.uint8))
STAMP, BREAK_WLAST, CHANGE_W = 1, 2, 4
FAILED, GAVE_UP = 2, 4

RunCopier = Callable[..., BenchRun]


@pytest.fixture(scope="module")
def copier() -> RunCopier:
    verilog = convert(Copier(PARAMS.axi_bits), "tilewright")

    def run(
        mode: int = 0, bursts: int = 4, gap: int = 0, source: int = 0, watchdog: int = 0, **options: object
    ) -> BenchRun:
        values = {
            Register.SOURCE: source,
            Register.TARGET: TARGET,
            Register.BURSTS: bursts,
            Register.GAP: gap,
            Register.WATCHDOG: watchdog,
            Register.MODE: mode,
            Register.CONTROL: 1,
        }
        reads = [Register.STATUS]
        return run_bench(
            verilog, PARAMS, MEMORY, list(values.items()), reads, start_address=Register.CONTROL, timeout=600, **options
        )

    return run


def stamps(run: BenchRun, bursts: int) -> list[int]:
    """The cycle of each beat, as the copier wrote it down."""
    written = run.memory[TARGET : TARGET + bursts * BURST_BYTES]
    return np.frombuffer(written, "<u4")[:: PARAMS.axi_bytes // 4].tolist()


def beats(addresses: Iterator[int], latency: int) -> list[int]:
    """The contract: a burst's first beat at max(address + latency, beat before + 1), the others right behind it."""
    cycles: list[int] = []
    for address in addresses:
        cycles.append(max(address + latency, cycles[-1] + 1 if cycles else 0))
        for _ in range(BEATS - 1):
            cycles.append(cycles[-1] + 1)
    return cycles


def test_copies(copier: RunCopier):
    run = copier()
    size = 4 * BURST_BYTES
    assert run.memory == MEMORY[:TARGET] + MEMORY[:size] + MEMORY[TARGET + size :]
    assert run.interrupted
    assert run.registers == {Register.STATUS: 0}


@pytest.mark.parametrize(("latency", "gap"), [(20, 0), (1, 0), (20, 30), (7, 15), (100, 3)])
def test_read_latency(copier: RunCopier, latency: int, gap: int):
    """Addresses come every 1 + gap cycles from cycle 0 on; a beat is written 2 cycles later, answered after 4 more."""
    run = copier(STAMP, gap=gap, options=MemoryOptions(latency=latency))
    expected = beats(((1 + gap) * burst for burst in range(4)), latency)
    assert stamps(run, 4) == expected
    assert run.cycles == expected[-1] + 2 + 4 + 1


def test_write_latency(copier: RunCopier):
    fast, slow = (copier(options=MemoryOptions(write_latency=latency)).cycles for latency in (1, 31))
    assert slow - fast == 30


@pytest.mark.parametrize("turnover", [1, 3, 16])
def test_full_queue_holds_the_address(copier: RunCopier, turnover: int):
    """With one burst at a time the next address is taken ``turnover`` cycles before the last beat, which comes in cycle 35."""
    cycles = stamps(copier(STAMP, bursts=2, options=MemoryOptions(outstanding=1, turnover=turnover)), 2)
    again = 35 - turnover + 20
    assert cycles == [*range(20, 36), *range(again, again + BEATS)]


@pytest.mark.parametrize(
    ("bandwidth", "pattern"), [(50, [0, 2, 4, 6, 8, 10, 12, 14]), (75, [0, 1, 2, 4, 5, 6, 8, 9]), (10, [0, 10, 20, 30])]
)
def test_bandwidth(copier: RunCopier, bandwidth: int, pattern: list[int]):
    """The tokens left from before allow up to one beat more at the start: look from the third beat on."""
    run = copier(STAMP, options=MemoryOptions(bandwidth=bandwidth))
    cycles = stamps(run, 4)
    gaps = np.diff(cycles[2:])
    period = np.diff([*pattern, pattern[-1] + (pattern[1] - pattern[0])])
    assert cycles[-1] - cycles[2] == pytest.approx((len(cycles) - 3) * 100 / bandwidth, abs=1)
    assert set(gaps) <= set(period.tolist()) | {max(period)}
    assert run.cycles >= 64 * 100 // bandwidth


def test_read_error(copier: RunCopier):
    run = copier(faults=Faults(reads=range(BURST_BYTES + 8, BURST_BYTES + 16)))
    assert run.registers[Register.STATUS] == FAILED


def test_write_error_leaves_the_memory_alone(copier: RunCopier):
    bad = range(TARGET + 16, TARGET + 32)
    run = copier(faults=Faults(writes=bad))
    assert run.registers[Register.STATUS] == FAILED
    assert run.memory[bad.start : bad.stop] == MEMORY[bad.start : bad.stop]
    assert run.memory[bad.stop : TARGET + BURST_BYTES] == MEMORY[32:BURST_BYTES]


def test_beyond_the_memory(copier: RunCopier):
    assert copier(source=len(MEMORY)).registers[Register.STATUS] == FAILED


def test_mute_memory_and_a_watchdog(copier: RunCopier):
    run = copier(watchdog=50, faults=Faults(mute=30))
    assert run.interrupted
    assert run.registers[Register.STATUS] == GAVE_UP
    assert run.simulated_cycles < 100


def test_mute_memory_without_a_watchdog(copier: RunCopier):
    run = copier(max_cycles=500, faults=Faults(mute=30))
    assert not run.interrupted
    assert 499 <= run.simulated_cycles <= 501


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"source": 4096 - 64}, "a burst on AR crosses 4 KiB"),
        ({"mode": BREAK_WLAST}, "WLAST is not on the last beat"),
        ({"mode": CHANGE_W, "options": MemoryOptions(outstanding=1, write_latency=99)}, "W changed before WREADY"),
    ],
)
def test_rules_of_the_bus(copier: RunCopier, settings: dict[str, object], why: str):
    with pytest.raises(SimulationError, match=why):
        copier(**settings)


@pytest.mark.parametrize(
    "options", [{"latency": 0}, {"bandwidth": 101}, {"outstanding": 0}, {"write_latency": -1}, {"turnover": 0}]
)
def test_options_out_of_range(options: dict[str, int]):
    with pytest.raises(ValueError, match=next(iter(options))):
        MemoryOptions(**options)


# --- The accelerator ----------------------------------------------------------------------------------------


def program(params: Parameters) -> Program:
    """A 3x3 convolution and a 1x1 behind it."""
    rng = np.random.default_rng(2)
    assembler = Assembler(params)
    x, y, z = assembler.image(6, 5, 8), assembler.image(6, 5, 8, bank=2), assembler.image(6, 5, 6)
    quantization = {"bias": rng.integers(-999, 999, 8), "multiplier": np.full(8, 1 << 30), "shift": np.full(8, 38)}
    assembler.load(x)
    kernel = rng.integers(-128, 128, (3, 3, 8, 8)).astype(np.int8)
    assembler.layer(Layer(kernel, pads=(1, 1), pad=3, **quantization), x, y, name="first")
    point = rng.integers(-128, 128, (1, 1, 8, 6)).astype(np.int8)
    assembler.layer(Layer(point, **{name: values[:6] for name, values in quantization.items()}), y, z, name="second")
    assembler.store(z)
    return assembler.end()


def run_program(watchdog: int = 1000, faults: Faults | None = None) -> tuple[Program, np.ndarray, RtlResult]:
    params = Parameters(rows=4, cols=4)
    code = program(params)
    image = np.random.default_rng(3).integers(-128, 128, (1, 6, 5, 8)).astype(np.int8)
    memory, bases = make_memory(code, {"x": image})
    verilog = generate(params).verilog
    run = simulate(
        memory.tobytes(),
        bases,
        params,
        verilog,
        program_length=len(code),
        watchdog=watchdog,
        faults=faults,
        trace=True,
        timeout=600,
    )
    return code, memory, run


def test_accelerator_equals_the_interpreter():
    code, memory, run = run_program()
    assert (run.finished, run.error) == (True, ErrorCode.NONE)
    golden = Interpreter(code, memory).run()
    assert run.memory == golden.memory.tobytes()
    assert run.trace is not None
    images = run.trace.images(code)
    assert images.keys() == golden.images.keys() == {"first", "second"}
    for name, image in images.items():
        np.testing.assert_array_equal(image, golden.images[name], err_msg=name)


def test_cycles_are_the_accelerators_own():
    _, _, run = run_program()
    assert run.cycles == run.counted_cycles == sum(run.counters.values())
    assert run.trace is not None
    assert run.trace.cycles(Event.STORE_DONE).tolist() == [run.cycles - 1]
    assert run.cycles_per_second > 1000


def test_accelerator_reports_a_bus_error():
    _, _, run = run_program(faults=Faults(reads=range(64)))
    assert run.finished
    assert run.error is ErrorCode.FETCH_BUS


def test_accelerator_stops_when_the_memory_does():
    _, _, run = run_program(faults=Faults(mute=150))
    assert run.finished
    assert run.error is ErrorCode.NO_PROGRESS
    assert run.cycles < 150
