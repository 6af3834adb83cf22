"""Operators that cut and join tensors, as transfers: out to external memory and back, in runs of bytes."""

import math

import numpy as np

from ..sim import operators as golden
from .ir import Concatenation, Operator, ResizeNearestNeighbor, Slice, Split, StridedSlice, Tensor
from .layer import WHOLE, Move, Runs
from .lower_base import Tensors, refused

__all__ = ["MOVES", "enlargement", "moves"]

MOVES = Concatenation | Slice | Split | StridedSlice | ResizeNearestNeighbor

_MOST_RUNS = (1 << 16) - 1
_MOST_BYTES = (1 << 24) - 1


def moves(operator: MOVES, tensors: Tensors) -> tuple[Move, ...]:
    """The moves; images are named by their tensors, and one between two moves by its operator.

    Raises `UnsupportedError` for an operator whose elements are no equal runs.
    """
    for name in (*operator.inputs, *operator.outputs):
        if tensors[name].dtype not in ("int8", "uint8"):
            raise refused(operator, f"tensor {name!r} is {tensors[name].dtype}", "it runs on the host")
    found: tuple[Move, ...]
    match operator:
        case Concatenation():
            found = (_joined(operator, tensors),)
        case Split():
            source = tensors[operator.input]
            edges = np.cumsum([0, *operator.sizes])
            found = tuple(
                _part(operator, source, tensors[name], _only(operator.axis, int(edge), source.shape), (1,) * len(source.shape), (
                    *source.shape[: operator.axis], size, *source.shape[operator.axis + 1 :]
                ))
                for name, edge, size in zip(operator.outputs, edges, operator.sizes, strict=False)
            )  # fmt: skip
        case Slice():
            source = tensors[operator.input]
            ones = (1,) * len(source.shape)
            found = (_part(operator, source, tensors[operator.output], operator.begin, ones, operator.size),)
        case StridedSlice():
            source = tensors[operator.input]
            cut = (operator.begin, operator.strides, operator.size)
            found = (_part(operator, source, tensors[operator.output], *cut),)
        case ResizeNearestNeighbor():
            found = _enlarged(operator, tensors)
    sizes = {name: tensors[name].size for name in (*operator.inputs, *operator.outputs)}
    for move in found:
        sizes.setdefault(move.output, move.size)
        for runs, size in [(move.load, sizes[move.output])] + [
            (runs, sizes[name]) for runs, name in zip(move.stores, move.images, strict=True)
        ]:
            if runs.count > _MOST_RUNS or max(size // runs.count, abs(runs.pitch)) > _MOST_BYTES:
                raise refused(operator, f"{runs.count} runs are more than an instruction holds", "it runs on the host")
    return found


def _joined(operator: Concatenation, tensors: Tensors) -> Move:
    parts, output = [tensors[name] for name in operator.parts], tensors[operator.output]
    if any(part.quantization != output.quantization or part.dtype != output.dtype for part in parts):
        raise refused(operator, "its parts are quantized otherwise than the output", "it runs on the host")
    outer = math.prod(output.shape[: operator.axis])
    sizes = [part.size // outer for part in parts]
    pitch = sum(sizes)
    stores = tuple(Runs(outer, pitch, int(offset)) for offset in np.cumsum([0, *sizes[:-1]]))
    return Move(operator.name, operator.parts, output.name, stores, WHOLE, output.size)


def _only(axis: int, begin: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(begin if dimension == axis else 0 for dimension in range(len(shape)))


def _part(
    operator: Operator,
    source: Tensor,
    output: Tensor,
    begin: tuple[int, ...],
    strides: tuple[int, ...],
    size: tuple[int, ...],
) -> Move:
    """Elements of a tensor that lie in equal runs, equally far apart."""
    pitches = [math.prod(source.shape[axis + 1 :]) for axis in range(len(size))]
    offset = sum(first * pitch for first, pitch in zip(begin, pitches, strict=True))
    run, count, pitch = 1, 1, 0
    for axis in reversed(range(len(size))):
        step = strides[axis] * pitches[axis]
        if size[axis] == 1:
            continue
        if count == 1 and step == run:
            run *= size[axis]
        elif count == 1 or step == count * pitch:
            count, pitch = count * size[axis], pitch if count > 1 else step
        else:
            raise refused(operator, "its elements do not lie equally far apart", "it runs on the host")
    return Move(operator.name, (source.name,), output.name, (WHOLE,), Runs(count, pitch, offset), source.size)


def enlargement(operator: ResizeNearestNeighbor, tensors: Tensors) -> tuple[int, int]:
    """How often each row and each column of pixels stands in the output; `UnsupportedError` if not all equally often."""
    factors = []
    for axis in range(2):
        before, after = tensors[operator.input].shape[1 + axis], operator.size[axis]
        line = np.arange(before).reshape(1, -1, 1, 1)
        size, options = (after, 1), (operator.align_corners, operator.half_pixel_centers)
        found = golden.resize_nearest_neighbor(line, size=size, align_corners=options[0], half_pixel_centers=options[1])
        if after % before or (found.ravel() != np.repeat(np.arange(before), after // before)).any():
            raise refused(operator, f"it does not repeat each of {before} pixels as often, for {after}", "it runs on the host")
        factors.append(after // before)
    return factors[0], factors[1]


def _enlarged(operator: ResizeNearestNeighbor, tensors: Tensors) -> tuple[Move, ...]:
    """Each pixel several times, side by side; then each row of these, one below the other."""
    rows, columns = enlargement(operator, tensors)
    batch, height, width, channels = tensors[operator.input].shape
    wide = columns * tensors[operator.input].size
    line = columns * width * channels
    between = f"{operator.name} wide"
    across = tuple(Runs(batch * height * width, columns * channels, channels * step) for step in range(columns))
    down = tuple(Runs(batch * height, rows * line, line * step) for step in range(rows))
    return (
        Move(operator.name, (operator.input,) * columns, between, across, WHOLE, wide),
        Move(operator.name, (between,) * rows, operator.output, down, WHOLE, rows * wide),
    )
