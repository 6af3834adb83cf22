"""From the float network to int8, by TensorFlow Lite's rules: real value = scale * (integer - zero point).

Weights are int8 with zero point 0 and a scale per output channel, biases int32 at the scale of the sums they join,
activations int8 with a scale and a zero point from the range that the training images give them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layers import Array, AveragePool, Layer, MaxPool, Parameters, Reshape, Softmax, Weighted
from .network import INPUT, NETWORK, run

__all__ = ["PIXELS", "Quantization", "Tensor", "quantize"]


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Scales, above 0, and zero point, -128 to 127: one scale for all, or one for each channel along `axis`."""

    scale: NDArray[np.float32]
    zero_point: int = 0
    axis: int = 0

    def integers(self, values: Array) -> NDArray[np.int8]:
        """The nearest int8 values, which saturate."""
        shape = [1] * values.ndim
        shape[self.axis] = -1
        rounded = np.rint(values / self.scale.astype(np.float64).reshape(shape)) + self.zero_point
        return np.clip(rounded, -128, 127).astype(np.int8)


PIXELS = Quantization(scale=np.array([1 / 240], np.float32), zero_point=-128)
"""Of the input: each of the 16 steps of grey is 15, so that no pixel lies between two integers."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of the quantized network, as large as for one image. `values` are those of a constant, int8 or int32."""

    name: str
    shape: tuple[int, ...]
    quantization: Quantization
    values: NDArray[np.int8] | NDArray[np.int32] | None = None


def quantize(parameters: Parameters, images: Array) -> dict[str, Tensor]:
    """All tensors by name: constants of the trained network, and activations calibrated on images [N, 8, 8, 1]."""
    activations, _ = run(parameters, images)
    tensors = {INPUT: Tensor(name=INPUT, shape=(1, *images.shape[1:]), quantization=PIXELS)}
    for layer in NETWORK:
        source = tensors[layer.inputs[0]].quantization
        if isinstance(layer, Weighted):
            for tensor in constants(layer, parameters, source):
                tensors[tensor.name] = tensor
        values = activations[layer.name]
        tensors[layer.name] = Tensor(
            name=layer.name, shape=(1, *values.shape[1:]), quantization=of_output(layer, source, values)
        )
    return tensors


def of_output(layer: Layer, source: Quantization, values: Array) -> Quantization:
    """Quantization of a layer's output, from that of its first operand and the output's values."""
    match layer:
        case MaxPool() | AveragePool() | Reshape():
            return source
        case Softmax():
            return Quantization(scale=np.array([1 / 256], np.float32), zero_point=-128)
        case _:
            return from_range(values)


def from_range(values: Array) -> Quantization:
    """255 steps from the least to the greatest value; 0 is in the range and has an integer of its own."""
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = np.float32((high - low) / 255)
    return Quantization(scale=np.array([scale]), zero_point=int(np.rint(-128 - low / np.float64(scale))))


def constants(layer: Weighted, parameters: Parameters, source: Quantization) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer. A channel's largest weight becomes 127 or -127."""
    weight, bias = parameters[f"{layer.name}.weight"], parameters[f"{layer.name}.bias"]
    others = tuple(axis for axis in range(weight.ndim) if axis != layer.channel_axis)
    scale = (np.abs(weight).max(axis=others) / 127).astype(np.float32)
    weights = Quantization(scale=scale, axis=layer.channel_axis)
    sums = Quantization(scale=source.scale * scale)
    integers = weights.integers(weight), np.rint(bias / sums.scale).astype(np.int32)
    return (
        Tensor(name=f"{layer.name}.weight", shape=weight.shape, quantization=weights, values=integers[0]),
        Tensor(name=f"{layer.name}.bias", shape=bias.shape, quantization=sums, values=integers[1]),
    )
