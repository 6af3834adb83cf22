"""Operators of ONNX along axes."""

import math
from collections.abc import Callable

from .ir import ArgMax, ArgMin, Mean, Quantization, Quantize, Reshape, Softmax
from .onnx_site import NodeSite
from .onnx_values import Held, Stored, Target, Value, dequantized_bytes
from .requantize import mean_factor, softmax_factors

__all__ = ["REDUCE_READERS"]

_SOFTMAX = Quantization((1 / 256,), (-128,))
"""How the integer softmax stores its result."""

_MOST_SOFTMAX = 4095


def _read_softmax(site: NodeSite) -> Value:
    source = site.settled(site.activation(0))
    rank = len(source.shape)
    axis = site.axis(site.integer("axis", -1), rank)
    if source.shape[axis] > _MOST_SOFTMAX:
        site.unsupported(f"it goes along {source.shape[axis]} elements", f"at most {_MOST_SOFTMAX} can be")
    order = (*(dimension for dimension in source.order if dimension != axis), axis)

    def emit(target: Target) -> Held:
        scale = target.quantization.scale[0]
        if scale < (1 - 1e-3) / 256:
            site.unsupported(
                f"its result is quantized with the scale {scale}, finer than 1/256", "quantize it with 1/256 or 1/255"
            )
        multiplier, shift, diff_min = softmax_factors(1.0, site.quantization(source).scale[0])
        fields = {"input": site.ordered(source, order), "multiplier": multiplier, "shift": shift, "diff_min": diff_min}
        if target.quantization == _SOFTMAX and target.clamp == (-128, 127):
            return site.result(site.add(Softmax, target, **fields), order)
        result = site.add(Softmax, Target(f"{target.name}/256", _SOFTMAX), **fields)
        table = tuple(int(entry) for entry in target.store(dequantized_bytes(1 / 256, -128).clip(target.low, target.high)))
        return site.result(site.add(Quantize, target, input=result, table=table), order)

    return site.pending(emit)


def _read_mean(site: NodeSite) -> Value:
    source = site.settled(site.activation(0))
    rank = len(source.shape)
    axes = _axes(site, rank)
    keep = bool(site.integer("keepdims", 1))
    count = math.prod(source.shape[axis] for axis in axes)
    if not axes:
        return source
    if count == 0:
        site.broken(f"its input of shape {source.shape} is empty along {axes}")
    left = [axis for axis in source.order if keep or axis not in axes]
    order = tuple(sorted(left).index(axis) for axis in left)

    def emit(target: Target) -> Held:
        if target.clamp != (-128, 127):
            site.unsupported("its result is clamped before it is quantized", "quantize it before the activation")
        if count * 255 >= 1 << 31:
            site.unsupported(f"a sum of {count} elements may leave 32 bits", "use a smaller tensor")
        multiplier, shift = mean_factor(site.quantization(source).scale[0], target.quantization.scale[0], count)
        places = tuple(sorted(source.order.index(axis) for axis in axes))
        fields = {"input": source.tensor, "axes": places, "keep_dims": keep, "multiplier": multiplier, "shift": shift}
        return site.result(site.add(Mean, target, **fields), order)

    return site.pending(emit)


def _axes(site: NodeSite, rank: int) -> tuple[int, ...]:
    """The axes of a reduction: an input since opset 18, an attribute before; all of them if there is neither."""
    given = site.constants(1, "axes") if site.has_input(1) else site.integers("axes", ())
    if not given:
        return () if site.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted({site.axis(axis, rank) for axis in given}))


def _read_extreme(site: NodeSite) -> Value:
    source = site.settled(site.activation(0))
    axis = site.axis(site.integer("axis", 0), len(source.shape))
    if site.integer("select_last_index", 0):
        site.unsupported("it wants the last of several", "export it without select_last_index")
    kind = ArgMax if site.node.op_type == "ArgMax" else ArgMin
    tensor = site.ordered(source, tuple(range(len(source.shape))))
    fields = {"input": tensor, "axis": axis}
    found = site.builder.add(kind, site.index, site.kind, site.output, "int64", None, **fields)
    if site.integer("keepdims", 1):
        shape = tuple(1 if place == axis else length for place, length in enumerate(source.shape))
        found = site.like(Reshape, found, input=found, shape=shape)
    result = site.result(found, tuple(range(len(site.builder.tensors[found].shape))))
    stored = Stored(result.tensor, result.order, result.plain_shape, result.shape)
    site.note(stored)
    return stored


REDUCE_READERS: dict[str, Callable[[NodeSite], Value]] = {
    "Softmax": _read_softmax,
    "ReduceMean": _read_mean,
    "ArgMax": _read_extreme,
    "ArgMin": _read_extreme,
}
