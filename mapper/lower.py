"""One graph operator to one layer."""

from collections.abc import Callable
from dataclasses import replace

from ..hw.isa import Combine, Mode
from ..hw.params import Parameters
from .catalogue import host_reason
from .ir import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    Maximum,
    MaxPool2D,
    Mean,
    Minimum,
    Mul,
    Operator,
    Pad,
    Prelu,
    Quantize,
    SquaredDifference,
    Sub,
)
from .layer import Layer
from .lower_base import Layout, Tensors, diagonal, refused
from .lower_convolutions import convolution, depthwise, fully_connected
from .lower_elementwise import binary, lookup, slopes
from .lower_movement import padding
from .lower_pools import average_pool, maximum_pool, mean
from .pack import packed_layer
from .tiling import candidates

__all__ = ["LAYERS", "lower"]

LAYERS = (
    Conv2D | DepthwiseConv2D | FullyConnected | Add | Sub | Mul | Maximum | Minimum | SquaredDifference | Lookup
    | Quantize | Prelu | Pad | Mean | AveragePool2D | MaxPool2D
)  # fmt: skip
"""Operators that the accelerator can compute."""


def lower(operator: Operator, tensors: Tensors, params: Parameters, layout: Callable[[str], Layout | None]) -> Layer:
    """The layer of an operator. `layout` says how a tensor lies on chip; None if it can be loaded as one likes.

    The layer's `input` and residual image are tensor names here.
    Raises `UnsupportedError` if the accelerator cannot run the operator.
    """
    if not isinstance(operator, LAYERS):
        raise refused(operator, host_reason(operator), "it runs on the host")
    _check_types(operator, tensors)
    match operator:
        case Conv2D():
            layer = convolution(operator, tensors)
        case DepthwiseConv2D():
            layer = depthwise(operator, tensors)
        case FullyConnected():
            layer = fully_connected(operator, tensors, params, layout(operator.input))
        case Add() | Sub() | Mul() | Maximum() | Minimum() | SquaredDifference():
            layer = binary(operator, tensors, params, layout)
        case Lookup() | Quantize():
            layer = lookup(operator, tensors, params, layout)
        case Prelu():
            layer = slopes(operator, tensors, params, layout)
        case Pad():
            layer = padding(operator, tensors)
        case Mean():
            layer = mean(operator, tensors)
        case AveragePool2D():
            layer = average_pool(operator, tensors)
        case MaxPool2D():
            layer = maximum_pool(operator, tensors)
    layer = layer if params.depthwise else _without_depthwise(operator, layer)
    if layer.folds > 1 and not candidates(layer, params):
        loaded = layout(operator.inputs[0]) is None
        if not loaded or packed_layer(layer, params) is None:
            reason = f"its weights less their zero point leave int8, and a kernel of {layer.kernel} takes too many passes for it"
            raise refused(operator, reason, "quantize the weights symmetrically, as int8")
    return layer


def _check_types(operator: Operator, tensors: Tensors) -> None:
    """Raise `UnsupportedError` if a tensor between operators is not one of quantized bytes."""
    names = [name for name in operator.inputs if tensors[name].data is None]
    for name in (*names, *operator.outputs):
        if tensors[name].dtype not in ("int8", "uint8"):
            raise refused(operator, f"tensor {name!r} is {tensors[name].dtype}", "it runs on the host")
        if tensors[name].quantization is None or tensors[name].per_axis:
            raise refused(operator, f"tensor {name!r} is not quantized as a whole", "it runs on the host")


def _without_depthwise(operator: Operator, layer: Layer) -> Layer:
    """The same layer for an accelerator without the depthwise mode: a dense one with diagonal weights."""
    if layer.mode is Mode.DENSE:
        return layer
    if layer.combine is Combine.MAX and layer.kernel != (1, 1):
        raise refused(operator, "the accelerator is built without the depthwise mode", "set `depthwise`")
    return replace(layer, mode=Mode.DENSE, combine=Combine.ADD, weights=diagonal(layer.weights, layer.outputs))
