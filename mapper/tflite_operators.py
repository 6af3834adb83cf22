"""From a raw TensorFlow Lite operator to an operator of the graph.

Here defaults are filled in, padding becomes numbers, and scales become multipliers and shifts.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..sim.arithmetic import quantize_multiplier
from .errors import ModelError
from .ir import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Operator,
    Reshape,
    Softmax,
    Tensor,
)
from .requantize import add_factors, effective_scales, softmax_factors
from .shapes import output_shape
from .tflite_site import Site

__all__ = ["read_operator"]


def read_operator(site: Site) -> tuple[Operator, Tensor]:
    """The graph's operator, and its output tensor with the shape that the operator gives it.

    Raises `UnsupportedError` and `ModelError` as `read_tflite` does.
    """
    reader = _READERS.get(site.kind)
    if reader is None:
        site.unsupported("this operator is not known", f"known are {', '.join(_READERS)}")
    if len(site.outputs) != 1:
        site.broken(f"it has {len(site.outputs)} outputs instead of 1")
    try:
        operator = reader(site)
        shape = output_shape(operator, site.tensors)
    except ModelError:
        raise
    except ValueError as error:
        site.broken(str(error))
    return operator, replace(site.tensors[operator.output], shape=shape)


def _read_convolution(site: Site) -> Operator:
    depthwise = site.kind == DepthwiseConv2D.KIND
    image = site.rank4(site.input(), "input")
    weights = site.rank4(site.tensor(1, "weights"), "weights")
    if weights.data is None:
        site.unsupported(f"weights {weights.name!r} are computed at run time", "make the weights constants")
    channel_axis = 3 if depthwise else 0
    channels = weights.shape[channel_axis]
    scales = _channel_scales(site, weights, channels, channel_axis)
    if any(site.quantization(weights, "weights").zero_point):
        site.unsupported(f"weights {weights.name!r} have a zero point", "quantize weights symmetrically")
    factors = [quantize_multiplier(scale) for scale in scales]
    stride, dilation = site.stride(), site.pair("dilationHFactor", "dilationWFactor")
    return (DepthwiseConv2D if depthwise else Conv2D)(
        **site.common,
        input=image.name,
        weights=weights.name,
        bias=site.bias(),
        stride=stride,
        dilation=dilation,
        padding=site.padding(image, (weights.shape[1], weights.shape[2]), stride, dilation),
        multipliers=tuple(multiplier for multiplier, _ in factors),
        shifts=tuple(shift for _, shift in factors),
        clamp=site.clamp(),
    )


def _read_fully_connected(site: Site) -> Operator:
    if site.option("weightsFormat") != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        site.unsupported("its weights are shuffled", "export the model with the default weights format")
    rows = site.input()
    weights = site.tensor(1, "weights")
    if len(weights.shape) != 2 or 0 in weights.shape:
        site.broken(f"weights {weights.name!r} have shape {weights.shape}, and must have 2 dimensions, none empty")
    scales = _channel_scales(site, weights, weights.shape[0], 0)
    factors = [quantize_multiplier(scale) for scale in scales]
    return FullyConnected(
        **site.common,
        input=rows.name,
        weights=weights.name,
        bias=site.bias(),
        scales=scales,
        multipliers=tuple(multiplier for multiplier, _ in factors),
        shifts=tuple(shift for _, shift in factors),
        clamp=site.clamp(),
        keep_dims=bool(site.option("keepNumDims")),
    )


def _channel_scales(site: Site, weights: Tensor, channels: int, axis: int) -> tuple[float, ...]:
    """The effective scale of each output channel."""
    quantization = site.quantization(weights, "weights")
    if quantization.axis not in (None, axis):
        site.broken(f"weights {weights.name!r} are quantized along axis {quantization.axis} instead of {axis}")
    scales = quantization.scale * channels if quantization.axis is None else quantization.scale
    return effective_scales(site.input().scale, scales, site.output().scale)


def _read_add(site: Site) -> Operator:
    first = site.activation(site.tensor(0, "first operand"), "first operand")
    second = site.activation(site.tensor(1, "second operand"), "second operand")
    multipliers, shifts = add_factors(first.scale, second.scale, site.output().scale)
    return Add(
        **site.common,
        first=first.name,
        second=second.name,
        multipliers=multipliers,
        shifts=shifts,
        clamp=site.clamp(),
    )


def _read_pool(site: Site) -> Operator:
    image = site.rank4(site.input(), "input")
    kernel, stride = site.pair("filterHeight", "filterWidth"), site.stride()
    return (AveragePool2D if site.kind == AveragePool2D.KIND else MaxPool2D)(
        **site.common,
        input=image.name,
        kernel=kernel,
        stride=stride,
        padding=site.padding(image, kernel, stride),
        clamp=site.clamp(),
    )


def _read_reshape(site: Site) -> Operator:
    source = site.input()
    site.output()
    wanted: Any = getattr(site.options, "newShape", None)
    if site.has_input(1) and site.tensor(1, "shape").dtype == "int32" and len(site.tensor(1, "shape").shape) == 1:
        wanted = site.tensor(1, "shape").data
        if wanted is None:
            site.unsupported("its shape is computed at run time", "export the model with a fixed input shape")
    if wanted is None:
        site.broken("it has no shape")
    shape = [int(length) for length in np.asarray(wanted).ravel()]
    if shape.count(-1) == 1:
        known = math.prod(length for length in shape if length != -1)
        shape[shape.index(-1)] = math.prod(source.shape) // known if known > 0 else 0
    if any(length < 0 for length in shape):
        site.broken(f"its shape {shape} has a negative dimension")
    return Reshape(**site.common, input=source.name, shape=tuple(shape))


def _read_softmax(site: Site) -> Operator:
    source, output = site.input(), site.output()
    if output.zero_point != -128 or not math.isclose(output.scale, 1 / 256, rel_tol=1e-3):
        site.unsupported(
            f"its output has scale {output.scale} and zero point {output.zero_point}",
            "an int8 softmax has the output scale 1/256 and zero point -128",
        )
    multiplier, shift, diff_min = softmax_factors(float(site.option("beta")), source.scale)
    return Softmax(**site.common, input=source.name, multiplier=multiplier, shift=shift, diff_min=diff_min)


_READERS: dict[str, Callable[[Site], Operator]] = {
    Conv2D.KIND: _read_convolution,
    DepthwiseConv2D.KIND: _read_convolution,
    FullyConnected.KIND: _read_fully_connected,
    Add.KIND: _read_add,
    AveragePool2D.KIND: _read_pool,
    MaxPool2D.KIND: _read_pool,
    Reshape.KIND: _read_reshape,
    Softmax.KIND: _read_softmax,
}
