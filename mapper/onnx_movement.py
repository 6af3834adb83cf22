"""Operators of ONNX that move elements. Transpose and Reshape only change how a tensor is seen."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .ir import Concatenation, DepthToSpace, Gather, Pad, Slice, SpaceToDepth, StridedSlice
from .onnx_site import HeldType, NodeSite
from .onnx_values import Constant, Held, Pending, Real, Stored, Target, Value
from .onnx_window import NHWC

__all__ = ["MOVEMENT_READERS", "reshaped", "squeezed", "transposed", "unsqueezed"]

Shape = tuple[int, ...]


def reshaped(site: NodeSite, shape: Shape) -> Shape:
    """The shape that a Reshape gives to an input of this shape."""
    wanted = list(site.constants(1, "shape"))
    if not site.integer("allowzero", 0):
        for axis, length in enumerate(wanted):
            if length == 0:
                if axis >= len(shape):
                    site.broken(f"its shape {wanted} copies dimension {axis} of an input of shape {shape}")
                wanted[axis] = shape[axis]
    if wanted.count(-1) == 1:
        known = math.prod(length for length in wanted if length != -1)
        wanted[wanted.index(-1)] = math.prod(shape) // known if known > 0 else 0
    if any(length < 0 for length in wanted) or math.prod(wanted) != math.prod(shape):
        site.broken(f"its shape {wanted} does not hold the elements of {shape}")
    return tuple(wanted)


def _flattened(site: NodeSite, shape: Shape) -> Shape:
    axis = site.integer("axis", 1)
    axis = axis if axis == len(shape) else site.axis(axis, len(shape))
    return math.prod(shape[:axis]), math.prod(shape[axis:])


def squeezed(site: NodeSite, shape: Shape) -> Shape:
    """The shape that a Squeeze gives to an input of this shape."""
    given = site.constants(1, "axes") if site.has_input(1) else None
    axes = {axis for axis, length in enumerate(shape) if length == 1}
    if given is not None:
        axes = {site.axis(axis, len(shape)) for axis in given}
    if any(shape[axis] != 1 for axis in axes):
        site.broken(f"it squeezes the axes {sorted(axes)} of an input of shape {shape}")
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


def unsqueezed(site: NodeSite, shape: Shape) -> Shape:
    """The shape that an Unsqueeze gives to an input of this shape."""
    given = site.constants(1, "axes")
    rank = len(shape) + len(given)
    axes = {site.axis(axis, rank) for axis in given}
    if len(axes) != len(given) or rank > 16:
        site.broken(f"its axes {given} are not different axes of {rank} dimensions")
    left = iter(shape)
    return tuple(1 if axis in axes else next(left) for axis in range(rank))


def _view(rule: Callable[[NodeSite, Shape], Shape]) -> Callable[[NodeSite], Value]:
    """A reader of an operator that gives the same elements another shape."""

    def read(site: NodeSite) -> Value:
        def step(held: HeldType) -> HeldType:
            return replace(held, shape=rule(site, held.shape))

        return site.move(0, step)

    return read


def transposed(site: NodeSite, rank: int) -> tuple[int, ...]:
    """The permutation of a Transpose."""
    permutation = site.integers("perm", tuple(reversed(range(rank))))
    if sorted(permutation) != list(range(rank)):
        site.broken(f"its permutation {permutation} does not fit {rank} dimensions")
    return permutation


def _read_transpose(site: NodeSite) -> Value:
    def step(held: HeldType) -> HeldType:
        held = site.settled(held)
        permutation = transposed(site, len(held.shape))
        order = tuple(permutation.index(axis) for axis in held.order)
        shape = tuple(held.shape[axis] for axis in permutation)
        return replace(held, order=order, plain_shape=shape, shape=shape)

    return site.move(0, step)


def _read_concat(site: NodeSite) -> Value:
    values = [site.value(position) for position in range(len(site.node.input))]
    if not values:
        site.broken("it has no parts")
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, Stored) for value in values):
        parts = [site.held(position) for position in range(len(values))]
        if len({part.unsigned for part in parts if isinstance(part, Stored)}) > 1:
            site.broken("its parts have different types")
        return _noted(site, _joined(site, parts, lambda names, fields: site.like(Concatenation, names[0], **fields)))
    reals = [value for value in values if isinstance(value, Real)]
    if len(reals) == len(values):
        plain = [site.plain(real) if _is_on_grid(site, real) else None for real in reals]
        found = [real for real in plain if real is not None]
        if len(found) == len(values) and len({site.quantization(real) for real in found}) == 1:
            return _noted(site, _joined(site, found, lambda names, fields: site.like(Concatenation, names[0], **fields)))

    def emit(target: Target) -> Held:
        parts = [_quantized(site, position, target) for position in range(len(values))]
        return _joined(site, parts, lambda names, fields: site.add(Concatenation, target, **fields))

    return site.pending(emit)


def _noted(site: NodeSite, held: Any) -> Value:
    site.note(held)
    value: Value = held
    return value


def _is_on_grid(site: NodeSite, real: Real) -> bool:
    quantization = site.builder.tensors[real.tensor].quantization
    if quantization is None:
        return False
    return np.array_equal(Target("", quantization).store(real.values).view(np.uint8), np.arange(256))


def _quantized(site: NodeSite, position: int, target: Target) -> Held:
    """A part as the target stores the whole."""
    value, part = site.value(position), replace(target, name=f"{target.name}/part{position}")
    match value:
        case Constant():
            data = part.store(np.clip(value.real, target.low, target.high).astype(np.float32))
            tensor = site.builder.constant(part.name, data, target.quantization)
            return site.result(tensor, tuple(range(data.ndim)))
        case Pending():
            low, high = (min(max(bound, target.low), target.high) for bound in (value.low, value.high))
            return value.emit(replace(part, low=low, high=high))
        case _:
            real = site.real(position)
            limited = replace(real, values=np.clip(real.values, np.float32(target.low), np.float32(target.high)))
            return replace(limited, tensor=site.tabled(limited, part))


def _joined(site: NodeSite, parts: list[Any], join: Callable[[list[str], dict[str, Any]], str]) -> Any:
    settled = [site.settled(part) for part in parts]
    ranks = {len(part.shape) for part in settled}
    if len(ranks) != 1:
        site.broken(f"its parts have the shapes {', '.join(str(part.shape) for part in settled)}")
    axis, order = site.axis(site.integer("axis"), ranks.pop()), settled[0].order
    names = [site.ordered(part, order) for part in settled]
    tensor = join(names, {"parts": tuple(names), "axis": order.index(axis)})
    return site.moved(settled[0], tensor, order)


def _read_pad(site: NodeSite) -> Value:
    if site.text("mode", "constant") != "constant":
        site.unsupported(f"its mode is {site.text('mode', '')}", "pad with a constant")
    value = 0.0
    if site.has_input(2):
        filler = site.constant(2, "padding value").real
        if filler.size != 1:
            site.broken(f"its padding value has the shape {filler.shape}")
        value = float(filler.reshape(()))
    pads = site.constants(1, "pads")

    def step(held: HeldType) -> HeldType:
        settled = site.settled(held)
        rank = len(settled.shape)
        axes = [site.axis(axis, rank) for axis in site.constants(3, "axes")] if site.has_input(3) else list(range(rank))
        if len(pads) != 2 * len(axes):
            site.broken(f"its pads {pads} do not fit an input of shape {settled.shape}")
        if min(pads, default=0) < 0:
            site.unsupported(f"its pads {pads} are negative", "cut the tensor by a Slice instead")
        ends = dict.fromkeys(range(rank), (0, 0)) | {
            axis: (pads[place], pads[place + len(axes)]) for place, axis in enumerate(axes)
        }
        padding = tuple(ends[axis] for axis in settled.order)
        fields = {"input": settled.tensor, "padding": padding, "value": _filler(site, settled, value)}
        return site.moved(settled, site.like(Pad, settled.tensor, **fields), settled.order)

    return site.move(0, step)


def _filler(site: NodeSite, held: Held, value: float) -> int:
    """The stored number that stands for a padding value."""
    match held:
        case Stored():
            stored, exact = (int(value) if math.isfinite(value) else 0) - 128 * held.unsigned, value == math.trunc(value or 0)
        case Real():
            places = np.flatnonzero(held.values == np.float32(value))
            exact = len(places) > 0
            stored = int(np.uint8(places[0]).view(np.int8)) if exact else 0
        case _:
            quantization = site.builder.tensors[held.tensor].quantization
            assert quantization is not None
            stored = Target("", quantization).steps(value)
            real = np.float32(stored - quantization.zero_point[0]) * np.float32(quantization.scale[0])
            exact = bool(real == np.float32(value))
    if not exact:
        site.unsupported(f"no stored number stands for its padding value {value}", "pad with 0")
    return stored


def _read_slice(site: NodeSite) -> Value:
    starts, ends = site.constants(1, "starts"), site.constants(2, "ends")
    steps = site.constants(4, "steps") if site.has_input(4) else (1,) * len(starts)

    def step(held: HeldType) -> HeldType:
        settled = site.settled(held)
        rank = len(settled.shape)
        axes = site.constants(3, "axes") if site.has_input(3) else tuple(range(len(starts)))
        if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
            site.broken(f"its starts {starts}, ends {ends}, axes {axes} and steps {steps} do not fit each other")
        ranges = [range(length) for length in settled.shape]
        for first, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
            place = site.axis(axis, rank)
            ranges[place] = range(settled.shape[place])[slice(first, end, stride)]
        return _cut(site, settled, ranges)

    return site.move(0, step)


def _cut(site: NodeSite, held: HeldType, ranges: list[range]) -> HeldType:
    """The elements at these places along each of ONNX's dimensions."""
    if any(len(places) == 0 for places in ranges):
        site.unsupported("its output is empty", "leave it out")
    picked = [ranges[axis] for axis in held.order]
    begin, size = tuple(places[0] for places in picked), tuple(len(places) for places in picked)
    strides = tuple(places.step if len(places) > 1 else 1 for places in picked)
    if set(strides) == {1}:
        tensor = site.like(Slice, held.tensor, input=held.tensor, begin=begin, size=size)
    else:
        fields = {"begin": begin, "strides": strides, "size": size, "shape": size}
        tensor = site.like(StridedSlice, held.tensor, input=held.tensor, **fields)
    return site.moved(held, tensor, held.order)


def _read_split(site: NodeSite) -> tuple[Value, ...]:
    held = site.settled(site.held(0))
    axis = site.axis(site.integer("axis", 0), len(held.shape))
    count, length = len(site.node.output), held.shape[axis]
    if site.has_input(1):
        sizes = site.constants(1, "sizes")
    else:
        part = -(-length // count)
        sizes = (*(part,) * (count - 1), length - part * (count - 1))
    if len(sizes) != count or sum(sizes) != length or min(sizes) < 0:
        site.broken(f"its parts {sizes} do not make up axis {axis} of its input of shape {held.shape}")
    found: list[Value] = []
    for place, (size, name) in enumerate(zip(sizes, site.node.output, strict=True)):
        ranges = [range(extent) for extent in held.shape]
        ranges[axis] = range(sum(sizes[:place]), sum(sizes[:place]) + size)
        cut = _cut(site, held, ranges)
        site.note(cut, name)
        found.append(cut)
    return tuple(found)


def _read_gather(site: NodeSite) -> Value:
    indices = site.constant(1, "indices").data
    if not np.issubdtype(indices.dtype, np.integer):
        site.broken(f"its indices are {indices.dtype}")

    def step(held: HeldType) -> HeldType:
        settled = site.settled(held)
        rank = len(settled.shape)
        axis = site.axis(site.integer("axis", 0), rank)
        length = settled.shape[axis]
        if indices.size and not (-length <= indices.min() and indices.max() < length):
            site.broken(f"an index is outside {-length} to {length - 1}")
        found = site.builder.constant(f"{site.output}/indices", np.where(indices < 0, indices + length, indices).astype(np.int64))
        order = settled.order if indices.ndim == 1 else tuple(range(rank))
        source = site.ordered(settled, order)
        tensor = site.like(Gather, source, input=source, indices=found, axis=order.index(axis))
        return site.moved(settled, tensor, tuple(range(rank - 1 + indices.ndim)) if indices.ndim != 1 else order)

    return site.move(0, step)


def _read_blocks(site: NodeSite) -> Value:
    block = site.integer("blocksize")
    deep = site.node.op_type == "DepthToSpace"
    mode = site.text("mode", "DCR") if deep else "DCR"
    if mode not in ("DCR", "CRD"):
        site.broken(f"its mode is {mode!r}")

    def step(held: HeldType) -> HeldType:
        settled = site.settled(held)
        if len(settled.shape) != 4 or block < 1:
            site.broken(f"its blocks of {block} do not fit an input of shape {settled.shape}")
        source, channels = site.ordered(settled, NHWC), settled.shape[1]
        if mode == "CRD" and channels % block**2 == 0:
            places = np.arange(channels).reshape(-1, block**2).T.reshape(-1)
            indices = site.builder.constant(f"{site.output}/indices", places.astype(np.int64))
            source = site.like(Gather, source, input=source, indices=indices, axis=3)
        tensor = site.like(DepthToSpace if deep else SpaceToDepth, source, input=source, block=block)
        return site.moved(settled, tensor, NHWC)

    return site.move(0, step)


MOVEMENT_READERS: dict[str, Callable[[NodeSite], Value | tuple[Value, ...]]] = {
    "Reshape": _view(reshaped),
    "Flatten": _view(_flattened),
    "Squeeze": _view(squeezed),
    "Unsqueeze": _view(unsqueezed),
    "Transpose": _read_transpose,
    "Concat": _read_concat,
    "Pad": _read_pad,
    "Slice": _read_slice,
    "Split": _read_split,
    "Gather": _read_gather,
    "DepthToSpace": _read_blocks,
    "SpaceToDepth": _read_blocks,
}
