"""What a program's tables may say: names, shapes and places that memory and time suffice for."""

import math
from collections.abc import Iterator

import numpy as np

from .isa import DATA_BASES
from .params import BANKS
from .program import HostTensor, LayerInfo, OnChipImage, Program, ProgramError, TensorInfo

__all__ = ["MOST_BYTES", "check_tables"]

MOST_BYTES = 1 << 27
"""Of a tensor, or a region of external memory that the file does not hold."""

_MOST_NAME = 200
_MOST_DIMENSIONS = 8
_EXTERNAL = ("int8", "uint8")
_PLACES = ("accelerator", "host")
_HOST = frozenset(
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
)


def check_tables(program: Program) -> None:
    """Raise `ProgramError` naming the table and the row if a table says what cannot be."""
    try:
        _require(len(program.model) <= _MOST_NAME, f"model: a name of {len(program.model)} characters")
        _require(not set(program.model) & set("/\\\0"), f"model: {program.model!r} is not a name of a file")
        _require(0 <= program.scratch_bytes <= MOST_BYTES, f"scratch_bytes: {program.scratch_bytes} are not 0 to {MOST_BYTES}")
        for table, rows in (("inputs", program.inputs), ("outputs", program.outputs)):
            for tensor in rows:
                _check_external(tensor, f"{table}: tensor {tensor.name!r}")
        for host_tensor in program.host_tensors:
            _check_host(host_tensor, f"host_tensors: tensor {host_tensor.name!r}")
        for image in program.tensors:
            _check_image(image, program, f"tensors: tensor {image.name!r}")
        for layer in program.layers:
            _check_layer(layer, program, f"layers: layer {layer.name!r}")
        names = list(_names(program))
        twice = [name for name, after in zip(sorted(names), sorted(names)[1:], strict=False) if name == after]
        _require(not twice, f"tables: tensor {twice[:1]} stands in them twice")
        for name in program.model_inputs:
            _require(name in set(names), f"model_inputs: no table has {name!r}")
    except ValueError as error:
        raise ProgramError(str(error)) from None


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _names(program: Program) -> Iterator[str]:
    for tensor in (*program.inputs, *program.outputs, *program.host_tensors):
        yield tensor.name


def _check_shape(shape: tuple[int, ...], dtype: str, where: str, least: int = 0) -> int:
    """Bytes of the tensor."""
    fits = len(shape) <= _MOST_DIMENSIONS and all(length >= least for length in shape)
    _require(fits, f"{where}: shape {list(shape[:_MOST_DIMENSIONS])} of {len(shape)} dimensions")
    size = math.prod(max(1, length) for length in shape) * np.dtype(dtype).itemsize
    _require(size <= MOST_BYTES, f"{where}: {size} bytes are more than {MOST_BYTES}")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _check_external(tensor: TensorInfo, where: str) -> None:
    _require(tensor.dtype in _EXTERNAL, f"{where}: dtype {tensor.dtype[:20]!r} is not {' or '.join(_EXTERNAL)}")
    _require(tensor.base in DATA_BASES, f"{where}: base {tensor.base.name} holds no data")
    size = _check_shape(tensor.shape, tensor.dtype, where, 1)
    _require(0 <= tensor.offset <= MOST_BYTES - size, f"{where}: offset {tensor.offset} is not 0 to {MOST_BYTES - size}")


def _check_host(tensor: HostTensor, where: str) -> None:
    _require(tensor.dtype in _HOST, f"{where}: dtype {tensor.dtype[:20]!r} is none that the host knows")
    size = _check_shape(tensor.shape, tensor.dtype, where)
    if tensor.data is not None:
        _require(len(tensor.data) == size, f"{where}: {len(tensor.data)} bytes of data, not {size}")
    entries, points = len(tensor.scale), len(tensor.zero_point)
    _require(entries == points, f"{where}: {entries} scales, but {points} zero points")
    if tensor.axis is None:
        _require(entries <= 1, f"{where}: {entries} scales without an axis")
        return
    fits = 0 <= tensor.axis < len(tensor.shape) and tensor.shape[tensor.axis] == entries
    _require(fits, f"{where}: {entries} scales along axis {tensor.axis} do not fit the shape {list(tensor.shape)}")


def _check_image(image: OnChipImage, program: Program, where: str) -> None:
    size = program.params.activation_kib * 1024
    fits = min(image.shape) >= 1 and image.shape[0] == 1 and math.prod(image.shape) <= size
    _require(fits, f"{where}: shape {list(image.shape)} is no image in {size} bytes")
    _require(0 <= image.bank < BANKS, f"{where}: bank {image.bank}")
    for name in ("address", "row_step", "x_step"):
        value = getattr(image, name)
        _require(0 <= value < 1 << 16, f"{where}: {name} {value} is not 0 to 65535")
    first, last = image.first_instruction, image.last_instruction
    _require(0 <= first <= last < len(program), f"{where}: instructions {first} to {last} of {len(program)}")


def _check_layer(layer: LayerInfo, program: Program, where: str) -> None:
    _require(layer.where in _PLACES, f"{where}: where {layer.where[:20]!r} is not {' or '.join(_PLACES)}")
    _require(layer.macs >= 0 and layer.bound_cycles >= 0, f"{where}: negative macs or bound_cycles")
    first, last = layer.first_instruction, layer.last_instruction
    if first is not None or last is not None:
        fits = first is not None and last is not None and 0 <= first <= last < len(program)
        _require(fits, f"{where}: instructions {first} to {last} of {len(program)}")
