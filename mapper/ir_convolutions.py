"""Convolutions and matrix products.

Activations and weights are int8, or both uint8. Weights of int8 convolutions have zero point 0.
"""

from dataclasses import dataclass

from .ir_base import Operator, Padding, Pair

__all__ = ["BatchMatMul", "Conv2D", "DepthwiseConv2D", "FullyConnected", "TransposeConv"]


@dataclass(frozen=True, kw_only=True)
class Conv2D(Operator):
    """A convolution, grouped if the weights have fewer channels than the input.

    `input` [batch, height, width, channels], `weights` [filters, kernel y, kernel x, channels / groups], `bias` int32
    [filters]. Pairs are (y, x), `padding` is (top, left, bottom, right), `clamp` the inclusive range of the fused
    activation. `multipliers` and `shifts` have one entry per filter (see `tilewright.sim.arithmetic`); rounded twice as
    TensorFlow Lite does, or once with `single_rounding` (shifts up to 30 then), which is closer to a float.
    """

    KIND = "CONV_2D"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    stride: Pair
    dilation: Pair
    padding: Padding
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair
    single_rounding: bool = False


@dataclass(frozen=True, kw_only=True)
class DepthwiseConv2D(Operator):
    """A depthwise convolution: as `Conv2D`, with `weights` [1, kernel y, kernel x, channels * channel multiplier].

    Output channel `c * m + j` is made from input channel c alone.
    """

    KIND = "DEPTHWISE_CONV_2D"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    stride: Pair
    dilation: Pair
    padding: Padding
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair
    single_rounding: bool = False


@dataclass(frozen=True, kw_only=True)
class TransposeConv(Operator):
    """A transposed convolution: as `Conv2D`, with every pixel spread over an output of `size` (rows, columns).

    `weights` [filters, kernel y, kernel x, channels]; pixel (y, x) begins at output (y * stride - top, x * stride -
    left).
    """

    KIND = "TRANSPOSE_CONV"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    size: Pair
    stride: Pair
    padding: Padding
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Operator):
    """A matrix product: `input` read as [batch, depth], `weights` [outputs, depth], `bias` int32 [outputs].

    The reference kernel requantizes in float64 with `scales`, one per output: that is the exact result. `multipliers`
    and `shifts` are the same factors as integers, for single rounding; the two can differ next to ties. `keep_dims`
    says that the output keeps the input's leading dimensions. The weights may be an activation.
    """

    KIND = "FULLY_CONNECTED"
    READS = ("input", "weights", "bias")

    input: str
    weights: str
    bias: str | None
    scales: tuple[float, ...]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    clamp: Pair
    keep_dims: bool = False


@dataclass(frozen=True, kw_only=True)
class BatchMatMul(Operator):
    """Matrix products `first` [..., rows, depth] times `second` [..., depth, columns]; leading dimensions broadcast.

    A transposed operand has its last two dimensions swapped. Double rounding.
    """

    KIND = "BATCH_MATMUL"
    READS = ("first", "second")

    first: str
    second: str
    transpose_first: bool
    transpose_second: bool
    multiplier: int
    shift: int
