"""Pooling."""

from dataclasses import dataclass

from .ir_base import Operator, Padding, Pair

__all__ = ["AveragePool2D", "MaxPool2D"]


@dataclass(frozen=True, kw_only=True)
class AveragePool2D(Operator):
    """The mean of each window's elements inside the image. Input and output count as equally quantized."""

    KIND = "AVERAGE_POOL_2D"
    READS = ("input",)

    input: str
    kernel: Pair
    stride: Pair
    padding: Padding
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class MaxPool2D(Operator):
    """The largest of each window's elements inside the image. Input and output count as equally quantized."""

    KIND = "MAX_POOL_2D"
    READS = ("input",)

    input: str
    kernel: Pair
    stride: Pair
    padding: Padding
    clamp: Pair
