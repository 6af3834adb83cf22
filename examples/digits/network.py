"""The network that reads digits: its layers, its first parameters, and how it runs forward and backward."""

import math

import numpy as np

from .layers import (
    Add,
    Array,
    AveragePool,
    Backward,
    Convolution,
    Dense,
    Depthwise,
    MaxPool,
    Parameters,
    Reshape,
    Softmax,
    Weighted,
)

__all__ = ["INPUT", "NETWORK", "initialize", "run", "run_backward"]

INPUT = "image"
"""The network's input, [N, 8, 8, 1], 0 (paper) to 1 (ink)."""

NETWORK = (
    Convolution("conv1", (INPUT,), (16, 3, 3, 1)),
    Convolution("conv2", ("conv1",), (24, 3, 3, 16)),
    Depthwise("depthwise", ("conv2",), (1, 3, 3, 24)),
    Convolution("pointwise", ("depthwise",), (24, 1, 1, 24), relu=False),
    Add("residual", ("conv2", "pointwise")),
    MaxPool("maximum", ("residual",)),
    Convolution("conv3", ("maximum",), (40, 3, 3, 24), stride=2),
    AveragePool("average", ("conv3",)),
    Reshape("features", ("average",)),
    Dense("logits", ("features",), (10, 40), relu=False),
    Softmax("probabilities", ("logits",)),
)
"""In the order of execution: the last one's output is the network's, [N, 10], one probability per digit."""


def initialize(random: np.random.Generator) -> Parameters:
    """Weights uniform within +-sqrt(6 / fan-in), which keeps the variance through ReLU (He et al. 2015); biases 0."""
    parameters = {}
    for layer in NETWORK:
        if isinstance(layer, Weighted):
            limit = math.sqrt(6 / layer.fan_in)
            parameters[f"{layer.name}.weight"] = (2 * random.random(layer.shape) - 1) * limit
            parameters[f"{layer.name}.bias"] = np.zeros(layer.channels)
    return parameters


def run(parameters: Parameters, images: Array) -> tuple[dict[str, Array], list[Backward]]:
    """Every tensor of the network by name, for images [N, 8, 8, 1], and each layer's way back."""
    tensors, tape = {INPUT: images}, []
    for layer in NETWORK:
        tensors[layer.name], backward = layer.run(parameters, *(tensors[name] for name in layer.inputs))
        tape.append(backward)
    return tensors, tape


def run_backward(tape: list[Backward], truth: Array) -> Parameters:
    """Gradients of the summed cross-entropy against true probabilities [N, 10], by parameter."""
    pending = {NETWORK[-1].name: truth}
    gradients: Parameters = {}
    for layer, backward in zip(reversed(NETWORK), reversed(tape), strict=True):
        operand_gradients, parameter_gradients = backward(pending.pop(layer.name))
        gradients |= parameter_gradients
        for name, gradient in zip(layer.inputs, operand_gradients, strict=True):
            pending[name] = pending[name] + gradient if name in pending else gradient
    return gradients
