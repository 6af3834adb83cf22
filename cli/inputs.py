"""Cases for a network: from a file, or random; and its answers as a file."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .errors import CommandError, cannot_read

__all__ = ["Cases", "InputSpec", "random_cases", "read_cases", "stack"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class InputSpec:
    """One input of a network. `reach` are the real numbers that the quantization right behind a float input can hold."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    reach: tuple[float, float] | None = None

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Cases:
    """Inputs, one dictionary by tensor name per case.

    `axis` says how they were given, and so how outputs are: "none" for a single case, "added" for cases along an
    axis in front of the tensor's, "batch" for cases along the tensor's own first axis of length 1.
    """

    cases: tuple[dict[str, Array], ...]
    axis: str = "none"


def random_cases(specs: Sequence[InputSpec], seed: int = 1) -> Cases:
    """One case of uniformly random numbers: integers over the whole range of their type, floats over their `reach`."""
    random = np.random.default_rng(seed)
    case = {}
    for spec in specs:
        if spec.reach is not None:
            case[spec.name] = random.uniform(*spec.reach, spec.shape).astype(spec.dtype)
            continue
        if not np.issubdtype(np.dtype(spec.dtype), np.integer):
            raise CommandError(f"input {spec.name!r} is {spec}, not quantized at once: give it with --input")
        limits = np.iinfo(spec.dtype)
        case[spec.name] = random.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True)
    return Cases((case,))


def read_cases(path: Path, specs: Sequence[InputSpec]) -> Cases:
    """The cases in a .npy file (for one input) or a .npz file with input_0, input_1, ... Raises `CommandError`."""
    arrays = _read_arrays(path, len(specs))
    found = [_split(path, array, spec) for array, spec in zip(arrays, specs, strict=True)]
    counts = {len(cases) for cases, _ in found}
    axes = {axis for _, axis in found}
    if len(counts) > 1 or len(axes) > 1:
        shapes = ", ".join(f"input_{index} {list(array.shape)}" for index, array in enumerate(arrays))
        raise CommandError(f"{path}: the inputs do not hold equally many cases: {shapes}")
    names = [spec.name for spec in specs]
    cases = zip(*(cases for cases, _ in found), strict=True)
    return Cases(tuple(dict(zip(names, case, strict=True)) for case in cases), axes.pop())


def stack(values: Sequence[Array], axis: str) -> Array:
    """An output of every case as one array, along the axis that the inputs had."""
    if axis == "none":
        return values[0]
    if axis == "batch" and values[0].ndim and values[0].shape[0] == 1:
        return np.concatenate(values)
    return np.stack(values)


def _read_arrays(path: Path, count: int) -> list[Array]:
    try:
        with path.open("rb") as file:
            loaded = _load(path, file)
    except OSError as error:
        raise cannot_read(path, error) from None
    if isinstance(loaded, dict):
        if count == 1 and "input_0" not in loaded and "input" in loaded:
            return [loaded["input"]]
        wanted = [f"input_{index}" for index in range(count)]
        if missing := [name for name in wanted if name not in loaded]:
            raise CommandError(f"{path}: has no {missing[0]}; the network takes {', '.join(wanted)}")
        return [loaded[name] for name in wanted]
    if count != 1:
        raise CommandError(f"{path}: the network has {count} inputs; give a .npz with input_0 to input_{count - 1}")
    return [loaded]


def _load(path: Path, file: BinaryIO) -> Array | dict[str, Array]:
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, KeyError, SyntaxError, MemoryError, zipfile.BadZipFile, zlib.error):
        raise CommandError(f"{path}: not a .npy or .npz file of plain arrays") from None


def _split(path: Path, array: Array, spec: InputSpec) -> tuple[list[Array], str]:
    """The cases in an array, and along which axis they lie."""
    if array.dtype != np.dtype(spec.dtype):
        raise CommandError(f"{path}: the type is {array.dtype}, and input {spec.name!r} is {spec}")
    array = np.ascontiguousarray(array).reshape(array.shape)
    if array.shape == spec.shape:
        return [array], "none"
    if array.shape[1:] == spec.shape and len(array):
        return list(array), "added"
    if spec.shape[:1] == (1,) and array.shape[1:] == spec.shape[1:] and len(array):
        return [array[index : index + 1] for index in range(len(array))], "batch"
    raise CommandError(
        f"{path}: the shape is {list(array.shape)}, and input {spec.name!r} is {spec}: "
        "give one case of that shape, or several along a first axis"
    )
