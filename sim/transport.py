"""The driver's transport into a simulation: a start simulates a whole run."""

from tilewright.hw.params import Parameters
from tilewright.hw.registers import CONTROL, OFFSETS, REGISTERS, Access

from .rtl import BenchRun, Faults, MemoryOptions, run_bench
from .verilator import Progress

__all__ = ["SimulatedTransport"]

_START = CONTROL.const({"start": 1}).as_bits()
_READABLE = [register.offset for register in REGISTERS if register.access is not Access.WRITE]
_WRITABLE = [register.offset for register in REGISTERS if register.access is Access.READ_WRITE]


class SimulatedTransport:
    """An accelerator in RTL with ``memory_bytes`` of external memory; satisfies `tilewright.host.transport.Transport`.

    A write of CONTROL's start bit simulates from reset with all registers as written, until the interrupt; ``run`` is
    then what that left. Raises as `tilewright.sim.rtl.run_bench` does, and ``RuntimeError`` when ``max_cycles`` (0:
    no limit) pass.
    """

    def __init__(
        self,
        verilog: str,
        params: Parameters,
        memory_bytes: int,
        *,
        options: MemoryOptions | None = None,
        faults: Faults | None = None,
        max_cycles: int = 0,
        progress: Progress | None = None,
    ):
        self._verilog = verilog
        self._params = params
        self._memory = bytearray(memory_bytes)
        self._options = options
        self._faults = faults
        self._max_cycles = max_cycles
        self._progress = progress
        self._written: dict[int, int] = {}
        self._registers: dict[int, int] | None = None
        self.run: BenchRun | None = None

    @property
    def memory_bytes(self) -> int:
        """Size of the external memory."""
        return len(self._memory)

    def read_register(self, offset: int) -> int:
        """A register as the latest run left it, or as it is after reset."""
        if self._registers is None:
            self._simulate(start=False)
        assert self._registers is not None
        return self._registers[offset]

    def write_register(self, offset: int, value: int) -> None:
        """Write a register; a write of CONTROL's start bit runs, one of its reset bit forgets the latest run."""
        if offset in _WRITABLE:
            self._written[offset] = value
        elif offset != OFFSETS["CONTROL"]:
            raise ValueError(f"offset: 0x{offset:03x} is not a register that can be written")
        elif value & _START:
            self._simulate(start=True)
        else:
            self._registers = None

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of external memory."""
        self._check(address, size)
        return bytes(self._memory[address : address + size])

    def write_memory(self, address: int, data: bytes) -> None:
        """Change bytes of external memory."""
        self._check(address, len(data))
        self._memory[address : address + len(data)] = data

    def _check(self, address: int, size: int) -> None:
        if address < 0 or address + size > len(self._memory):
            raise ValueError(f"memory: {size} bytes at {address:#x} are not within its {len(self._memory)} bytes")

    def _simulate(self, *, start: bool) -> None:
        run = run_bench(
            self._verilog,
            self._params,
            bytes(self._memory) if start else b"",
            [*self._written.items(), *([(OFFSETS["CONTROL"], _START)] if start else [])],
            _READABLE,
            options=self._options,
            faults=self._faults,
            max_cycles=self._max_cycles,
            progress=self._progress,
        )
        self._registers = dict(run.registers)
        if start:
            self.run = run
            self._memory[:] = run.memory
            if not run.interrupted:
                raise RuntimeError(f"the accelerator did not finish within {self._max_cycles} cycles")
