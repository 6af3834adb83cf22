"""Nodes of ONNX that only have constants to work on, and those that ask for shapes: folded when the model is read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from .ir import Quantization
from .onnx_movement import reshaped, squeezed, transposed, unsqueezed
from .onnx_site import NodeSite
from .onnx_values import Constant, Held

__all__ = ["CONSTANT_KINDS", "fold", "read_constant", "read_shape"]

Array = npt.NDArray[Any]

_DTYPES: dict[Any, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.BOOL: "bool",
}


def read_constant(site: NodeSite, to_array: Callable[[onnx.TensorProto, str], Array]) -> Constant:
    """A Constant node."""
    if len(site.node.attribute) != 1:
        site.broken(f"it has {len(site.node.attribute)} attributes instead of 1")
    (attribute,) = site.node.attribute
    match attribute.name:
        case "value" if attribute.type == onnx.AttributeProto.TENSOR:
            return Constant(to_array(attribute.t, site.where))
        case "value_float" | "value_floats":
            floats = attribute.f if attribute.type == onnx.AttributeProto.FLOAT else list(attribute.floats)
            return Constant(np.array(floats, np.float32))
        case "value_int" | "value_ints":
            integers = attribute.i if attribute.type == onnx.AttributeProto.INT else list(attribute.ints)
            return Constant(np.array(integers, np.int64))
    site.unsupported(f"its value is a {attribute.name}", "use a tensor")


def read_shape(site: NodeSite) -> Constant:
    """Shape and Size of a tensor whose shape is known."""
    value = site.value(0)
    if isinstance(value, Constant):
        shape = value.data.shape
    elif isinstance(value, Held):
        shape = value.shape
    else:
        site.no_tensor(0, value)
    if site.node.op_type == "Size":
        return Constant(np.array(int(np.prod(shape)), np.int64))
    start, end = site.integer("start", 0), site.integer("end", len(shape))
    return Constant(np.array(shape[start:end], np.int64))


def fold(site: NodeSite) -> Constant:
    """What a node makes of constants."""
    first = site.constant(0, "input")
    quantization = first.quantization
    if quantization is not None and site.node.op_type not in _VIEWS:
        site.unsupported("it works on a quantized constant", "fold constants before quantization")
    operands = [site.constant(place, "operand").data for place in range(len(site.node.input)) if site.has_input(place)]
    with np.errstate(all="ignore"):
        result = np.asarray(CONSTANT_KINDS[site.node.op_type](site, operands))
    site.bounded(result.shape)
    return Constant(result, None if quantization is None else _moved(site, quantization, first.data, result))


def _moved(site: NodeSite, quantization: Quantization, before: Array, after: Array) -> Quantization:
    """The same quantization of a constant that was transposed or reshaped."""
    axis = quantization.axis
    if axis is None:
        return quantization
    if site.node.op_type == "Transpose":
        axis = transposed(site, before.ndim).index(axis)
    else:  # The same elements lie in front of the axis and behind it.
        lead = int(np.prod(before.shape[:axis]))
        places = [
            place
            for place in range(after.ndim)
            if int(np.prod(after.shape[:place])) == lead and after.shape[place] == before.shape[axis]
        ]
        if not places:
            site.unsupported("it reshapes weights across the axis that they are quantized along", "quantize them afterwards")
        axis = places[0]
    return Quantization(quantization.scale, quantization.zero_point, axis)


def _filled(site: NodeSite, operands: list[Array]) -> Array:
    shape = site.bounded(tuple(int(length) for length in operands[0].reshape(-1)))
    given = site.attribute("value")
    value = np.zeros(1, np.float32) if given is None else onnx.numpy_helper.to_array(given.t)
    return np.full(shape, value.reshape(-1)[0], value.dtype)


def _sliced(site: NodeSite, operands: list[Array]) -> Array:
    data = operands[0]
    starts, ends = site.constants(1, "starts"), site.constants(2, "ends")
    axes = site.constants(3, "axes") if site.has_input(3) else tuple(range(len(starts)))
    steps = site.constants(4, "steps") if site.has_input(4) else (1,) * len(starts)
    picks = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        picks[site.axis(axis, data.ndim)] = slice(start, end, step)
    return data[tuple(picks)]


def _expanded(site: NodeSite, operands: list[Array]) -> Array:
    shape = tuple(int(length) for length in operands[1].reshape(-1))
    return np.broadcast_to(operands[0], site.bounded(np.broadcast_shapes(operands[0].shape, shape)))


def _cast(site: NodeSite, operands: list[Array]) -> Array:
    wanted = site.integer("to")
    if wanted not in _DTYPES:
        site.unsupported(f"it casts to type {wanted}", f"use one of {', '.join(_DTYPES.values())}")
    return operands[0].astype(_DTYPES[wanted])


def _ranged(site: NodeSite, operands: list[Array]) -> Array:
    start, limit, delta = (operand.reshape(()).item() for operand in operands)
    if delta == 0:
        site.broken("its step is 0")
    site.bounded((max(0, int(np.ceil((limit - start) / delta))),))
    return np.arange(start, limit, delta, dtype=operands[0].dtype)


def _divided(_: NodeSite, operands: list[Array]) -> Array:
    if np.issubdtype(operands[0].dtype, np.integer):
        return np.trunc(operands[0] / operands[1]).astype(operands[0].dtype)
    return operands[0] / operands[1]


def _gathered(site: NodeSite, operands: list[Array]) -> Array:
    data, indices = operands
    axis = site.axis(site.integer("axis", 0), data.ndim)
    site.bounded(data.shape[:axis] + indices.shape + data.shape[axis + 1 :])
    return np.take(data, indices.astype(np.int64), axis)


def _broadcast(function: Callable[..., Array]) -> Callable[[NodeSite, list[Array]], Array]:
    def made(site: NodeSite, operands: list[Array]) -> Array:
        site.bounded(np.broadcast_shapes(*(operand.shape for operand in operands)))
        return function(*operands)

    return made


_VIEWS: dict[str, Callable[[NodeSite, list[Array]], Array]] = {
    "Reshape": lambda site, operands: operands[0].reshape(reshaped(site, operands[0].shape)),
    "Squeeze": lambda site, operands: operands[0].reshape(squeezed(site, operands[0].shape)),
    "Unsqueeze": lambda site, operands: operands[0].reshape(unsqueezed(site, operands[0].shape)),
    "Transpose": lambda site, operands: operands[0].transpose(transposed(site, operands[0].ndim)),
    "Identity": lambda _, operands: operands[0],
}

CONSTANT_KINDS: dict[str, Callable[[NodeSite, list[Array]], Array]] = {
    **_VIEWS,
    "Add": _broadcast(np.add),
    "Sub": _broadcast(np.subtract),
    "Mul": _broadcast(np.multiply),
    "Div": _divided,
    "Cast": _cast,
    "Ceil": lambda _, operands: np.ceil(operands[0]),
    "Concat": lambda site, operands: np.concatenate(operands, site.axis(site.integer("axis"), operands[0].ndim)),
    "ConstantOfShape": _filled,
    "Equal": _broadcast(np.equal),
    "Expand": _expanded,
    "Floor": lambda _, operands: np.floor(operands[0]),
    "Gather": _gathered,
    "Neg": lambda _, operands: np.negative(operands[0]),
    "Range": _ranged,
    "Slice": _sliced,
    "Sqrt": lambda _, operands: np.sqrt(operands[0]),
    "Where": _broadcast(np.where),
}
"""What is folded when all inputs are constants."""
