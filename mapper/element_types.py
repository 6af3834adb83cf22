"""Which element types an operator takes and gives."""

from collections.abc import Iterable, Mapping

from .ir import (
    Abs,
    ArgMax,
    ArgMin,
    BatchMatMul,
    BatchToSpaceNd,
    BroadcastTo,
    Cast,
    Concatenation,
    DepthToSpace,
    Dequantize,
    Exp,
    Gather,
    Log,
    MirrorPad,
    Operator,
    Pack,
    Pad,
    Quantize,
    Reshape,
    ResizeNearestNeighbor,
    Rsqrt,
    Slice,
    SpaceToBatchNd,
    SpaceToDepth,
    Split,
    SquaredDifference,
    StridedSlice,
    Tensor,
    Tile,
    Transpose,
    UnidirectionalSequenceLstm,
    Unpack,
)

__all__ = ["BYTES", "check_types"]

BYTES = ("int8", "uint8")
"""The element types of quantized activations and weights."""

_INDICES = ("int32", "int64")
_NUMBERS = (*BYTES, "int16", *_INDICES, "float32")
_FIXED = {"bias": ("int32",), "biases": ("int32",), "indices": _INDICES}

_MOVEMENT = (
    Reshape,
    Pad,
    Pack,
    Unpack,
    Split,
    Slice,
    StridedSlice,
    Transpose,
    SpaceToDepth,
    DepthToSpace,
    ResizeNearestNeighbor,
    Gather,
    Concatenation,
    SpaceToBatchNd,
    BatchToSpaceNd,
    Tile,
    BroadcastTo,
    MirrorPad,
)
_INT8_ONLY = (SquaredDifference, Rsqrt, Abs, Exp, Log, BatchMatMul, UnidirectionalSequenceLstm)


def check_types(operator: Operator, tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError`, naming the operand, if the types of an operator's tensors are not what its kind computes.

    Operands and results of a kind have one type, int8 or uint8, unless: moved elements are of any type; biases are
    int32; indices are integers; QUANTIZE, DEQUANTIZE and CAST change the type; an LSTM's cell state is int16.
    """
    names = [
        (role, name) for role in operator.READS for name in _names(getattr(operator, role)) if role not in _FIXED
    ]
    for role in operator.READS:
        if role in _FIXED:
            _check(role, _names(getattr(operator, role)), _FIXED[role], tensors)
    allowed: tuple[str, ...] = BYTES
    results: tuple[str, ...] | None = None
    match operator:
        case Quantize(table=None):
            allowed, results = ("float32",), BYTES
        case Quantize():
            results = BYTES
        case Dequantize():
            results = ("float32",)
        case Cast():
            allowed, results = _NUMBERS, (operator.dtype,)
        case ArgMax() | ArgMin():
            results = _INDICES
        case _ if isinstance(operator, _INT8_ONLY):
            allowed = ("int8",)
        case _ if isinstance(operator, _MOVEMENT):
            allowed = _NUMBERS
    for role, name in names:
        _check(role, (name,), allowed, tensors)
    first = tensors[names[0][1]].dtype
    if results is None:
        for role, name in names:
            _check(role, (name,), (first,), tensors)
        results = (first,)
    outputs = operator.outputs
    if isinstance(operator, UnidirectionalSequenceLstm):
        _check("cell state", outputs[2:], ("int16",), tensors)
        outputs = outputs[:2]
    _check("output", outputs, results, tensors)


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else value


def _check(role: str, names: Iterable[str], allowed: tuple[str, ...], tensors: Mapping[str, Tensor]) -> None:
    for name in names:
        if tensors[name].dtype not in allowed:
            raise ValueError(f"{role} {name!r} is {tensors[name].dtype}, and must be {' or '.join(allowed)}")
