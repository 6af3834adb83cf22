"""Pools of ONNX to operators of the graph.

A mean of equally quantized numbers is an AVERAGE_POOL_2D, which rounds halves away from what is stored as zero. Any
other one is a depthwise convolution by ones, whose factor holds the scales and the count.
"""

import math
from collections.abc import Callable

import numpy as np

from ..sim.arithmetic import quantize_multiplier
from .ir import AveragePool2D, DepthwiseConv2D, MaxPool2D, Quantization
from .onnx_site import NodeSite
from .onnx_values import Held, Real, Target, Value
from .onnx_window import WindowShape, as_image, image_rank, read_window, without_rows

__all__ = ["POOL_READERS"]

_FULL = (-128, 127)


def _read_max_pool(site: NodeSite) -> Value:
    if len([name for name in site.node.output if name]) > 1:
        site.unsupported("its indices are wanted", "export the model without them")
    _check_rising(site)

    def step(held: Held) -> Held:
        rank, window = image_rank(site, held), read_window(site, held, ())
        if window.dilation != (1, 1):
            site.unsupported(f"its window has the dilation {window.dilation}", "use a pool without dilation")
        _check_padding(site, window)
        source = as_image(site, held)
        fields = {"kernel": window.kernel, "stride": window.stride, "padding": window.padding, "clamp": _FULL}
        if site.builder.tensors[source].dtype != "int8":
            site.unsupported("its input is not in 8 bits", "quantize its input")
        made = without_rows(site, site.like(MaxPool2D, source, input=source, **fields), rank, site.output)
        return site.moved(held, made.tensor, made.order)

    return site.move(0, step)


def _check_rising(site: NodeSite) -> None:
    """Refuse real numbers whose maximum is not that of the stored ones."""
    value = site.value(0)
    if isinstance(value, Real) and (np.diff(np.roll(value.values, 128)) < 0).any():
        site.unsupported(f"its input, the output of {value.kind}, does not rise with what is stored", "quantize it")


def _check_padding(site: NodeSite, window: WindowShape) -> None:
    top, left, bottom, right = window.padding
    if max(top, bottom) >= window.kernel[0] or max(left, right) >= window.kernel[1]:
        site.unsupported(f"a window of {window.kernel} can lie wholly in the padding", "make the padding smaller")


def _read_average_pool(site: NodeSite) -> Value:
    source = site.activation(0)
    window = read_window(site, source, ())
    if window.dilation != (1, 1):
        site.unsupported(f"its window has the dilation {window.dilation}", "use a pool without dilation")
    _check_padding(site, window)
    padded = any(window.padding)
    whole = bool(site.integer("count_include_pad", 0)) and padded
    if whole and any(window.extra):
        site.unsupported("it counts its padding, and rounds its size up", "use ceil_mode or count_include_pad, not both")
    return _average(site, source, window, whole=whole, padded=padded)


def _read_global_average_pool(site: NodeSite) -> Value:
    source = site.activation(0)
    rank = image_rank(site, source)
    kernel = (1, source.shape[2]) if rank == 3 else (source.shape[2], source.shape[3])
    return _average(site, source, WindowShape(kernel, (1, 1), (1, 1), (0, 0, 0, 0), (0, 0)), whole=False, padded=False)


def _average(site: NodeSite, source: Real, window: WindowShape, *, whole: bool, padded: bool) -> Value:
    """The mean of each window; of all its positions if `whole`, else of those inside the image."""
    rank = image_rank(site, source)

    def emit(target: Target) -> Held:
        quantization = site.quantization(source)
        image = as_image(site, source)
        common = {"input": image, "stride": window.stride, "padding": window.padding, "clamp": target.clamp}
        if quantization == target.quantization and not whole:
            return without_rows(site, site.add(AveragePool2D, target, kernel=window.kernel, **common), rank, target.name)
        if padded and not whole:
            site.unsupported(
                "its input and its output are quantized differently, and its windows differ in size",
                "give both one quantization",
            )
        channels, count = site.builder.tensors[image].shape[3], math.prod(window.kernel)
        multiplier, shift = quantize_multiplier(quantization.scale[0] / target.quantization.scale[0] / count)
        if count * 255 >= 1 << 31 or shift > 30:
            site.unsupported("its sums may leave 32 bits", "use a smaller window")
        ones = site.builder.constant(
            f"{target.name}/weights", np.ones((1, *window.kernel, channels), np.int8), Quantization((1 / count,), (0,))
        )
        tensor = site.add(
            DepthwiseConv2D,
            target,
            weights=ones,
            bias=None,
            dilation=(1, 1),
            multipliers=(multiplier,) * channels,
            shifts=(shift,) * channels,
            single_rounding=True,
            **common,
        )
        return without_rows(site, tensor, rank, target.name)

    return site.pending(emit)


def _read_global_max_pool(site: NodeSite) -> Value:
    _check_rising(site)

    def step(held: Held) -> Held:
        rank = image_rank(site, held)
        kernel = (1, held.shape[2]) if rank == 3 else held.shape[2:]
        source = as_image(site, held)
        fields = {"kernel": kernel, "stride": (1, 1), "padding": (0, 0, 0, 0), "clamp": _FULL}
        made = without_rows(site, site.like(MaxPool2D, source, input=source, **fields), rank, site.output)
        return site.moved(held, made.tensor, made.order)

    return site.move(0, step)


POOL_READERS: dict[str, Callable[[NodeSite], Value]] = {
    "MaxPool": _read_max_pool,
    "GlobalMaxPool": _read_global_max_pool,
    "AveragePool": _read_average_pool,
    "GlobalAveragePool": _read_global_average_pool,
}
