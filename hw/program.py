"""A compiled network in one file: instructions, weights, and the tables that say what lies where.

`encode` and `decode` turn instructions into bytes and back, by the layouts of `hw/isa.py`. `Program` is what the mapper
emits and everything else reads; `verify_program` says whether an accelerator can run it.

File: magic, version and number of sections (4 bytes each, little-endian); then each section as a tag of 4 bytes, a
length of 8, a CRC-32 of 4 and its data; then the SHA-256 of all before it. Sections: HEAD (JSON), CODE, WGTS, HOST.
"""

import dataclasses
import functools
import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Shape

from .isa import (
    CONSTANT_VECTORS,
    DATA_BASES,
    FORMATS,
    INSTRUCTION_BYTES,
    TABLE_BYTES,
    Base,
    Mode,
    Opcode,
    Stream,
)
from .params import BANKS, Parameters

__all__ = [
    "STREAM_ALIGNMENT", "AcceleratorRun", "Fields", "HostStep", "HostTensor", "LayerInfo", "OnChipImage", "Program",
    "ProgramError", "TensorInfo", "check_fields", "decode", "encode", "minimum_period", "resolve_wait", "stream_bytes",
    "tile_rows", "verify_program",
]  # fmt: skip

Fields = dict[str, Any]
"""An instruction's fields by name, without ``opcode`` and the bits that must be zero. Enumerations are members."""

MAGIC = b"\x89TWP\r\n\x1a\n"
VERSION = 1
STREAM_ALIGNMENT = 16
"""A WEIGHTS stream starts at a multiple of this many bytes; the base registers are multiples of it too."""

_ZERO_FIELDS = ("reserved", "unused")
_SECTIONS = (b"HEAD", b"CODE", b"WGTS", b"HOST")
_SECTION = struct.Struct("<4sQI")


class ProgramError(ValueError):
    """A file is not a program, or a program is not one that an accelerator can run. One line."""


# --- Instructions -------------------------------------------------------------------------------------------


@functools.cache
def _fields(opcode: Opcode) -> dict[str, tuple[int, int, bool, type | None]]:
    """Offset and width in bits, signedness and enumeration of every field of an instruction."""
    layout = FORMATS[opcode]
    result = {}
    for name, shape in layout.members.items():
        cast = Shape.cast(shape)
        result[name] = (layout[name].offset, cast.width, cast.signed, shape if isinstance(shape, type) else None)
    return result


def encode(opcode: Opcode, **fields: Any) -> bytes:
    """One instruction of 64 bytes. Every field of the opcode's layout must be given, save `reserved` and `unused`.

    Raises ``ValueError`` naming an unknown or missing field, or one whose value does not fit its bits.
    """
    layout = _fields(opcode)
    settable = [name for name in layout if name not in ("opcode", *_ZERO_FIELDS)]
    if unknown := [name for name in fields if name not in settable]:
        raise ValueError(f"{unknown[0]}: no such field in {opcode.name}")
    if missing := [name for name in settable if name not in fields]:
        raise ValueError(f"{missing[0]}: missing field of {opcode.name}")
    bits = opcode.value << layout["opcode"][0]
    for name in settable:
        offset, width, is_signed, enumeration = layout[name]
        value = fields[name]
        if enumeration is not None:
            try:
                value = enumeration(value).value
            except ValueError:
                raise ValueError(f"{name}: {value!r} is not a {enumeration.__name__}") from None
        if isinstance(value, float):
            raise ValueError(f"{name}: {value!r} is not an integer")
        value = int(value)
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if is_signed else (0, (1 << width) - 1)
        if not low <= value <= high:
            raise ValueError(f"{name}: {value} is not {low} to {high}")
        bits |= (value & ((1 << width) - 1)) << offset
    return bits.to_bytes(INSTRUCTION_BYTES, "little")


def decode(instruction: bytes) -> tuple[Opcode, Fields]:
    """The opcode and the fields of one instruction; enumerations as members, signed fields as negative integers.

    Raises ``ValueError`` for a wrong length, an unknown opcode or enumeration value, and for bits that must be zero.
    """
    if len(instruction) != INSTRUCTION_BYTES:
        raise ValueError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(instruction)}")
    bits = int.from_bytes(instruction, "little")
    try:
        opcode = Opcode(bits & 15)
    except ValueError:
        raise ValueError(f"opcode: {bits & 15} is not an Opcode") from None
    fields: Fields = {}
    for name, (offset, width, is_signed, enumeration) in _fields(opcode).items():
        value: Any = (bits >> offset) & ((1 << width) - 1)
        if name in _ZERO_FIELDS:
            if value:
                raise ValueError(f"{name}: bits of {opcode.name} that must be zero are not")
        elif name != "opcode":
            if is_signed and value >> (width - 1):
                value -= 1 << width
            if enumeration is not None:
                try:
                    value = enumeration(value)
                except ValueError:
                    raise ValueError(f"{name}: {value} is not a {enumeration.__name__}") from None
            fields[name] = value
    return opcode, fields


# --- Tables -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in external memory: row-major bytes (NHWC), little-endian, at `offset` from the base register.

    `scale` is a real number per unit of the integer (None if the tensor is not quantized).
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


@dataclass(frozen=True)
class HostTensor:
    """A tensor that only the host sees: between host steps, an input or output of the model, or a constant (`data`)."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int = 0
    data: bytes | None = None


@dataclass(frozen=True)
class HostStep:
    """An operator that runs on the host in numpy; `parameters` are JSON values, the rest tensor names."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", json.loads(json.dumps(self.parameters)))


@dataclass(frozen=True)
class AcceleratorRun:
    """One run of the accelerator, from a start to an END: it reads the program's inputs and writes its outputs."""


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
    """

    name: str
    op: str
    where: str
    macs: int
    output: str
    fused_into: str | None = None
    first_instruction: int | None = None
    last_instruction: int | None = None


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything that it takes to run a network on an accelerator of these parameters.

    `instructions` is a blob of 64-byte instructions, `weights` the read-only region behind ``Base.WEIGHTS``,
    `scratch_bytes` the size of the one behind ``Base.SCRATCH``. `inputs` and `outputs` are the accelerator's, in
    external memory; `model_inputs` and `model_outputs` name the model's, in its order, among those and `host_tensors`.
    `tensors` has every tensor that the program stores on chip, `steps` the order of host operators and the run.
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

    def __len__(self) -> int:
        """The number of instructions."""
        return len(self.instructions) // INSTRUCTION_BYTES

    def decoded(self) -> Iterator[tuple[Opcode, Fields]]:
        """The instructions in order. Raises `ProgramError` at one that cannot be decoded."""
        if (size := len(self.instructions)) % INSTRUCTION_BYTES:
            raise ProgramError(f"instructions: {size} bytes are not a multiple of {INSTRUCTION_BYTES}")
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
        head["steps"] = [dataclasses.asdict(step) if isinstance(step, HostStep) else None for step in self.steps]
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
            fingerprint = values.pop("fingerprint")
            params = Parameters.from_json(json.dumps(values.pop("params")))
            tables = {"inputs": TensorInfo, "outputs": TensorInfo, "tensors": OnChipImage, "layers": LayerInfo}
            for name, kind in tables.items():
                values[name] = tuple(kind(**_tuples(row)) for row in values[name])
            for name in ("model_inputs", "model_outputs"):
                values[name] = tuple(values[name])
            host_tensors, at = [], 0
            for row in values.pop("host_tensors"):
                size = row.pop("data")
                host_tensors.append(HostTensor(**_tuples(row), data=None if size is None else host[at : at + size]))
                at += size or 0
            steps = values["steps"]
            values["steps"] = tuple(AcceleratorRun() if row is None else HostStep(**_tuples(row)) for row in steps)
            program = cls(params=params, instructions=code, weights=weights, host_tensors=tuple(host_tensors), **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProgramError(f"the program's header is not understood: {error}") from None
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


def _nbytes(tensor: TensorInfo | HostTensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize


def _plain(value: Any) -> Any:
    """JSON for what the tables hold: enumerations by name, dataclasses as objects."""
    if isinstance(value, Base):
        return value.name
    return dataclasses.asdict(value)


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table as its dataclass has it."""
    row = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    if "base" in row:
        row["base"] = Base[row["base"]]
    return row


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


# --- Legality -----------------------------------------------------------------------------------------------


def resolve_wait(wait: int, earlier: int) -> int:
    """The count, 0 to `earlier`, that a `wait_*` field stands for in an instruction behind `earlier` such tokens.

    Raises ``ValueError`` if the token points forward.
    """
    behind = (earlier - wait) % (1 << 16)
    if behind >= 1 << 15 or behind > earlier:
        raise ValueError(f"waits for {wait}, but only {earlier} came before")
    return earlier - behind


def minimum_period(fields: Fields) -> int:
    """Steps that an output row of a depthwise COMPUTE takes at least (architecture: Depthwise mode)."""
    span = (fields["out_cols"] - 1) * fields["stride_x"]
    period = span + 1
    for segment in range(fields["taps_x"]):
        first = fields["x"] + segment * fields["tap_x_cols"]
        last = min(fields["width"] - 1, first + span + fields["group"] - 1)
        period = max(period, last - max(0, first) + 1)
    return period


def tile_rows(fields: Fields) -> tuple[int, ...]:
    """Rows of the weight tiles that a block of a COMPUTE takes, in order."""
    if fields["mode"] is Mode.PACKED:
        chunks = (fields["rows"],) * (fields["taps_y"] - 1) + (fields["last_rows"],)
        return tuple(rows for rows in chunks for _ in range(fields["taps_x"]))
    tiles = (fields["rows"],) * (fields["channels"] - 1) + (fields["last_rows"],)
    return tiles * (fields["taps_y"] * fields["taps_x"])


def check_fields(opcode: Opcode, fields: Fields, params: Parameters) -> None:
    """Raise ``ValueError`` naming the field if an accelerator of these parameters cannot run the instruction."""
    checks: dict[Opcode, Callable[[Fields, Parameters], None]] = {
        Opcode.LOAD: _check_transfer,
        Opcode.STORE: _check_transfer,
        Opcode.WEIGHTS: _check_weights,
        Opcode.COMPUTE: _check_compute,
    }
    if opcode in checks:
        checks[opcode](fields, params)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _at_least_one(fields: Fields, *names: str) -> None:
    for name in names:
        _require(fields[name] >= 1, f"{name}: {fields[name]} is not at least 1")


def _check_transfer(fields: Fields, params: Parameters) -> None:
    _require(fields["base"] in DATA_BASES, f"base: {fields['base'].name} holds no data")
    _at_least_one(fields, "run_bytes", "runs", "rows", "width", "channels")
    size = fields["rows"] * fields["width"] * fields["channels"]
    run_bytes = fields["run_bytes"] * fields["runs"]
    _require(run_bytes == size, f"run_bytes: runs hold {run_bytes} bytes, the image {size}")
    for name in ("address", "row_step"):
        _require(fields[name] % params.units == 0, f"{name}: {fields[name]} is not a multiple of {params.units} units")
    vectors = fields["width"] * -(-fields["channels"] // params.vector)
    last = (fields["bank"] + fields["rows"] - 1) // BANKS * fields["row_step"] + vectors * params.units
    end = fields["address"] + last
    size = params.bank_words * params.units
    _require(end <= size, f"address: the image ends at unit {end} of a bank of {size}")


def stream_bytes(fields: Fields, params: Parameters) -> int:
    """Bytes of the stream that a WEIGHTS instruction's fields describe."""
    if fields["stream"] is Stream.TABLES:
        return TABLE_BYTES
    tiles = fields["groups"] * ((fields["tiles"] - 1) * fields["rows"] + fields["last_rows"])
    return fields["blocks"] * (CONSTANT_VECTORS + tiles) * params.cols


def _check_weights(fields: Fields, params: Parameters) -> None:
    _require(fields["base"] in DATA_BASES, f"base: {fields['base'].name} holds no data")
    aligned = fields["offset"] % STREAM_ALIGNMENT == 0
    _require(aligned, f"offset: {fields['offset']} is not a multiple of {STREAM_ALIGNMENT}")
    if fields["stream"] is Stream.TILES:
        _at_least_one(fields, "blocks", "groups", "tiles", "rows", "last_rows")
        for name in ("rows", "last_rows"):
            _require(fields[name] <= params.rows, f"{name}: {fields[name]} is more than {params.rows}")
    else:
        _require(params.residual, "stream: TABLES needs an accelerator with `residual`")
    size = stream_bytes(fields, params)
    _require(fields["bytes"] == size, f"bytes: {fields['bytes']}, but the stream has {size}")


def _check_compute(fields: Fields, params: Parameters) -> None:
    _at_least_one(
        fields, "blocks", "taps_y", "taps_x", "channels", "out_rows", "out_cols", "rows", "last_rows", "stride_y",
        "stride_x", "height", "width",
    )  # fmt: skip
    for name in ("rows", "last_rows"):
        _require(fields[name] <= params.rows, f"{name}: {fields[name]} is more than {params.rows}")
    for low, high in (("minimum", "maximum"), ("res_minimum", "res_maximum")):
        _require(fields[low] <= fields[high], f"{low}: {fields[low]} is more than {high}, {fields[high]}")
    passes = fields["taps_y"] * fields["taps_x"] * fields["channels"]
    size = fields["out_rows"] * fields["out_cols"]
    _require(
        passes == 1 or size <= params.accumulator_depth,
        f"out_rows: {size} pixels in {passes} passes exceed the accumulator's depth of {params.accumulator_depth}",
    )
    _require(not fields["residual"] or params.residual, "residual: the accelerator has no tables")
    if fields["mode"] is Mode.DEPTHWISE:
        _check_depthwise(fields, params)
    elif fields["mode"] is Mode.PACKED:
        _check_packed(fields, params)


def _check_depthwise(fields: Fields, params: Parameters) -> None:
    _require(params.depthwise, "mode: the accelerator has no depthwise mode")
    _require(fields["channels"] == 1, f"channels: {fields['channels']} in depthwise mode")
    _at_least_one(fields, "group")
    rows, group = fields["rows"], fields["group"]
    _require(fields["last_rows"] == rows, f"last_rows: {fields['last_rows']} is not rows, {rows}, in depthwise mode")
    ports = BANKS - 1 if fields["residual"] else BANKS
    _require(rows % group == 0 and rows // group <= ports, f"group: {rows} rows are not 1 to {ports} groups of {group}")
    period = minimum_period(fields)
    _require(fields["period"] >= period, f"period: {fields['period']} is less than {period}")
    _require(fields["x"] >= -15, f"x: lead of {-fields['x']} is more than 15")


def _check_packed(fields: Fields, params: Parameters) -> None:
    _require(params.packed, "mode: the accelerator has no packed mode")
    _require(fields["channels"] == 1, f"channels: {fields['channels']} in packed mode")
    _require(not fields["residual"], "residual: not in packed mode")
    _at_least_one(fields, "group", "x_step")
    for name in ("group", "x_step"):
        _require(fields[name] <= params.vector, f"{name}: {fields[name]} is more than {params.vector}")
    for name in ("address", "row_step"):
        _require(fields[name] % params.units == 0, f"{name}: {fields[name]} is not a multiple of {params.units} units")
    rows, group = fields["rows"], fields["group"]
    _require(
        fields["last_rows"] == rows or (fields["last_rows"] < rows and fields["taps_x"] == 1),
        f"last_rows: {fields['last_rows']} with rows of {rows} and {fields['taps_x']} segments",
    )
    for chunk in range(fields["taps_y"]):
        size = fields["last_rows"] if chunk == fields["taps_y"] - 1 else rows
        touched = (chunk * rows + size - 1) // group - chunk * rows // group + 1
        _require(touched <= BANKS, f"group: chunk {chunk} touches {touched} kernel rows")


def verify_program(program: Program) -> None:
    """Raise `ProgramError` naming the instruction if the program is not one that its accelerator can run.

    Checked: fields, memory regions, END, tokens (they point backwards), and that the weight stream brings what each
    COMPUTE takes. What lies in the scratchpad at the time is checked by `sim/hazards.py` and the interpreter.
    """
    counts = dict.fromkeys((Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE), 0)
    blocks: deque[tuple[int, ...]] = deque()
    tables = ended = False
    for index, (opcode, fields) in enumerate(program.decoded()):
        try:
            _require(not ended, "comes after END")
            for counted in counts:
                name = f"wait_{counted.name.lower()}"
                try:
                    resolve_wait(fields[name], counts[counted])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            check_fields(opcode, fields, program.params)
            if opcode in (Opcode.LOAD, Opcode.STORE, Opcode.WEIGHTS):
                _check_region(opcode, fields, program)
            if opcode is Opcode.WEIGHTS and fields["stream"] is Stream.TILES:
                tiles = (fields["rows"],) * (fields["tiles"] - 1) + (fields["last_rows"],)
                blocks += [tiles * fields["groups"]] * fields["blocks"]
            elif opcode is Opcode.WEIGHTS:
                tables = True
            elif opcode is Opcode.COMPUTE:
                _require(tables or not fields["residual"], "residual: no TABLES came before")
                wanted = tile_rows(fields)
                for _ in range(fields["blocks"]):
                    _require(bool(blocks), "the weight stream is empty")
                    _require(blocks.popleft() == wanted, "the weight stream brings other tiles than the passes take")
            ended = opcode is Opcode.END
        except ValueError as error:
            raise ProgramError(f"instruction {index} ({opcode.name}): {error}") from None
        if opcode in counts:
            counts[opcode] += 1
    if not ended:
        raise ProgramError("the last instruction is not END")
    if blocks:
        raise ProgramError(f"{len(blocks)} blocks of the weight stream are left over")
    if sum(isinstance(step, AcceleratorRun) for step in program.steps) != 1:
        raise ProgramError("steps: there must be exactly one run of the accelerator")


def _check_region(opcode: Opcode, fields: Fields, program: Program) -> None:
    size = program.region_bytes(fields["base"])
    start = end = fields["offset"]
    if opcode is Opcode.WEIGHTS:
        end += fields["bytes"]
    else:
        span = (fields["runs"] - 1) * fields["run_pitch"]
        start, end = start + min(0, span), end + max(0, span) + fields["run_bytes"]
        _require(opcode is Opcode.LOAD or fields["base"] is not Base.WEIGHTS, "base: WEIGHTS is read-only")
    region = f"{fields['base'].name} of {size} bytes"
    _require(start >= 0 and end <= size, f"offset: bytes {start} to {end} are not in {region}")
