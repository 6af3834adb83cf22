"""A compiled network in one file: instructions, weights, and the tables that say what lies where.

`Program` is what the mapper emits and everything else reads; `hw/legality.py` says whether an accelerator can run it.

File: magic, version and number of sections (4 bytes each, little-endian); then each section as a tag of 4 bytes, a
length of 8, a CRC-32 of 4 and its data; then the SHA-256 of all before it. Sections: HEAD (JSON), CODE, WGTS, HOST.
"""

import dataclasses
import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .encoding import Fields, decode
from .isa import INSTRUCTION_BYTES, Base, Opcode
from .params import Parameters
from .rows import read_row, read_value

__all__ = [
    "AcceleratorRun", "HostStep", "HostTensor", "LayerInfo", "OnChipImage", "Program", "ProgramError", "TensorInfo",
]  # fmt: skip

MAGIC = b"\x89TWP\r\n\x1a\n"
VERSION = 2

_SECTIONS = (b"HEAD", b"CODE", b"WGTS", b"HOST")
_SECTION = struct.Struct("<4sQI")

_TOP_BIT = 0x80


class ProgramError(ValueError):
    """A file is not a program, or a program is not one that an accelerator can run. One line."""


# --- Tables -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in external memory: row-major bytes (NHWC), little-endian, at `offset` from the base register.

    The accelerator computes with int8 alone: elements of uint8 lie there as int8, each 128 less. `scale` is a real
    number per unit of the integer (None if the tensor is not quantized).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int
    base: Base
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes that the tensor takes."""
        return _nbytes(self)

    def encode(self, values: npt.NDArray[Any]) -> bytes:
        """The tensor's values as they lie in external memory."""
        return (values ^ np.uint8(_TOP_BIT) if self.dtype == "uint8" else values).tobytes()

    def decode(self, data: bytes) -> npt.NDArray[Any]:
        """The values of what lies in external memory; a copy."""
        values = np.frombuffer(data, self.dtype).reshape(self.shape)
        return values ^ np.uint8(_TOP_BIT) if self.dtype == "uint8" else values.copy()


@dataclass(frozen=True)
class HostTensor:
    """A tensor that only the host sees: between host steps, an input or output of the model, or a constant (`data`).

    `scale` and `zero_point` have an entry for each index along `axis`, one if that is None, none if not quantized.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class HostStep:
    """An operator that runs on the host in numpy; `parameters` are JSON values, the rest tensor names.

    `inputs` and `outputs` are what it reads and defines; `parameters` say everything about the operator.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", json.loads(json.dumps(self.parameters)))


@dataclass(frozen=True)
class AcceleratorRun:
    """One run of the accelerator, from a start to an END: instructions `first` to `first + count - 1`.

    It reads the tensors `inputs` and writes `outputs`, names from the program's tables. None stands for all there are.
    """

    first: int = 0
    count: int | None = None
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OnChipImage:
    """A tensor as COMPUTE (or LOAD) leaves it in the scratchpad; `shape` is NHWC with N = 1, steps are in units.

    It is complete after instruction `last_instruction`; `first_instruction` is the first one that writes to it.
    """

    name: str
    shape: tuple[int, int, int, int]
    address: int
    bank: int
    row_step: int
    x_step: int
    first_instruction: int
    last_instruction: int


@dataclass(frozen=True)
class LayerInfo:
    """An operator of the model, in the model's order. `where` is ``accelerator`` or ``host``; `output` a tensor name.

    `fused_into` names the layer whose instructions do this one's work. The instruction numbers are None without any.
    `bound_cycles` is the least that the layer could take on this accelerator, however arranged; 0 if not known.
    """

    name: str
    op: str
    where: str
    macs: int
    output: str
    fused_into: str | None = None
    first_instruction: int | None = None
    last_instruction: int | None = None
    bound_cycles: int = 0


_STEPS: dict[str, type[AcceleratorRun | HostStep]] = {"run": AcceleratorRun, "host": HostStep}

# --- The program and its file -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything that it takes to run a network on an accelerator of these parameters.

    `instructions` is a blob of 64-byte instructions, `weights` the read-only region behind ``Base.WEIGHTS``,
    `scratch_bytes` the size of the one behind ``Base.SCRATCH``. `inputs` are the tensors in external memory that the
    host writes, `outputs` those that the accelerator writes; `model_inputs` and `model_outputs` name the model's, in
    its order, among those and `host_tensors`. `tensors` has every tensor that the program stores on chip, once for each
    run that does, `steps` the order of host operators and runs; the runs' instructions follow each other.
    """

    params: Parameters
    instructions: bytes
    weights: bytes
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    scratch_bytes: int = 0
    model: str = ""
    model_inputs: tuple[str, ...] = ()
    model_outputs: tuple[str, ...] = ()
    tensors: tuple[OnChipImage, ...] = ()
    layers: tuple[LayerInfo, ...] = ()
    host_tensors: tuple[HostTensor, ...] = ()
    steps: tuple[HostStep | AcceleratorRun, ...] = (AcceleratorRun(),)

    def __post_init__(self) -> None:
        if (size := len(self.instructions)) % INSTRUCTION_BYTES:
            raise ProgramError(f"instructions: {size} bytes are not a multiple of {INSTRUCTION_BYTES}")

    def __len__(self) -> int:
        """The number of instructions."""
        return len(self.instructions) // INSTRUCTION_BYTES

    @property
    def runs(self) -> tuple[AcceleratorRun, ...]:
        """The runs of the accelerator, in order."""
        return tuple(step for step in self.steps if isinstance(step, AcceleratorRun))

    @property
    def parts(self) -> tuple["Program", ...]:
        """Each run as a program of its own, its instructions numbered from 0. A program of one run is its own part."""
        return (self,) if len(self.runs) == 1 else tuple(map(self._part, self.runs))

    def _part(self, run: AcceleratorRun) -> "Program":
        end = len(self) if run.count is None else run.first + run.count
        external = {tensor.name: tensor for tensor in self.inputs + self.outputs}

        def here(row: OnChipImage | LayerInfo) -> bool:
            first, last = row.first_instruction, row.last_instruction
            return first is not None and last is not None and run.first <= first <= last < end

        return replace(
            self,
            instructions=self.instructions[run.first * INSTRUCTION_BYTES : end * INSTRUCTION_BYTES],
            inputs=self.inputs if run.inputs is None else tuple(external[name] for name in run.inputs),
            outputs=self.outputs if run.outputs is None else tuple(external[name] for name in run.outputs),
            model_inputs=(),
            model_outputs=(),
            tensors=tuple(_moved(row, -run.first) for row in self.tensors if here(row)),
            layers=tuple(_moved(row, -run.first) for row in self.layers if here(row)),
            host_tensors=(),
            steps=(AcceleratorRun(),),
        )

    def decoded(self) -> Iterator[tuple[Opcode, Fields]]:
        """The instructions in order. Raises `ProgramError` at one that cannot be decoded."""
        for index in range(len(self)):
            try:
                yield decode(self.instructions[index * INSTRUCTION_BYTES : (index + 1) * INSTRUCTION_BYTES])
            except ValueError as error:
                raise ProgramError(f"instruction {index}: {error}") from None

    def region_bytes(self, base: Base) -> int:
        """The size of the memory region that a base register points to."""
        tensors = [tensor for tensor in self.inputs + self.outputs if tensor.base is base]
        tensor_bytes = max((tensor.offset + tensor.nbytes for tensor in tensors), default=0)
        blobs = {Base.PROGRAM: len(self.instructions), Base.WEIGHTS: len(self.weights)}
        return max(tensor_bytes, (blobs | {Base.SCRATCH: self.scratch_bytes}).get(base, 0))

    def to_bytes(self) -> bytes:
        """The program as a file."""
        head = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("params", "instructions", "weights", "host_tensors", "steps")
        }
        host_tensors = [dataclasses.asdict(tensor) for tensor in self.host_tensors]
        for row in host_tensors:
            row["data"] = None if row["data"] is None else len(row["data"])
        head["host_tensors"] = host_tensors
        names = {kind: name for name, kind in _STEPS.items()}
        head["steps"] = [{"kind": names[type(step)]} | dataclasses.asdict(step) for step in self.steps]
        head["params"] = json.loads(self.params.to_json())
        head["fingerprint"] = f"{self.params.fingerprint:016x}"
        text = json.dumps(head, default=_plain, sort_keys=True, allow_nan=False)
        host = b"".join(tensor.data or b"" for tensor in self.host_tensors)
        parts = [MAGIC, struct.pack("<II", VERSION, len(_SECTIONS))]
        for tag, data in zip(_SECTIONS, (text.encode(), self.instructions, self.weights, host), strict=True):
            parts += [_SECTION.pack(tag, len(data), zlib.crc32(data)), data]
        body = b"".join(parts)
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Program":
        """Read what `to_bytes` wrote. Raises `ProgramError` if it is truncated, altered, or something else."""
        head, code, weights, host = _sections(data)
        try:
            values = json.loads(head)
            if not isinstance(values, dict):
                raise ValueError("expected an object")
            fingerprint = values.pop("fingerprint")
            params = Parameters.from_json(json.dumps(values.pop("params")))
            host_tensors, at = [], 0
            for number, row in enumerate(read_value(list, values.pop("host_tensors"), "host_tensors")):
                size = row.pop("data")
                if size is not None and (type(size) is not int or not 0 <= size <= len(host) - at):
                    raise ValueError(f"host_tensors {number}: data: {size!r} bytes of {len(host) - at}")
                part = None if size is None else host[at : at + size]
                host_tensors.append(read_row(HostTensor, row, f"host_tensors {number}", data=part))
                at += size or 0
            steps = tuple(
                read_row(_STEPS[row.pop("kind")], row, f"steps {number}")
                for number, row in enumerate(read_value(list, values.pop("steps"), "steps"))
            )
            given = {"params": params, "instructions": code, "weights": weights, "host_tensors": tuple(host_tensors)}
            program = read_row(cls, values, "head", steps=steps, **given)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = "missing " + str(error) if isinstance(error, KeyError) else " ".join(str(error).split())
            raise ProgramError(f"the program's header is not understood: {reason[:200]}") from None
        if at != len(host):
            raise ProgramError("the program's header does not fit its host data")
        if fingerprint != f"{params.fingerprint:016x}":
            raise ProgramError("the program's fingerprint does not fit its parameters")
        return program

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        target = Path(path)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.to_bytes())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Program":
        """Read a file that `save` wrote. Raises `ProgramError` naming the file, or ``OSError``."""
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except ProgramError as error:
            raise ProgramError(f"{os.fspath(path)}: {error}") from None


_Row = TypeVar("_Row", OnChipImage, LayerInfo)


def _moved(row: _Row, by: int) -> _Row:
    """A row of a table whose instruction numbers are others."""
    assert row.first_instruction is not None and row.last_instruction is not None
    return replace(row, first_instruction=row.first_instruction + by, last_instruction=row.last_instruction + by)


def _nbytes(tensor: TensorInfo | HostTensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize


def _plain(value: Any) -> Any:
    """JSON for what the tables hold: enumerations by name, dataclasses as objects."""
    if isinstance(value, Base):
        return value.name
    return dataclasses.asdict(value)


def _sections(data: bytes) -> list[bytes]:
    """The sections of a file, every checksum verified."""
    start = len(MAGIC) + 8
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise ProgramError("not a Tilewright program")
    if len(data) < start:
        raise ProgramError("the program is truncated")
    version, count = struct.unpack_from("<II", data, len(MAGIC))
    if version != VERSION:
        raise ProgramError(f"the program has format version {version}; this Tilewright reads version {VERSION}")
    if count != len(_SECTIONS):
        raise ProgramError("the program is altered: number of sections")
    sections, at = [], start
    for tag in _SECTIONS:
        if len(data) < at + _SECTION.size:
            raise ProgramError("the program is truncated")
        found, length, crc = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        if found != tag:
            raise ProgramError(f"the program is altered: section {tag.decode()} is missing")
        if len(data) < at + length:
            raise ProgramError("the program is truncated")
        sections.append(data[at : at + length])
        at += length
        if zlib.crc32(sections[-1]) != crc:
            raise ProgramError(f"the program is altered: checksum of section {tag.decode()}")
    if len(data) < at + 32:
        raise ProgramError("the program is truncated")
    if hashlib.sha256(data[:at]).digest() != data[at:]:
        raise ProgramError("the program is altered: checksum of the file")
    return sections
