"""From a raw TensorFlow Lite operator to an operator of the graph.

Here defaults are filled in, padding becomes numbers, and scales become multipliers and shifts.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..sim.arithmetic import quantize_multiplier
from .errors import ModelError, UnsupportedError
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
from .requantize import ACTIVATIONS, activation_range, add_factors, effective_scales, softmax_factors
from .shapes import output_shape, same_padding

__all__ = ["read_operator"]

_ACTIVATION_NAMES = {
    code: name for name, code in vars(schema.ActivationFunctionType).items() if not name.startswith("_")
}
_TO_INT8 = "quantize the model to int8: full-integer post-training quantization with int8 input and output"


@dataclass(frozen=True)
class _Site:
    """One raw operator and its surroundings. Absent optional inputs are None in `inputs`."""

    index: int
    kind: str
    options: Any
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    where: str

    @property
    def common(self) -> dict[str, Any]:
        return {"index": self.index, "name": f"{self.index}:{self.kind}", "output": self.outputs[0]}

    def broken(self, reason: str) -> NoReturn:
        raise ModelError(f"{self.where}: {reason}; export the model again")

    def unsupported(self, reason: str, hint: str) -> NoReturn:
        output = f" (tensor {self.outputs[0]!r})" if self.outputs else ""
        raise UnsupportedError(self.kind, f"operator {self.index}{output}", reason, hint)

    def option(self, name: str) -> Any:
        if not hasattr(self.options, name):
            self.broken(f"its options lack {name}")
        return getattr(self.options, name)

    def has_input(self, position: int) -> bool:
        return position < len(self.inputs) and self.inputs[position] is not None

    def tensor(self, position: int, role: str) -> Tensor:
        if not self.has_input(position):
            self.broken(f"it has no {role}")
        return self.tensors[self.inputs[position]]

    def int8(self, tensor: Tensor, role: str) -> Tensor:
        """A quantized int8 operand, with sound scales and zero points."""
        if tensor.dtype != "int8":
            self.unsupported(f"{role} {tensor.name!r} is {tensor.dtype}, and must be int8", _TO_INT8)
        if tensor.is_variable:
            self.unsupported(f"{role} {tensor.name!r} is a variable", "export the model without state")
        quantization = tensor.quantization
        if quantization is None:
            self.unsupported(f"{role} {tensor.name!r} is int8 without a scale", _TO_INT8)
        if not all(math.isfinite(scale) and scale >= 0 for scale in quantization.scale):
            self.broken(f"{role} {tensor.name!r} has a scale that is negative or not a number")
        if not all(-128 <= zero_point <= 127 for zero_point in quantization.zero_point):
            self.broken(f"{role} {tensor.name!r} has a zero point outside int8")
        return tensor

    def activation(self, tensor: Tensor, role: str) -> Tensor:
        """An int8 operand quantized as a whole, with a scale above 0."""
        quantization = self.int8(tensor, role).quantization
        if quantization is None or quantization.axis is not None:
            self.unsupported(f"{role} {tensor.name!r} is quantized per axis", "quantize activations per tensor")
        if tensor.scale == 0:
            self.broken(f"{role} {tensor.name!r} has the scale 0")
        return tensor

    def input(self) -> Tensor:
        return self.activation(self.tensor(0, "input"), "input")

    def output(self) -> Tensor:
        return self.activation(self.tensors[self.outputs[0]], "output")

    def bias(self) -> str | None:
        """The optional third operand: int32 constants with zero point 0."""
        if not self.has_input(2):
            return None
        tensor = self.tensor(2, "bias")
        if tensor.dtype != "int32" or tensor.data is None:
            kind = tensor.dtype if tensor.data is not None else "computed at run time"
            self.unsupported(f"bias {tensor.name!r} is {kind}, and must be int32 constants", _TO_INT8)
        if tensor.quantization is not None and any(tensor.quantization.zero_point):
            self.unsupported(f"bias {tensor.name!r} has a zero point", "quantize biases symmetrically")
        return tensor.name

    def clamp(self) -> tuple[int, int]:
        code = self.option("fusedActivationFunction")
        activation = _ACTIVATION_NAMES.get(code, str(code))
        if activation not in ACTIVATIONS:
            self.unsupported(f"fused activation {activation}", f"use one of {', '.join(ACTIVATIONS)}")
        output = self.output()
        return activation_range(activation, output.scale, output.zero_point)

    def stride(self) -> tuple[int, int]:
        return self.pair("strideH", "strideW")

    def pair(self, y: str, x: str) -> tuple[int, int]:
        pair = (int(self.option(y)), int(self.option(x)))
        if min(pair) < 1:
            self.broken(f"{y}, {x} are {pair}, and must be positive")
        return pair

    def padding(
        self, image: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> tuple[int, int, int, int]:
        code = self.option("padding")
        if code == schema.Padding.VALID:
            return (0, 0, 0, 0)
        if code != schema.Padding.SAME:
            self.broken(f"padding {code} is neither SAME nor VALID")
        return same_padding((image.shape[1], image.shape[2]), kernel, stride, dilation)

    def rank4(self, tensor: Tensor, role: str) -> Tensor:
        if len(tensor.shape) != 4 or 0 in tensor.shape:
            self.broken(f"{role} {tensor.name!r} has shape {tensor.shape}, and must have 4 dimensions, none empty")
        return tensor


def read_operator(
    index: int,
    kind: str,
    options: Any,
    inputs: tuple[str | None, ...],
    outputs: tuple[str, ...],
    tensors: Mapping[str, Tensor],
    where: str,
) -> tuple[Operator, Tensor]:
    """The graph's operator, and its output tensor with the shape that the operator gives it.

    `options` is the schema's options object or None, `where` what messages call the place. Raises `UnsupportedError` and
    `ModelError` as `read_tflite` does.
    """
    site = _Site(index, kind, options, inputs, outputs, tensors, where)
    reader = _READERS.get(kind)
    if reader is None:
        site.unsupported("this operator is not known", f"known are {', '.join(_READERS)}")
    if len(outputs) != 1:
        site.broken(f"it has {len(outputs)} outputs instead of 1")
    try:
        operator = reader(site)
        shape = output_shape(operator, tensors)
    except ModelError:
        raise
    except ValueError as error:
        site.broken(str(error))
    return operator, replace(tensors[outputs[0]], shape=shape)


def _read_convolution(site: _Site) -> Operator:
    depthwise = site.kind == DepthwiseConv2D.KIND
    image = site.rank4(site.input(), "input")
    weights = site.rank4(site.int8(site.tensor(1, "weights"), "weights"), "weights")
    if weights.data is None:
        site.unsupported(f"weights {weights.name!r} are computed at run time", "make the weights constants")
    channel_axis = 3 if depthwise else 0
    channels = weights.shape[channel_axis]
    scales = _channel_scales(site, weights, channels, channel_axis)
    if any(weights.quantization.zero_point):
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


def _read_fully_connected(site: _Site) -> Operator:
    if site.option("weightsFormat") != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        site.unsupported("its weights are shuffled", "export the model with the default weights format")
    rows = site.input()
    weights = site.int8(site.tensor(1, "weights"), "weights")
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


def _channel_scales(site: _Site, weights: Tensor, channels: int, axis: int) -> tuple[float, ...]:
    """The effective scale of each output channel."""
    quantization = weights.quantization
    if quantization.axis not in (None, axis):
        site.broken(f"weights {weights.name!r} are quantized along axis {quantization.axis} instead of {axis}")
    scales = quantization.scale * channels if quantization.axis is None else quantization.scale
    return effective_scales(site.input().scale, scales, site.output().scale)


def _read_add(site: _Site) -> Operator:
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


def _read_pool(site: _Site) -> Operator:
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


def _read_reshape(site: _Site) -> Operator:
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


def _read_softmax(site: _Site) -> Operator:
    source, output = site.input(), site.output()
    if output.zero_point != -128 or not math.isclose(output.scale, 1 / 256, rel_tol=1e-3):
        site.unsupported(
            f"its output has scale {output.scale} and zero point {output.zero_point}",
            "an int8 softmax has the output scale 1/256 and zero point -128",
        )
    multiplier, shift, diff_min = softmax_factors(float(np.float32(site.option("beta"))), source.scale)
    return Softmax(**site.common, input=source.name, multiplier=multiplier, shift=shift, diff_min=diff_min)


_READERS: dict[str, Callable[[_Site], Operator]] = {
    Conv2D.KIND: _read_convolution,
    DepthwiseConv2D.KIND: _read_convolution,
    FullyConnected.KIND: _read_fully_connected,
    Add.KIND: _read_add,
    AveragePool2D.KIND: _read_pool,
    MaxPool2D.KIND: _read_pool,
    Reshape.KIND: _read_reshape,
    Softmax.KIND: _read_softmax,
}
