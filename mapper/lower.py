"""One graph operator to one layer."""

from collections.abc import Callable
from dataclasses import replace

from ..hw.isa import Combine, Mode
from ..hw.params import Parameters
from .ir import Add, AveragePool2D, Conv2D, DepthwiseConv2D, FullyConnected, MaxPool2D, Operator
from .layer import Layer
from .lower_base import Layout, Tensors, diagonal, refused
from .lower_convolutions import convolution, depthwise, fully_connected
from .lower_pools import addition, average_pool, maximum_pool

__all__ = ["lower"]


def lower(operator: Operator, tensors: Tensors, params: Parameters, layout: Callable[[str], Layout | None]) -> Layer:
    """The layer of an operator. `layout` says how a tensor lies on chip; None if it can be loaded as one likes.

    The layer's `input` and residual image are tensor names here.
    Raises `UnsupportedError` if the accelerator cannot run the operator.
    """
    if tensors[operator.output].dtype != "int8":
        raise refused(operator, f"it computes in {tensors[operator.output].dtype}", "the accelerator computes in int8")
    match operator:
        case Conv2D():
            layer = convolution(operator, tensors)
        case DepthwiseConv2D():
            layer = depthwise(operator, tensors)
        case FullyConnected():
            layer = fully_connected(operator, tensors, params, layout(operator.input))
        case Add():
            layer = addition(operator, tensors, params, layout(operator.first) or layout(operator.second))
        case AveragePool2D():
            layer = average_pool(operator, tensors)
        case MaxPool2D():
            layer = maximum_pool(operator, tensors)
        case _:
            raise refused(operator, "the accelerator has no such operation", "it runs on the host")
    return layer if params.depthwise else _without_depthwise(operator, layer)


def _without_depthwise(operator: Operator, layer: Layer) -> Layer:
    """The same layer for an accelerator without the depthwise mode: a dense one with diagonal weights."""
    if layer.mode is Mode.DENSE:
        return layer
    if layer.combine is Combine.MAX and layer.kernel != (1, 1):
        raise refused(operator, "the accelerator is built without the depthwise mode", "set `depthwise`")
    return replace(layer, mode=Mode.DENSE, combine=Combine.ADD, weights=diagonal(layer.weights, layer.outputs))
