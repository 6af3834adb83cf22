"""Operators that cut and join tensors, as transfers: out to external memory and back, in runs of bytes."""

import math

import numpy as np

from .ir import Concatenation, Operator, Slice, Split, StridedSlice, Tensor
from .layer import WHOLE, Move, Runs
from .lower_base import Tensors, refused

__all__ = ["MOVES", "moves"]

MOVES = Concatenation | Slice | Split | StridedSlice

_MOST_RUNS = (1 << 16) - 1
_MOST_BYTES = (1 << 24) - 1


def moves(operator: MOVES, tensors: Tensors) -> tuple[Move, ...]:
    """A move for each output; images are named by their tensors. Raises `UnsupportedError` for one that is no such runs."""
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
    for move in found:
        for runs, size in [(move.load, tensors[move.output].size)] + [
            (runs, tensors[name].size) for runs, name in zip(move.stores, move.images, strict=True)
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
