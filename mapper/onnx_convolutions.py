"""Convolutions and matrix products of ONNX to operators of the graph: weights, bias and factors as integers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim.arithmetic import INT32_MAX, INT32_MIN, quantize_multiplier
from .ir import BatchMatMul, Conv2D, DepthwiseConv2D, FullyConnected, Quantization, TransposeConv
from .onnx_site import NodeSite
from .onnx_values import Constant, Held, Pending, Real, Target, Value
from .onnx_window import as_image, image_rank, read_window, without_rows
from .requantize import product_factor

__all__ = ["CONVOLUTION_READERS"]

Array = npt.NDArray[Any]


_LEAST_STEP = 1 / 64
"""Of a step of the output: what a bias may be off to keep sums within 32 bits."""


class _Weights:
    """Constant weights [outputs, ...] as int8, less their zero point where they allow it, with a scale per output."""

    def __init__(self, site: NodeSite, constant: Constant, axis: int) -> None:
        quantization = constant.quantization
        if quantization is None or str(constant.data.dtype) not in ("int8", "uint8"):
            site.unsupported(
                f"its weights are {constant.data.dtype}, not dequantized 8 bits", "quantize the weights to int8"
            )
        if quantization.axis not in (None, axis):
            site.unsupported(
                f"its weights are quantized along axis {quantization.axis}", f"quantize them along axis {axis}, or as a whole"
            )
        data = np.moveaxis(constant.data.astype(np.int64), axis, 0)
        if 0 in data.shape:
            site.broken(f"its weights have the shape {constant.data.shape}")
        points = np.array(quantization.zero_point, np.int64).reshape((-1, *[1] * (data.ndim - 1)))
        centred = data - points
        self.zero_point = 0
        if centred.min() < -128 or centred.max() > 127:
            if quantization.axis is not None or constant.data.dtype != np.uint8:
                site.unsupported("its weights less their zero points leave int8", "quantize the weights symmetrically")
            centred, self.zero_point = data - 128, quantization.zero_point[0] - 128
        self.data = centred.astype(np.int8)
        self.scales = np.broadcast_to(np.array(quantization.scale), (len(data),))
        flat = (centred - self.zero_point).reshape(len(data), -1)
        self.positive, self.negative = flat.clip(min=0).sum(axis=1), flat.clip(max=0).sum(axis=1)

    def sums(self, zero_point: int) -> tuple[Array, Array]:
        """The least and the greatest sum of each output, of an input with this zero point."""
        low, high = -128 - zero_point, 127 - zero_point
        return low * self.positive + high * self.negative, high * self.positive + low * self.negative

    def store(self, site: NodeSite, name: str, data: Array, axis: int) -> str:
        """The weights in the graph's layout."""
        scale = tuple(float(value) for value in self.scales)
        return site.builder.constant(name, data, Quantization(scale, (0,) * len(scale), axis)) if self.zero_point == 0 else (
            site.builder.constant(name, data, Quantization(scale[:1], (self.zero_point,)))
        )


def _factors(
    site: NodeSite, source: Quantization, weights: _Weights, target: Target, alpha: float = 1.0
) -> tuple[Array, tuple[int, ...], tuple[int, ...]]:
    """Each output's real factor, and the same as multiplier and shift."""
    scales = alpha * source.scale[0] * weights.scales / target.quantization.scale[0]
    factors = [quantize_multiplier(float(scale)) for scale in scales]
    if max(shift for _, shift in factors) > 30:
        site.unsupported("its scales lie too far apart: a factor is above 2**30", "quantize the model again")
    return scales, tuple(factor for factor, _ in factors), tuple(shift for _, shift in factors)


def _bias(
    site: NodeSite, bias: Constant | None, source: Quantization, weights: _Weights, target: Target, scale: float = 1.0
) -> str | None:
    """The bias as int32 of the scale that the sums have. `scale` multiplies it.

    It is limited so that no sum leaves 32 bits, where that changes results by less than `_LEAST_STEP`; else refused.
    """
    numbers = np.zeros(len(weights.scales))
    if bias is not None:
        steps = source.scale[0] * weights.scales
        stored = bias.quantization
        try:
            given = np.broadcast_to(bias.real.reshape(-1), numbers.shape)
        except ValueError:
            site.broken(f"its bias of shape {bias.data.shape} does not fit {len(numbers)} outputs")
        exact = stored is not None and scale == 1 and np.allclose(stored.scale, steps, rtol=1e-6, atol=0)
        integers = bias.data.reshape(-1).astype(np.float64) - np.array(stored.zero_point) if exact and stored else given
        numbers = np.broadcast_to(integers, numbers.shape) if exact else np.rint(scale * given / steps)
    low, high = weights.sums(source.zero_point[0])
    limited = np.clip(numbers, INT32_MIN - low, INT32_MAX - high)
    change = np.abs(limited - numbers) * source.scale[0] * weights.scales / target.quantization.scale[0]
    if not (change < _LEAST_STEP).all():
        site.unsupported("a sum with its bias may leave 32 bits", "quantize the model again, with larger weight scales")
    if bias is None and not limited.any():
        return None
    return site.builder.constant(f"{target.name}/bias", limited.astype(np.int32))


def _read_conv(site: NodeSite) -> Value:
    source = site.activation(0)
    rank = image_rank(site, source)
    constant = site.constant(1, "weights")
    if constant.data.ndim != rank:
        site.broken(f"its weights have the shape {constant.data.shape}, its input {source.shape}")
    window = read_window(site, source, constant.data.shape[2:])
    if constant.data.shape[2:] != window.kernel[4 - rank :]:
        site.broken(f"its kernel_shape {window.kernel} is not that of its weights {constant.data.shape}")
    groups = site.integer("group", 1)
    channels = source.shape[1]
    outputs, depth = constant.data.shape[:2]
    if groups < 1 or depth * groups != channels or outputs % groups:
        site.broken(f"its weights {constant.data.shape} in {groups} groups do not fit {channels} channels")
    weights = _Weights(site, constant, 0)
    kernels = weights.data.reshape(outputs, depth, *window.kernel)
    depthwise = depth == 1 and groups > 1
    layout, axis = (kernels.transpose(1, 2, 3, 0), 3) if depthwise else (kernels.transpose(0, 2, 3, 1), 0)

    def pending(bias: Constant | None) -> Pending:
        def emit(target: Target) -> Held:
            quantization = site.quantization(source)
            _, multipliers, shifts = _factors(site, quantization, weights, target)
            tensor = site.add(
                DepthwiseConv2D if depthwise else Conv2D,
                target,
                input=as_image(site, source),
                weights=weights.store(site, f"{target.name}/weights", layout, axis),
                bias=_bias(site, bias, quantization, weights, target),
                stride=window.stride,
                dilation=window.dilation,
                padding=window.padding,
                multipliers=multipliers,
                shifts=shifts,
                clamp=target.clamp,
                single_rounding=True,
            )
            return without_rows(site, tensor, rank, target.name)

        return site.pending(emit, add_bias=pending if bias is None else None)

    return pending(site.constant(2, "bias") if site.has_input(2) else None)


def _read_conv_transpose(site: NodeSite) -> Value:
    source = site.activation(0)
    rank = image_rank(site, source)
    constant = site.constant(1, "weights")
    if constant.data.ndim != rank or constant.data.shape[0] != source.shape[1]:
        site.broken(f"its weights have the shape {constant.data.shape}, its input {source.shape}")
    window = read_window(site, source, constant.data.shape[2:])
    if site.integer("group", 1) != 1 or window.dilation != (1, 1):
        site.unsupported("it has groups or a dilation", "use a transposed convolution without them")
    if site.text("auto_pad", "NOTSET") != "NOTSET" or site.attribute("output_shape") is not None:
        site.unsupported("it says its output's shape or auto_pad instead of pads", "give it pads")
    if constant.data.shape[2:] != window.kernel[4 - rank :]:
        site.broken(f"its kernel_shape {window.kernel} is not that of its weights {constant.data.shape}")
    more = (0, *site.integers("output_padding", (0,) * (rank - 2)))[-2:] if rank == 3 else site.integers("output_padding", (0, 0))
    weights = _Weights(site, constant, 1)
    image = (1, *source.shape[2:]) if rank == 3 else source.shape[2:]
    top, left, bottom, right = window.padding
    rows = (image[0] - 1) * window.stride[0] + window.kernel[0] + more[0] - top - bottom
    columns = (image[1] - 1) * window.stride[1] + window.kernel[1] + more[1] - left - right
    layout = weights.data.reshape(len(weights.scales), source.shape[1], *window.kernel).transpose(0, 2, 3, 1)
    bias = site.constant(2, "bias") if site.has_input(2) else None

    def emit(target: Target) -> Held:
        quantization = site.quantization(source)
        _, multipliers, shifts = _factors(site, quantization, weights, target)
        tensor = site.add(
            TransposeConv,
            target,
            input=as_image(site, source),
            weights=weights.store(site, f"{target.name}/weights", layout, 0),
            bias=_bias(site, bias, quantization, weights, target),
            size=(rows, columns),
            stride=window.stride,
            padding=window.padding,
            multipliers=multipliers,
            shifts=shifts,
            clamp=target.clamp,
        )
        return without_rows(site, tensor, rank, target.name)

    site.bounded((source.shape[0], rows, columns, len(weights.scales)))
    return site.pending(emit)


def _product(
    site: NodeSite, source: Real, weights: _Weights, *, alpha: float = 1.0, beta: float = 1.0, bias: Constant | None
) -> Pending:
    """The product of a matrix, or of several, with constant weights [outputs, depth]."""
    depth = weights.data.shape[1]
    if not source.shape or source.shape[-1] != depth:
        site.broken(f"its weights for {depth} elements do not fit its input of shape {source.shape}")

    def pending(added: Constant | None) -> Pending:
        def emit(target: Target) -> Held:
            rows, data = _rows(site, source, weights.data)
            quantization = site.quantization(source)
            scales, multipliers, shifts = _factors(site, quantization, weights, target, alpha)
            tensor = site.add(
                FullyConnected,
                target,
                input=rows,
                weights=weights.store(site, f"{target.name}/weights", data, 0),
                bias=_bias(site, added, quantization, weights, target, beta / alpha),
                scales=tuple(float(scale) for scale in scales),
                multipliers=multipliers,
                shifts=shifts,
                clamp=target.clamp,
                keep_dims=len(source.shape) > 2,
            )
            return site.result(tensor, tuple(range(len(source.shape))))

        return site.pending(emit, add_bias=pending if added is None else None)

    return pending(bias)


def _rows(site: NodeSite, source: Real, weights: Array) -> tuple[str, Array]:
    """The input's tensor, and the weights in the order that its elements have: an image that was flattened stays as it is."""
    batch_first = source.order[0] == 0 and len(source.shape) == 2 and source.plain_shape[:1] == source.shape[:1]
    if source.shape == source.plain_shape or not batch_first:
        return site.ordered(source, tuple(range(len(source.shape)))), weights
    places = np.arange(weights.shape[1]).reshape(source.plain_shape[1:])
    return source.tensor, weights[:, places.transpose([axis - 1 for axis in source.order[1:]]).reshape(-1)]


def _read_gemm(site: NodeSite) -> Value:
    source = site.activation(0)
    constant = site.constant(1, "weights")
    if site.integer("transA", 0):
        site.unsupported("its first operand is transposed", "export it without transA")
    if constant.data.ndim != 2 or len(source.shape) != 2:
        site.broken(f"its operands have the shapes {source.shape} and {constant.data.shape}, and must be matrices")
    weights = _Weights(site, constant, 0 if site.integer("transB", 0) else 1)
    alpha, beta = site.number("alpha", 1.0), site.number("beta", 1.0)
    if not (alpha > 0 and math.isfinite(alpha) and math.isfinite(beta)):
        site.unsupported(f"its alpha is {alpha} and its beta {beta}", "alpha must be positive")
    bias = site.constant(2, "bias") if site.has_input(2) else None
    if bias is not None and bias.data.ndim == 2 and bias.data.shape[0] != 1:
        site.unsupported(f"its bias has the shape {bias.data.shape}", "give it one number for each output")
    return _product(site, source, weights, alpha=alpha, beta=beta, bias=bias)


def _read_matmul(site: NodeSite) -> Value:
    source = site.activation(0)
    second = site.value(1)
    if isinstance(second, Constant):
        if second.data.ndim != 2 or len(source.shape) < 2:
            site.unsupported(
                f"its operands have the shapes {source.shape} and {second.data.shape}", "give it constant weights of 2 dimensions"
            )
        return _product(site, source, _Weights(site, second, 1), bias=None)
    other = site.activation(1)

    def emit(target: Target) -> Held:
        first, last = site.quantization(source), site.quantization(other)
        multiplier, shift = product_factor(first.scale[0], last.scale[0], target.quantization.scale[0])
        if target.clamp != (-128, 127):
            site.unsupported("its result is clamped before it is quantized", "quantize it before the activation")
        tensor = site.add(
            BatchMatMul,
            target,
            first=site.ordered(source, tuple(range(len(source.shape)))),
            second=site.ordered(other, tuple(range(len(other.shape)))),
            transpose_first=False,
            transpose_second=False,
            multiplier=multiplier,
            shift=shift,
        )
        return site.result(tensor, tuple(range(len(site.builder.tensors[tensor].shape))))

    return site.pending(emit)


CONVOLUTION_READERS: dict[str, Callable[[NodeSite], Value]] = {
    "Conv": _read_conv,
    "ConvTranspose": _read_conv_transpose,
    "Gemm": _read_gemm,
    "MatMul": _read_matmul,
}
