"""Operators along axes."""

from dataclasses import dataclass

from .ir_base import Operator

__all__ = ["ArgMax", "ArgMin", "Mean", "ReduceMax", "ReduceMin", "Softmax"]


@dataclass(frozen=True, kw_only=True)
class Mean(Operator):
    """The mean along `axes`; `multiplier` and `shift` scale the centred sum, 1 / count included; double rounding."""

    KIND = "MEAN"
    READS = ("input",)

    input: str
    axes: tuple[int, ...]
    keep_dims: bool
    multiplier: int
    shift: int


@dataclass(frozen=True, kw_only=True)
class ReduceMax(Operator):
    """The largest element along `axes`. Input and output count as equally quantized."""

    KIND = "REDUCE_MAX"
    READS = ("input",)

    input: str
    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True, kw_only=True)
class ReduceMin(Operator):
    """The smallest element along `axes`. Input and output count as equally quantized."""

    KIND = "REDUCE_MIN"
    READS = ("input",)

    input: str
    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True, kw_only=True)
class ArgMax(Operator):
    """The index of the first largest element along `axis`, which is gone; int32 or int64."""

    KIND = "ARG_MAX"
    READS = ("input",)

    input: str
    axis: int


@dataclass(frozen=True, kw_only=True)
class ArgMin(Operator):
    """The index of the first smallest element along `axis`, which is gone; int32 or int64."""

    KIND = "ARG_MIN"
    READS = ("input",)

    input: str
    axis: int


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """Softmax over the last axis in fixed point, with the arguments of `tilewright.sim.operators.softmax`."""

    KIND = "SOFTMAX"
    READS = ("input",)

    input: str
    multiplier: int
    shift: int
    diff_min: int
