"""One graph operator to one layer. Images are named by their tensors here; `legalize.py` puts the right cut in."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..hw.isa import Combine, Mode, Rounding
from ..hw.params import Parameters
from ..sim.arithmetic import wrap_int32
from ..sim.operators import add
from .average import find_average
from .errors import UnsupportedError
from .ir import Add, AveragePool2D, Conv2D, DepthwiseConv2D, FullyConnected, MaxPool2D, Operator, Tensor
from .layer import Array, Constants, Layer, Pair, Region, Residual, uniform
from .residual import ResidualTables, find_residual
from .rounding import single_factors
from .window import Window, find_window, inside_counts

__all__ = ["Layout", "lower"]

Triple = tuple[int, int, int]

Layout = tuple[int, int, int]
"""Rows, width, channels."""

IDENTITY = (1 << 30, 30)
"""Multiplier and shift that leave a sum as it is."""

FULL_RANGE = (-128, 127)

MOST_TAPS = 255
"""What the fields for kernel rows and columns hold."""


def lower(operator: Operator, tensors: Mapping[str, Tensor], params: Parameters, layout: Callable[[str], Layout | None]) -> Layer:
    """The layer of an operator. `layout` says how a tensor lies on chip; None if it can be loaded as one likes.

    The layer's `input` and residual image are tensor names here.
    Raises `UnsupportedError` if the accelerator cannot run the operator.
    """
    match operator:
        case Conv2D():
            layer = _convolution(operator, tensors)
        case DepthwiseConv2D():
            layer = _depthwise(operator, tensors)
        case FullyConnected():
            layer = _fully_connected(operator, tensors, layout(operator.input))
        case Add():
            layer = _add(operator, tensors, params, layout(operator.first) or layout(operator.second))
        case AveragePool2D():
            layer = _average(operator, tensors)
        case MaxPool2D():
            layer = _maximum(operator, tensors)
        case _:
            raise refused(operator, "the accelerator has no such operation", "it runs on the host")
    return layer if params.depthwise else _without_depthwise(operator, layer)


def refused(operator: Operator, reason: str, hint: str) -> UnsupportedError:
    """The error for an operator that the accelerator cannot run."""
    return UnsupportedError(operator.KIND, operator.name, reason, hint)


def _constant(operator: Operator, tensors: Mapping[str, Tensor], role: str) -> Array:
    data = tensors[getattr(operator, role)].data
    if data is None:
        raise refused(operator, f"its {role} are computed by the network", "only constant weights run on the accelerator")
    return data


def _layer(
    operator: Operator, tensors: Mapping[str, Tensor], source: str, window: Window, weights: Array, mode: Mode, macs: int
) -> Layer:
    """What every kind of layer has in common; constants, rounding and combination are the caller's."""
    zero_point = tensors[source].zero_point
    if window.swapped:
        weights = weights.swapaxes(0, 1)
    return Layer(
        operators=(operator.name,),
        kind=operator.KIND,
        input=source,
        output=operator.output,
        batch=window.batch,
        size=window.size,
        out_size=window.out_size,
        stride=window.stride,
        dilation=window.dilation,
        origin=window.origin,
        pad=zero_point,
        mode=mode,
        weights=weights.astype(np.int8),
        regions=(),
        zero_point=tensors[operator.output].zero_point,
        clamp=getattr(operator, "clamp", FULL_RANGE),
        macs=macs,
    )


def _whole(layer: Layer, constants: Constants) -> Layer:
    """A layer with the same constants for the whole output."""
    return replace(layer, regions=(Region(0, 0, *layer.out_size, constants),))


def _folded_bias(operator: Operator, tensors: Mapping[str, Tensor], weights: Array, zero_point: int) -> Array:
    """Bias minus the input zero point times the sum of the weights, which are [taps..., outputs]."""
    sums = weights.astype(np.int64).sum(axis=tuple(range(weights.ndim - 1)))
    bias = 0 if operator.bias is None else _constant(operator, tensors, "bias").astype(np.int64).reshape(-1)
    return wrap_int32(bias - zero_point * sums)


def _double(operator: Conv2D | DepthwiseConv2D, bias: Array) -> Constants:
    return Constants(bias, np.array(operator.multipliers, np.int64), 31 - np.array(operator.shifts, np.int64))


def _window(operator: Operator, tensors: Mapping[str, Tensor], kernel: Pair, dilation: Pair = (1, 1)) -> Window:
    return find_window(
        tensors[operator.input].shape,
        tensors[operator.output].shape,
        kernel,
        operator.stride,
        dilation,
        operator.padding,
    )


def _convolution(operator: Conv2D, tensors: Mapping[str, Tensor]) -> Layer:
    filters = _constant(operator, tensors, "weights")
    channels = tensors[operator.input].shape[3]
    outputs, kernel_y, kernel_x, depth = filters.shape
    weights = np.zeros((kernel_y, kernel_x, channels, outputs), np.int8)
    per_group = outputs // (channels // depth)
    for group in range(channels // depth):
        ins = slice(group * depth, (group + 1) * depth)
        outs = slice(group * per_group, (group + 1) * per_group)
        weights[:, :, ins, outs] = filters[outs].transpose(1, 2, 3, 0)
    window = _window(operator, tensors, (kernel_y, kernel_x), operator.dilation)
    macs = tensors[operator.output].size * kernel_y * kernel_x * depth
    layer = _layer(operator, tensors, operator.input, window, weights, Mode.DENSE, macs)
    return _whole(layer, _double(operator, _folded_bias(operator, tensors, weights, layer.pad)))


def _depthwise(operator: DepthwiseConv2D, tensors: Mapping[str, Tensor]) -> Layer:
    weights = _constant(operator, tensors, "weights")[0]
    channels = tensors[operator.input].shape[3]
    window = _window(operator, tensors, weights.shape[:2], operator.dilation)
    macs = tensors[operator.output].size * weights.shape[0] * weights.shape[1]
    mode = Mode.DEPTHWISE
    bias = _folded_bias(operator, tensors, weights, tensors[operator.input].zero_point)
    if weights.shape[2] != channels:
        weights, mode = _diagonal(weights, channels), Mode.DENSE
    layer = _layer(operator, tensors, operator.input, window, weights, mode, macs)
    return _whole(layer, _double(operator, bias))


def _diagonal(weights: Array, channels: int) -> Array:
    """Depthwise weights [y, x, outputs] as dense ones [y, x, channels, outputs]."""
    outputs = weights.shape[2]
    source = np.arange(outputs) // (outputs // channels)
    dense = np.zeros((*weights.shape[:2], channels, outputs), weights.dtype)
    dense[:, :, source, np.arange(outputs)] = weights
    return dense


def _fully_connected(operator: FullyConnected, tensors: Mapping[str, Tensor], layout: Layout | None) -> Layer:
    matrix = _constant(operator, tensors, "weights")
    quantization = tensors[operator.weights].quantization
    if quantization is not None and any(quantization.zero_point):
        raise refused(operator, "its weights have a zero point other than 0", "quantize the weights symmetrically")
    outputs, depth = matrix.shape
    layout = layout or (tensors[operator.input].size // depth, 1, depth)
    window, taps = _matrix_window(layout, depth)
    weights = matrix.T.reshape(*taps, outputs)
    layer = _layer(operator, tensors, operator.input, window, weights, Mode.DENSE, tensors[operator.output].size * depth)
    bias = _folded_bias(operator, tensors, weights, layer.pad)
    # Sums from the least and the greatest byte times each weight.
    positive, negative = (part.sum(axis=1, dtype=np.int64) for part in (matrix.clip(min=0), matrix.clip(max=0)))
    low, high = bias - 128 * positive + 127 * negative, bias + 127 * positive - 128 * negative
    factors = single_factors(
        np.array(operator.scales),
        np.array(operator.multipliers, np.int64),
        np.array(operator.shifts, np.int64),
        low,
        high,
        (operator.clamp[0] - layer.zero_point, operator.clamp[1] - layer.zero_point),
    )
    if factors is None:
        raise refused(operator, "no integer factors round as the reference kernel does", "it runs on the host")
    return _whole(replace(layer, rounding=Rounding.SINGLE), Constants(bias, *factors))


def _matrix_window(layout: Layout, depth: int) -> tuple[Window, tuple[int, int, int]]:
    """How a matrix product walks over an image, and its weights' shape (kernel y, kernel x, channels).

    Without another cut where possible: each batch row is a pixel, or a number of image rows.
    """
    rows, width, channels = layout
    per_batch, remainder = divmod(depth, width * channels)
    if channels == depth:
        size, kernel, batch = (rows, width), (1, 1), 1
    elif per_batch and not remainder and rows % per_batch == 0 and max(per_batch, width) <= MOST_TAPS:
        size, kernel, batch = (per_batch, width), (per_batch, width), rows // per_batch
    else:
        size, kernel, batch = (rows * width * channels // depth, 1), (1, 1), 1
    out_size = size if kernel == (1, 1) else (1, 1)
    taps = (*kernel, depth // math.prod(kernel))
    return Window(batch, size, out_size, kernel, (1, 1), (1, 1), (0, 0), False), taps


def _add(operator: Add, tensors: Mapping[str, Tensor], params: Parameters, layout: Layout | None) -> Layer:
    first, second = tensors[operator.first], tensors[operator.second]
    if not params.residual:
        raise refused(operator, "the accelerator is built without residual tables", "set `residual`")
    if first.data is not None or second.data is not None:
        raise refused(operator, "an operand is a constant", "fold it into a bias before export")
    if first.shape != second.shape:
        raise refused(operator, f"operands of shapes {first.shape} and {second.shape} broadcast", "give them one shape")
    tables = _addition_tables(operator, tensors)
    if tables is None:
        raise refused(operator, "no tables give its exact sums", "it runs on the host")
    rows, width, channels = layout or _natural_layout(first.shape)
    window = Window(1, (rows, width), (rows, width), (1, 1), (1, 1), (1, 1), (0, 0), False)
    weights = np.ones((1, 1, channels), np.int8)
    layer = _layer(operator, tensors, operator.first, window, weights, Mode.DEPTHWISE, 0)
    residual = Residual(
        image=operator.second,
        table_a=tables.first,
        table_b=tables.second,
        offset=tables.offset,
        shift=tables.shift,
        tie=bool(tables.tie),
        zero_point=tables.zero_point,
        clamp=(tables.minimum, tables.maximum),
    )
    return _whole(replace(layer, zero_point=0, clamp=FULL_RANGE, residual=residual), uniform(channels, 0, *IDENTITY))


def _natural_layout(shape: tuple[int, ...]) -> Layout:
    """The cut that nothing else decides: the last dimension is a pixel's, the one before it the width (see `find_window`)."""
    channels = shape[-1] if shape else 1
    width = shape[-2] if len(shape) > 2 else 1
    if len(shape) == 4 and width == 1:
        width = shape[1]
    return math.prod(shape) // (width * channels), width, channels


def _addition_tables(operator: Add, tensors: Mapping[str, Tensor]) -> ResidualTables | None:
    """Tables that give the kernel's result for every pair of operands."""
    quantized = [tensors[name] for name in (operator.first, operator.second, operator.output)]
    scales = tuple(tensor.scale for tensor in quantized)
    zero_points = tuple(tensor.zero_point for tensor in quantized)
    return _find_tables(operator.multipliers, operator.shifts, scales, zero_points, operator.clamp)


@functools.cache
def _find_tables(
    multipliers: Triple, shifts: Triple, scales: tuple[float, float, float], zero_points: Triple, clamp: Pair
) -> ResidualTables | None:
    values = np.arange(-128, 128).astype(np.int8)
    first, second = np.meshgrid(values, values, indexing="ij")
    truth = add(first, second, zero_points=zero_points, multipliers=multipliers, shifts=shifts, clamp=clamp)
    return find_residual(truth, scales=scales, zero_points=zero_points, clamp=clamp)


def _pool(operator: AveragePool2D | MaxPool2D, tensors: Mapping[str, Tensor], pad: int) -> tuple[Layer, Window]:
    channels = tensors[operator.input].shape[3]
    window = _window(operator, tensors, operator.kernel)
    weights = np.ones((*operator.kernel, channels), np.int8)
    layer = _layer(operator, tensors, operator.input, window, weights, Mode.DEPTHWISE, 0)
    return replace(layer, pad=pad, zero_point=0), window


def _average(operator: AveragePool2D, tensors: Mapping[str, Tensor]) -> Layer:
    layer, window = _pool(operator, tensors, 0)
    regions, roundings = [], set()
    for *rectangle, taps in inside_counts(window):
        found = find_average(taps)
        if found is None:
            raise refused(operator, f"no factors give the exact mean of {taps} elements", "it runs on the host")
        multiplier, shift, rounding = found
        regions.append(Region(*rectangle, uniform(layer.outputs, 0, multiplier, shift)))
        roundings.add(rounding)
    return replace(layer, regions=tuple(regions), rounding=roundings.pop())


def _maximum(operator: MaxPool2D, tensors: Mapping[str, Tensor]) -> Layer:
    layer, _ = _pool(operator, tensors, -128)
    return _whole(replace(layer, combine=Combine.MAX), uniform(layer.outputs, 0, *IDENTITY))


def _without_depthwise(operator: Operator, layer: Layer) -> Layer:
    """The same layer for an accelerator without the depthwise mode: a dense one with diagonal weights."""
    if layer.mode is Mode.DENSE:
        return layer
    if layer.combine is Combine.MAX and layer.kernel != (1, 1):
        raise refused(operator, "the accelerator is built without the depthwise mode", "set `depthwise`")
    return replace(layer, mode=Mode.DENSE, combine=Combine.ADD, weights=_diagonal(layer.weights, layer.outputs))
