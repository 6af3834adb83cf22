"""The driver: puts a program into an accelerator's memory, runs it, and says what went wrong."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tilewright.hw.counters import Category
from tilewright.hw.isa import INSTRUCTION_BYTES, Base, ErrorCode
from tilewright.hw.program import Program
from tilewright.hw.registers import CONTROL, MAGIC, OFFSETS, STATUS, VERSION

from .transport import Transport

__all__ = ["Accelerator", "AcceleratorError", "MemoryMap", "RefusedError", "Run"]

ALIGNMENT = 4096
"""Regions start at multiples of this many bytes: that of a memory page, and of what a burst must not cross."""

_START = CONTROL.const({"start": 1}).as_bits()
_RESET = CONTROL.const({"reset": 1}).as_bits()

_ERRORS = {
    ErrorCode.ILLEGAL_OPCODE: "instruction {pc} has an unknown opcode",
    ErrorCode.ILLEGAL_FIELD: "instruction {pc} has an illegal field",
    ErrorCode.FETCH_BUS: "a bus error answered the fetch of instruction {pc}",
    ErrorCode.LOAD_BUS: "a bus error answered a LOAD",
    ErrorCode.WEIGHTS_BUS: "a bus error answered a WEIGHTS",
    ErrorCode.STORE_BUS: "a bus error answered a STORE",
    ErrorCode.NO_PROGRESS: "no progress for {watchdog} cycles; detail 0x{detail:08x}",
    ErrorCode.PROGRAM_END: "the program ends without END",
}


class AcceleratorError(RuntimeError):
    """The accelerator stopped, or is not the one expected. ``code`` and ``detail`` are its registers, ``pc`` is the number
    of the instruction in the program."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.NONE, pc: int = 0, detail: int = 0):
        super().__init__(message)
        self.code = code
        self.pc = pc
        self.detail = detail


class RefusedError(AcceleratorError):
    """What is there is no accelerator, or cannot run the program."""


@dataclass(frozen=True)
class MemoryMap:
    """Where a program's regions lie in external memory: ``bases`` by base register, and the end of the last."""

    bases: Mapping[Base, int]
    end: int

    @classmethod
    def of(cls, program: Program, start: int = 0) -> "MemoryMap":
        """One region after the other from ``start`` on, a multiple of `ALIGNMENT`."""
        if start % ALIGNMENT:
            raise ValueError(f"start: {start:#x} is not a multiple of {ALIGNMENT}")
        bases = {}
        for base in Base:
            bases[base] = start
            start += -(-program.region_bytes(base) // ALIGNMENT) * ALIGNMENT
        return cls(bases, start)


@dataclass(frozen=True)
class Run:
    """One run: its outputs by name, the cycles it took, and where they went (lower-case `Category`; nothing where the
    accelerator does not count that)."""

    outputs: Mapping[str, np.ndarray]
    cycles: int
    counters: Mapping[str, int]


class Accelerator:
    """An accelerator behind a transport.

    ``memory_start`` is the first address of external memory that it may use, ``watchdog`` the cycles without progress
    after which it stops, ``timeout`` the seconds after which the driver does. Raises `RefusedError` if there is no
    accelerator, or one of another version.
    """

    def __init__(self, transport: Transport, *, memory_start: int = 0, watchdog: int = 100_000, timeout: float = 60.0):
        self._transport = transport
        self._memory_start = memory_start
        self._watchdog = watchdog
        self._timeout = timeout
        self._program: Program | None = None
        self._map = MemoryMap({}, memory_start)
        if (magic := self._read("MAGIC")) != MAGIC:
            raise RefusedError(f"no Tilewright accelerator there: MAGIC is 0x{magic:08x}, not 0x{MAGIC:08x}")
        if (version := self._read("VERSION")) != VERSION:
            raise RefusedError(f"the accelerator has register map version {version}, the driver is for {VERSION}")

    @property
    def fingerprint(self) -> int:
        """The fingerprint of the accelerator's parameters."""
        return self._read("FINGERPRINT_LO") | self._read("FINGERPRINT_HI") << 32

    def load(self, program: Program) -> None:
        """Reset the accelerator, whatever it was at, and put a program into memory.

        Raises `RefusedError` if it was compiled for another accelerator or does not fit into the memory.
        """
        self._check_fingerprint(program)
        layout = MemoryMap.of(program, self._memory_start)
        if layout.end > (available := self._transport.memory_bytes):
            needed = -(-(layout.end - self._memory_start) // 1024)
            raise RefusedError(
                f"the program needs {needed} KiB of external memory, and there are "
                f"{max(0, available - self._memory_start) // 1024} KiB"
            )
        self.reset()
        self._wait(lambda status: not status.busy)
        self._program, self._map = program, layout
        self._transport.write_memory(self._map.bases[Base.PROGRAM], program.instructions)
        self._transport.write_memory(self._map.bases[Base.WEIGHTS], program.weights)
        for base, address in self._map.bases.items():
            self._write(f"BASE_{base.name}", address)
        self._write("WATCHDOG", self._watchdog)

    def run(self, inputs: Mapping[str, np.ndarray], number: int = 0) -> Run:
        """Do one of the program's runs (the host steps between them are the caller's) on its inputs, by name.

        What an earlier run left in memory need not be given again. Raises ``ValueError`` for wrong inputs and
        `AcceleratorError`.
        """
        if self._program is None:
            raise ValueError("no program is loaded")
        first, part = self._program.runs[number].first, self._program.parts[number]
        for address, data in self._encoded(part, inputs):
            self._transport.write_memory(address, data)
        self._write("BASE_PROGRAM", self._map.bases[Base.PROGRAM] + first * INSTRUCTION_BYTES)
        self._write("PROGRAM_LENGTH", len(part))
        self._write("CONTROL", _START)
        self._wait(lambda status: status.done, first)
        outputs = {}
        for tensor in part.outputs:
            data = self._transport.read_memory(self._map.bases[tensor.base] + tensor.offset, tensor.nbytes)
            outputs[tensor.name] = tensor.decode(data)
        cycles = self._read("CYCLES_LO") | self._read("CYCLES_HI") << 32
        return Run(outputs, cycles, {c.name.lower(): self._read(f"COUNTER_{c.name}") for c in Category})

    def reset(self) -> None:
        """Bring the accelerator back after an error. The program stays loaded."""
        self._write("CONTROL", _RESET)

    def _check_fingerprint(self, program: Program) -> None:
        if (fingerprint := self.fingerprint) != program.params.fingerprint:
            raise RefusedError(
                f"the program is for {program.params.array}, fingerprint {program.params.fingerprint:016x}; "
                f"the accelerator's is {fingerprint:016x}"
            )

    def _encoded(self, part: Program, inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[int, bytes]]:
        """Address and bytes of a run's inputs, those left out that an earlier run computed. Raises ``ValueError``."""
        assert self._program is not None
        for tensor in part.inputs:
            if tensor in self._program.outputs and tensor.name not in inputs:
                continue
            value = inputs.get(tensor.name)
            if value is None or value.shape != tensor.shape or value.dtype != tensor.dtype:
                found = "missing" if value is None else f"{value.dtype} {value.shape}"
                raise ValueError(f"input {tensor.name!r} is {found}, not {tensor.dtype} {tensor.shape}")
            yield self._map.bases[tensor.base] + tensor.offset, tensor.encode(value)

    def _wait(self, condition: Callable[[Any], bool], first: int = 0) -> None:
        """Until STATUS is as wanted, in a run from instruction `first` on.

        Raises `AcceleratorError` if STATUS reports an error, or after the timeout.
        """
        deadline = time.monotonic() + self._timeout
        while not condition(status := STATUS.from_bits(self._read("STATUS"))):
            if status.error:
                code, pc = ErrorCode(self._read("ERROR")), first + self._read("ERROR_PC")
                detail = self._read("ERROR_DETAIL")
                text = _ERRORS.get(code, "it stopped").format(pc=pc, detail=detail, watchdog=self._watchdog)
                raise AcceleratorError(f"the accelerator stopped: {text}", code, pc, detail)
            if time.monotonic() > deadline:
                raise AcceleratorError(f"the accelerator did not finish within {self._timeout:g} s")

    def _read(self, name: str) -> int:
        return self._transport.read_register(OFFSETS[name])

    def _write(self, name: str, value: int) -> None:
        self._transport.write_register(OFFSETS[name], value)
