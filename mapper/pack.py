"""Packing: a convolution that loads an image of few channels reads it as rows of bytes, many taps in a pass."""

import math
from dataclasses import replace

import numpy as np

from ..hw.isa import Mode
from ..hw.params import Parameters
from .errors import UnsupportedError
from .layer import Image, Layer, Load, Network, Step
from .limits import check_layer
from .tiling import candidates, cost

__all__ = ["pack", "packed_layer"]


def pack(network: Network, params: Parameters) -> Network:
    """Put dense layers that read loaded images into packed mode where that is faster.

    The image is then loaded as plain rows, which takes less memory, too. A layer with a residual operand stays.
    """
    for layer in network.layers:
        if (packed := _packed(network, layer, params)) is not None:
            network = _replace(network, layer, packed)
    return network


def _packed(network: Network, layer: Layer, params: Parameters) -> Layer | None:
    """The same layer in packed mode, if it is legal and faster."""
    loaded = any(isinstance(step, Load) and step.image == layer.input for step in network.steps)
    packed = packed_layer(layer, params) if loaded else None
    return packed if packed is not None and _cycles(packed, params) < _cycles(layer, params) else None


def packed_layer(layer: Layer, params: Parameters) -> Layer | None:
    """The same layer in packed mode, for an image that is loaded as plain rows; None if that is not legal."""
    if not (params.packed and layer.mode is Mode.DENSE and layer.residual is None):
        return None
    channels = layer.weights.shape[2]
    packed = replace(
        layer,
        mode=Mode.PACKED,
        size=(layer.size[0], layer.size[1] * channels),
        stride=(layer.stride[0], layer.stride[1] * channels),
        origin=(layer.origin[0], layer.origin[1] * channels),
        dilation=(1, 1),
        weights=_as_bytes(layer),
    )
    try:
        check_layer(packed, params)
    except UnsupportedError:
        return None
    return packed if candidates(packed, params) else None


def _as_bytes(layer: Layer) -> np.ndarray:
    """Weights [rows, bytes, 1, outputs] of the kernel as it lies over plain rows; zero between dilated taps."""
    channels, outputs = layer.weights.shape[2:]
    folds = layer.weights.reshape(layer.kernel[0], layer.folds, layer.kernel[1], channels, outputs)
    spread = [(taps - 1) * step + 1 for taps, step in zip(layer.kernel, layer.dilation, strict=True)]
    wide = np.zeros((spread[0], layer.folds, spread[1], channels, outputs), np.int8)
    wide[:: layer.dilation[0], :, :: layer.dilation[1]] = folds
    return wide.reshape(spread[0], layer.folds * spread[1] * channels, 1, outputs)


def _cycles(layer: Layer, params: Parameters) -> float:
    costs = (cost(layer, tiling, params, {layer.input}) for tiling in candidates(layer, params))
    return min(costs, default=math.inf)


def _replace(network: Network, layer: Layer, packed: Layer) -> Network:
    """The network with the packed layer, and its image loaded as rows, beside the old one if that has other readers."""
    old = network.images[layer.input]
    shared = network.readers(layer.input) != (layer,)
    name = f"{old.name}@rows" if shared else old.name
    images = {**network.images, name: Image(name, old.tensor, *packed.input_layout)}
    steps: list[Step] = []
    for step in network.steps:
        if step is layer:
            if shared and name not in network.images:
                steps.append(Load(old.tensor, name))
            step = replace(packed, input=name)
        steps.append(step)
    return Network(images, tuple(steps))
