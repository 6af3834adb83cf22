"""From scales and zero points to the integers that the reference kernels compute with.

A scale is a float32; here it comes widened to a Python float, and every step is taken in the precision that the
kernels take it in. A factor is (multiplier, shift), see `tilewright.sim.arithmetic`. Source: LiteRT
`kernels/kernel_util.cc`, `add.cc`, `mul.cc`, `reduce.cc`, `squared_difference.cc`, `activations.cc` and
`internal/quantization_util.cc`.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..sim.arithmetic import INT32_MAX, INT32_MIN, quantize_multiplier
from ..sim.operators import ADD_LEFT_SHIFT, SQUARED_DIFFERENCE_LEFT_SHIFT
from ..sim.softmax import DIFFERENCE_INTEGER_BITS

__all__ = [
    "ACTIVATIONS",
    "activation_range",
    "add_factors",
    "effective_scales",
    "float32_factor",
    "mean_factor",
    "product_factor",
    "softmax_factors",
    "squared_difference_factors",
]

ACTIVATIONS = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
"""Lower and upper bound of each activation, as real numbers; None is no bound."""

Factor = tuple[int, int]
Triple = tuple[int, int, int]


def activation_range(activation: str, scale: float, zero_point: int, dtype: str = "int8") -> tuple[int, int]:
    """The inclusive range that an activation leaves of an 8-bit output of this scale and zero point.

    Raises `ValueError` for an activation that is not in `ACTIVATIONS`, or a scale so small that a bound leaves int32.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation} is not one of {', '.join(ACTIVATIONS)}")

    def quantized(bound: float) -> int:
        with np.errstate(over="ignore"):
            steps = float(np.float32(bound) / np.float32(scale))
        # Beyond 2**24 a float32 is an integer already, and adding a half could leave double's exact range.
        if not INT32_MIN <= steps <= INT32_MAX:
            raise ValueError(f"the bound {bound} of {activation} is {steps} steps of scale {scale}, more than 32 bits")
        return zero_point + math.floor(abs(steps) + 0.5) * (1 if steps >= 0 else -1)

    lower, upper = ACTIVATIONS[activation]
    limits = np.iinfo(dtype)
    least, most = int(limits.min), int(limits.max)
    return (
        least if lower is None else max(least, quantized(lower)),
        most if upper is None else min(most, quantized(upper)),
    )


def effective_scales(input_scale: float, weight_scales: Sequence[float], output_scale: float) -> tuple[float, ...]:
    """`input scale * weight scale / output scale` per channel in float64, multiplied and divided in this order."""
    return tuple(input_scale * weight_scale / output_scale for weight_scale in weight_scales)


def float32_factor(*scales: float, divisor: float) -> Factor:
    """The product of scales over a divisor, each step in float32: MUL, RELU, LEAKY_RELU, PRELU.

    Raises `ValueError` if it is not finite.
    """
    product = np.float32(scales[0])
    with np.errstate(over="ignore", under="ignore"):
        for scale in scales[1:]:
            product = product * np.float32(scale)
        quotient = float(product / np.float32(divisor))
    return quantize_multiplier(quotient)


def product_factor(first: float, second: float, output: float) -> Factor:
    """`first * second / output` with the product in float32, the quotient in float64: uint8 convolutions, BATCH_MATMUL."""
    with np.errstate(over="ignore", under="ignore"):
        product = float(np.float32(first) * np.float32(second))
    return quantize_multiplier(product / output)


def add_factors(first: float, second: float, output: float) -> tuple[Triple, Triple]:
    """Multipliers and shifts of ADD and SUB, each (first, second, output), from the three scales.

    Raises `ValueError` if a factor is 1 or more, which the kernel refuses: the output's scale is then below
    2**-19 of the larger input scale.
    """
    twice_larger = 2 * max(first, second)
    return _common_scale_factors(first, second, output, twice_larger / (1 << ADD_LEFT_SHIFT))


def squared_difference_factors(first: float, second: float, output: float) -> tuple[Triple, Triple]:
    """Multipliers and shifts of SQUARED_DIFFERENCE, each (first, second, output); `ValueError` as `add_factors`."""
    # The larger scale is a float32 in the kernel, and so is the divisor; their square and quotient are not.
    twice_larger = 2 * max(first, second)
    divisor = float(1 << (2 * SQUARED_DIFFERENCE_LEFT_SHIFT))
    return _common_scale_factors(first, second, output, twice_larger * twice_larger / divisor)


def _common_scale_factors(first: float, second: float, output: float, result: float) -> tuple[Triple, Triple]:
    """Both operands to twice the larger scale, and a number of scale `result` to the output's."""
    twice_larger = 2 * max(first, second)
    quantized = [quantize_multiplier(factor) for factor in (first / twice_larger, second / twice_larger, result / output)]
    if any(shift > 0 for _, shift in quantized):
        raise ValueError(f"the output scale {output} is too small beside the input scales {first} and {second}")
    (m1, s1), (m2, s2), (m3, s3) = quantized
    return (m1, m2, m3), (s1, s2, s3)


def mean_factor(input_scale: float, output_scale: float, count: int) -> Factor:
    """The factor of MEAN over `count` elements: the scales' quotient, divided by the count in integers."""
    multiplier, shift = quantize_multiplier(input_scale / output_scale)
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << bits) // count, shift - bits


def softmax_factors(beta: float, scale: float) -> tuple[int, int, int]:
    """Multiplier, shift and least difference of SOFTMAX from beta and the input's scale.

    Raises `ValueError` if `beta * scale` is 2**-26 or less, which the kernel refuses.
    """
    factor = min(beta * scale * (1 << (31 - DIFFERENCE_INTEGER_BITS)), float(INT32_MAX))
    if not factor > 1:
        raise ValueError(f"beta * scale is {beta * scale}, and must be more than 2**-{31 - DIFFERENCE_INTEGER_BITS}")
    multiplier, shift = quantize_multiplier(factor)
    reach = ((1 << DIFFERENCE_INTEGER_BITS) - 1) << (31 - DIFFERENCE_INTEGER_BITS)
    return multiplier, shift, -(reach >> shift)
