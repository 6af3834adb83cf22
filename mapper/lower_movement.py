"""Operators that move bytes to layers."""

from dataclasses import replace

import numpy as np

from ..hw.isa import Mode
from .ir import Pad
from .layer import Layer, uniform
from .lower_base import FULL_RANGE, IDENTITY, Tensors, base_layer, refused, shift, whole
from .window import find_window

__all__ = ["padding"]


def padding(operator: Pad, tensors: Tensors) -> Layer:
    """A border around the pixels: a depthwise convolution of one tap that finds `value` outside the image."""
    source, output = tensors[operator.input], tensors[operator.output]
    if len(source.shape) != 4 or any(operator.padding[0]) or any(operator.padding[3]):
        raise refused(operator, f"a border of {operator.padding} is not around pixels alone", "it runs on the host")
    (top, bottom), (left, right) = operator.padding[1:3]
    borders = (top, left, bottom, right)
    window = find_window(source.shape, output.shape, (1, 1), (1, 1), (1, 1), borders)
    weights = np.ones((1, 1, source.shape[3]), np.int8)
    layer = base_layer(operator, tensors, operator.input, window, weights, Mode.DEPTHWISE)
    layer = replace(layer, pad=operator.value - shift(source), zero_point=0, clamp=FULL_RANGE)
    return whole(layer, uniform(layer.outputs, 0, *IDENTITY))
