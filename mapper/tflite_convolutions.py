"""Raw convolutions, matrix products and pools to operators of the graph."""

from collections.abc import Callable

from ai_edge_litert import schema_py_generated as schema

from ..sim.arithmetic import quantize_multiplier
from .ir import (
    AveragePool2D,
    BatchMatMul,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Operator,
    Tensor,
    TransposeConv,
)
from .requantize import effective_scales, product_factor
from .shapes import same_padding
from .tflite_site import Site

__all__ = ["CONVOLUTION_READERS"]

_MOST_CHANNELS = 1 << 16


def _weights(site: Site, channel_axis: int) -> Tensor:
    """The constant weights of a convolution."""
    weights = site.rank4(site.tensor(1, "weights"), "weights")
    if weights.data is None:
        site.unsupported(f"weights {weights.name!r} are computed at run time", "make the weights constants")
    quantization = site.quantization(weights, "weights")
    if weights.dtype == "int8" and any(quantization.zero_point):
        site.unsupported(f"weights {weights.name!r} have a zero point", "quantize weights symmetrically")
    if weights.dtype == "uint8" and quantization.axis is not None:
        site.unsupported(f"weights {weights.name!r} are uint8 per channel", "quantize per channel in int8")
    _check_axis(site, weights, channel_axis)
    return weights


def _check_axis(site: Site, weights: Tensor, axis: int) -> None:
    quantization = site.quantization(weights, "weights")
    if quantization.axis not in (None, axis):
        site.broken(f"weights {weights.name!r} are quantized along axis {quantization.axis} instead of {axis}")


def _channel_scales(site: Site, source: Tensor, weights: Tensor, channels: int) -> tuple[float, ...]:
    """The effective scale of each output channel."""
    if channels > _MOST_CHANNELS:
        site.unsupported(f"it has {channels:,} output channels, more than {_MOST_CHANNELS:,}", "cut it into several")
    quantization = site.quantization(weights, "weights")
    scales = quantization.scale * channels if quantization.axis is None else quantization.scale
    return effective_scales(source.scale, scales, site.output().scale)


def _channel_factors(
    site: Site, source: Tensor, weights: Tensor, channels: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Multipliers and shifts of the output channels."""
    if weights.dtype == "uint8":
        factors = [product_factor(source.scale, weights.scale, site.output().scale)] * channels
    else:
        factors = [quantize_multiplier(scale) for scale in _channel_scales(site, source, weights, channels)]
    return tuple(multiplier for multiplier, _ in factors), tuple(shift for _, shift in factors)


def _read_convolution(site: Site) -> Operator:
    depthwise = site.kind == DepthwiseConv2D.KIND
    channel_axis = 3 if depthwise else 0
    image = site.rank4(site.input(), "input")
    weights = _weights(site, channel_axis)
    multipliers, shifts = _channel_factors(site, image, weights, weights.shape[channel_axis])
    stride, dilation = site.stride(), site.pair("dilationHFactor", "dilationWFactor")
    return (DepthwiseConv2D if depthwise else Conv2D)(
        **site.common,
        input=image.name,
        weights=weights.name,
        bias=site.bias(),
        stride=stride,
        dilation=dilation,
        padding=site.padding(image, (weights.shape[1], weights.shape[2]), stride, dilation),
        multipliers=multipliers,
        shifts=shifts,
        clamp=site.clamp(),
    )


def _read_transpose_conv(site: Site) -> Operator:
    image = site.rank4(site.activation(site.tensor(2, "input"), "input"), "input")
    weights = _weights(site, 0)
    multipliers, shifts = _channel_factors(site, image, weights, weights.shape[0])
    shape = site.integers(0, "output shape")
    wanted = (image.shape[0], *shape[1:3], weights.shape[0])
    if shape != wanted or min(shape) < 1:
        site.broken(f"its output shape {shape} does not fit the input and the weights")
    stride, size = site.stride(), (shape[1], shape[2])
    valid = site.option("padding") == schema.Padding.VALID
    return TransposeConv(
        **site.common,
        input=image.name,
        weights=weights.name,
        bias=site.bias(3),
        size=size,
        stride=stride,
        padding=(0, 0, 0, 0) if valid else same_padding(size, (weights.shape[1], weights.shape[2]), stride, (1, 1)),
        multipliers=multipliers,
        shifts=shifts,
        clamp=site.clamp(),
    )


def _read_fully_connected(site: Site) -> Operator:
    if site.option("weightsFormat") != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        site.unsupported("its weights are shuffled", "export the model with the default weights format")
    rows = site.input()
    weights = site.tensor(1, "weights")
    if len(weights.shape) != 2 or 0 in weights.shape:
        site.broken(f"weights {weights.name!r} have shape {weights.shape}, and must have 2 dimensions, none empty")
    _check_axis(site, weights, 0)
    scales = _channel_scales(site, rows, weights, weights.shape[0])
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


def _read_batch_matmul(site: Site) -> Operator:
    first, second = site.operands("first operand", "second operand", dtypes=("int8",))
    multiplier, shift = product_factor(first.scale, second.scale, site.output().scale)
    return BatchMatMul(
        **site.common,
        first=first.name,
        second=second.name,
        transpose_first=bool(site.option("adjX")),
        transpose_second=bool(site.option("adjY")),
        multiplier=multiplier,
        shift=shift,
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


CONVOLUTION_READERS: dict[str, Callable[[Site], Operator]] = {
    Conv2D.KIND: _read_convolution,
    DepthwiseConv2D.KIND: _read_convolution,
    TransposeConv.KIND: _read_transpose_conv,
    FullyConnected.KIND: _read_fully_connected,
    BatchMatMul.KIND: _read_batch_matmul,
    AveragePool2D.KIND: _read_pool,
    MaxPool2D.KIND: _read_pool,
}
