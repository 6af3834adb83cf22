"""QuantizeLinear and DequantizeLinear: where real numbers become bytes, and what waits gets its quantization.

uint8 is read as int8, 128 less, with a zero point that is 128 less too: the same real numbers.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .ir import Quantization, Quantize
from .onnx_site import NodeSite
from .onnx_values import Constant, Held, Pending, Real, Stored, Target, Value, dequantized_bytes

__all__ = ["QUANTIZE_READERS"]

Array = npt.NDArray[Any]

_BYTES = ("int8", "uint8")

_MOST_SCALE = 1e30
"""So that 256 steps are far from float32's end."""


def _read_quantize(site: NodeSite) -> Value:
    value = site.value(0)
    rank = value.data.ndim if isinstance(value, Constant) else None
    quantization, dtype = _parameters(site, rank, default="uint8")
    if dtype not in _BYTES:
        site.unsupported(f"it quantizes to {dtype}", "quantize to int8 or uint8")
    if isinstance(value, Constant):
        return _fold(site, value, quantization, dtype)
    if quantization.axis is not None:
        site.unsupported("an activation is quantized along an axis", "quantize activations as a whole tensor")
    unsigned = dtype == "uint8"
    target = Target(site.output, _signed(quantization) if unsigned else quantization)
    match value:
        case Pending():
            limited = replace(target, low=value.low, high=value.high)
            held: Held = value.emit(limited)
        case Real():
            held = replace(value, tensor=site.tabled(value, target))
        case Stored():
            if site.builder.tensors[value.tensor].dtype != "float32":
                site.broken("it quantizes what is quantized already")
            tensor = site.add(Quantize, target, input=value.tensor, table=None, half_even=True)
            held = replace(value, tensor=tensor)
        case _:
            site.no_tensor(0, value)
    stored = Stored(held.tensor, held.order, held.plain_shape, held.shape, unsigned)
    site.note(stored)
    return stored


def _fold(site: NodeSite, value: Constant, quantization: Quantization, dtype: str) -> Constant:
    shape = [1] * value.data.ndim
    if quantization.axis is not None:
        shape[quantization.axis] = -1
    scale = np.array(quantization.scale, np.float32).reshape(shape)
    point = np.array(quantization.zero_point).reshape(shape)
    limits = np.iinfo(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.nan_to_num(np.rint(value.real.astype(np.float32) / scale), posinf=1e9, neginf=-1e9).astype(np.float64)
    return Constant(np.clip(steps + point, limits.min, limits.max).astype(dtype), quantization)


def _read_dequantize(site: NodeSite) -> Value:
    value = site.value(0)
    if isinstance(value, Constant):
        quantization, dtype = _parameters(site, value.data.ndim, default=str(value.data.dtype))
        if value.quantization not in (None, quantization):
            site.broken("its input is quantized otherwise than it says")
        if dtype != str(value.data.dtype) or dtype not in (*_BYTES, "int32"):
            site.unsupported(f"it dequantizes {value.data.dtype} with a zero point of {dtype}", "use int8, uint8 or int32")
        if quantization.axis is not None and value.data.shape[quantization.axis] != len(quantization.scale):
            site.broken(
                f"{len(quantization.scale)} scales along axis {quantization.axis} do not fit the shape {value.data.shape}"
            )
        return Constant(value.data, quantization)
    held = site.held(0)
    if not isinstance(held, Stored):
        site.broken("it dequantizes real numbers")
    tensor = site.builder.tensors[held.tensor]
    was = "uint8" if held.unsigned else tensor.dtype
    quantization, dtype = _parameters(site, None, default=was)
    if dtype != was or was not in _BYTES:
        site.unsupported(f"it dequantizes {was} with a zero point of {dtype}", "quantize activations to int8 or uint8")
    if quantization.axis is not None:
        site.unsupported("an activation is quantized along an axis", "quantize activations as a whole tensor")
    if tensor.dtype == "uint8":  # The network's input, seen for the first time.
        if tensor.quantization is None:
            site.builder.requantized(tensor.name, quantization)
        elif tensor.quantization != quantization:
            site.unsupported("its input is quantized in two ways", "give each tensor one quantization")
        table = tuple(range(-128, 128))
        name = (site.index, site.kind, f"{held.tensor}/int8", "int8", _signed(quantization))
        held = replace(held, tensor=site.builder.add(Quantize, *name, input=held.tensor, table=table), unsigned=True)
    elif tensor.quantization is None:
        site.builder.requantized(tensor.name, quantization)
    point = quantization.zero_point[0] - (128 if held.unsigned else 0)
    values = dequantized_bytes(quantization.scale[0], point)
    return Real(held.tensor, held.order, held.plain_shape, held.shape, values, site.index, site.kind)


def _signed(quantization: Quantization) -> Quantization:
    """The quantization of a uint8 tensor for the same tensor as int8."""
    return replace(quantization, zero_point=tuple(point - 128 for point in quantization.zero_point))


def _parameters(site: NodeSite, rank: int | None, default: str) -> tuple[Quantization, str]:
    """Scale and zero point, which must be constants, and the stored type. `rank` is None for an activation."""
    if site.integer("block_size", 0):
        site.unsupported("it is quantized in blocks", "quantize per tensor or per channel")
    scale = site.constant(1, "scale").data
    if scale.dtype != np.float32:
        site.unsupported(f"its scale is {scale.dtype}", "use float32 scales")
    point = site.constant(2, "zero point").data if site.has_input(2) else np.zeros(scale.shape, default)
    if scale.ndim > 1 or point.size != scale.size or point.ndim > 1:
        site.broken(f"its scale and zero point have the shapes {scale.shape} and {point.shape}")
    if scale.size == 0 or not ((scale > 0) & (scale < _MOST_SCALE)).all():
        site.broken("a scale is zero, negative, no number or too large")
    if not np.issubdtype(point.dtype, np.integer):
        site.unsupported(f"it quantizes to {point.dtype}", "quantize to int8 or uint8")
    scales = tuple(float(value) for value in scale.reshape(-1))
    points = tuple(int(value) for value in point.reshape(-1))
    if scale.size == 1:
        return Quantization(scales, points), str(point.dtype)
    if rank is None:
        return Quantization(scales, points, 0), str(point.dtype)
    return Quantization(scales, points, site.axis(site.integer("axis", 1), rank)), str(point.dtype)


QUANTIZE_READERS = {"QuantizeLinear": _read_quantize, "DequantizeLinear": _read_dequantize}
