"""Operators on single elements and on pairs of elements, which broadcast.

Activations are int8 or uint8. Triples are (first, second, output); scalings round twice.
"""

from dataclasses import dataclass

from .ir_base import Operator, Pair

__all__ = [
    "Abs",
    "Add",
    "Cast",
    "Dequantize",
    "Exp",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Logistic",
    "Lookup",
    "Maximum",
    "Minimum",
    "Mul",
    "Pointwise",
    "Prelu",
    "Quantize",
    "Relu",
    "Relu0To1",
    "Relu6",
    "ReluN1To1",
    "Rsqrt",
    "SquaredDifference",
    "Sub",
    "Tanh",
]

Triple = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Add(Operator):
    """The sum of two tensors, which broadcast; multipliers and shifts are (first, second, output); double rounding."""

    KIND = "ADD"
    READS = ("first", "second")

    first: str
    second: str
    multipliers: Triple
    shifts: Triple
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class Sub(Operator):
    """The difference of two tensors: as `Add`."""

    KIND = "SUB"
    READS = ("first", "second")

    first: str
    second: str
    multipliers: Triple
    shifts: Triple
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class Mul(Operator):
    """The product of two tensors; `multiplier` and `shift` scale the product of the centred elements."""

    KIND = "MUL"
    READS = ("first", "second")

    first: str
    second: str
    multiplier: int
    shift: int
    clamp: Pair


@dataclass(frozen=True, kw_only=True)
class SquaredDifference(Operator):
    """The square of the difference of two int8 tensors."""

    KIND = "SQUARED_DIFFERENCE"
    READS = ("first", "second")

    first: str
    second: str
    multipliers: Triple
    shifts: Triple


@dataclass(frozen=True, kw_only=True)
class Maximum(Operator):
    """The larger of two elements. All three tensors count as equally quantized."""

    KIND = "MAXIMUM"
    READS = ("first", "second")

    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Minimum(Operator):
    """The smaller of two elements. All three tensors count as equally quantized."""

    KIND = "MINIMUM"
    READS = ("first", "second")

    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Prelu(Operator):
    """Rescaling of elements at or above zero, and of the others times `alpha`; factors in this order."""

    KIND = "PRELU"
    READS = ("input", "alpha")

    input: str
    alpha: str
    multipliers: Pair
    shifts: Pair


@dataclass(frozen=True, kw_only=True)
class Lookup(Operator):
    """An operator on one byte at a time: `table` has the 256 results, indexed by the byte as an unsigned number."""

    READS = ("input",)

    input: str
    table: tuple[int, ...]


class Abs(Lookup):
    """The size of an element; int8."""

    KIND = "ABS"


class Exp(Lookup):
    """exp(x); int8."""

    KIND = "EXP"


class HardSwish(Lookup):
    """x * min(max(x + 3, 0), 6) / 6, in 16-bit fixed point."""

    KIND = "HARD_SWISH"


class LeakyRelu(Lookup):
    """x, and x times a constant below zero."""

    KIND = "LEAKY_RELU"


class Log(Lookup):
    """The natural logarithm; int8."""

    KIND = "LOG"


class Logistic(Lookup):
    """1 / (1 + exp(-x))."""

    KIND = "LOGISTIC"


class Pointwise(Lookup):
    """Any other function of an element, or several in a row."""

    KIND = "POINTWISE"


class Relu(Lookup):
    """A rectifier that rescales."""

    KIND = "RELU"


class Relu6(Lookup):
    """A rectifier up to 6 that rescales."""

    KIND = "RELU6"


class ReluN1To1(Lookup):
    """A clamp to -1 and 1 that rescales."""

    KIND = "RELU_N1_TO_1"


class Relu0To1(Lookup):
    """A clamp to 0 and 1 that rescales."""

    KIND = "RELU_0_TO_1"


class Rsqrt(Lookup):
    """1 / sqrt(x); int8."""

    KIND = "RSQRT"


class Tanh(Lookup):
    """The hyperbolic tangent."""

    KIND = "TANH"


@dataclass(frozen=True, kw_only=True)
class Quantize(Operator):
    """To 8 bits, from float32 or from another quantization of 8 bits.

    `table` has the results of the 256 bytes as in `Lookup`; it is None for a float32 input, which is divided by the
    output's scale and rounded: half away from zero as TensorFlow Lite does, or `half_even` as ONNX says.
    """

    KIND = "QUANTIZE"
    READS = ("input",)

    input: str
    table: tuple[int, ...] | None
    half_even: bool = False


@dataclass(frozen=True, kw_only=True)
class Dequantize(Operator):
    """`scale * (stored - zero_point)` as float32."""

    KIND = "DEQUANTIZE"
    READS = ("input",)

    input: str


@dataclass(frozen=True, kw_only=True)
class Cast(Operator):
    """The stored numbers in another element type, `dtype`; whatever the quantization."""

    KIND = "CAST"
    READS = ("input",)

    input: str
    dtype: str
