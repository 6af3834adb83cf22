"""UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with an int16 cell state.

Gates are computed in Q3.12, their activations and the hidden value in Q0.15, each in 16-bit fixed point. Source:
LiteRT `kernels/lstm_eval.cc` and `internal/reference/portable_tensor_utils.cc`; bit-exact with ai-edge-litert 2.3.0,
`OpResolverType.BUILTIN_REF`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import multiply_by_quantized_multiplier, rounding_divide_by_pot
from .fixed_point import logistic, saturate, tanh

__all__ = ["Gate", "lstm"]

Array = npt.NDArray[Any]
Int64Array = npt.NDArray[np.int64]

_GATE_INTEGER_BITS = 3


@dataclass(frozen=True, eq=False)
class Gate:
    """The weights of one gate: int8 `input_weights` [cells, inputs], `recurrent_weights` [cells, cells], int32 `bias`.

    Factors are (multiplier, shift) and scale the products to Q3.12.
    """

    input_weights: Array
    recurrent_weights: Array
    bias: Array
    input_factor: tuple[int, int]
    recurrent_factor: tuple[int, int]

    def sums(self, step: Int64Array, hidden: Int64Array) -> Int64Array:
        """The gate before its activation, from centred [batch, inputs] and [batch, cells]; saturated after each term."""
        terms = (
            (step @ self.input_weights.T.astype(np.int64) + self.bias, self.input_factor),
            (hidden @ self.recurrent_weights.T.astype(np.int64), self.recurrent_factor),
        )
        total = np.zeros((1, 1), np.int64)
        for products, factor in terms:
            total = saturate(total + multiply_by_quantized_multiplier(products, *factor), 16)
        return total


def lstm(
    sequence: Array,
    *,
    input_gate: Gate | None,
    forget_gate: Gate,
    cell_gate: Gate,
    output_gate: Gate,
    zero_points: tuple[int, int],
    cell_integer_bits: int,
    cell_clip: int,
    hidden_factor: tuple[int, int],
) -> tuple[Array, Array, Array]:
    """Every step's output, and the two states that are left: output [batch, cells] int8, cell [batch, cells] int16.

    `sequence` [batch, steps, inputs] int8; the states begin at their zero points. Without an input gate it is one
    minus the forget gate. `zero_points` is (input, output). The cell state is in Q`cell_integer_bits` and is clipped
    to plus or minus `cell_clip` if that is above 0. `hidden_factor` scales the product of output gate and tanh of the
    cell to the output.
    """
    batch, steps, _ = sequence.shape
    cells = forget_gate.input_weights.shape[0]
    cell = np.zeros((batch, cells), np.int64)
    hidden = np.zeros((batch, cells), np.int64)
    outputs = np.zeros((batch, steps, cells), np.int8)
    for number in range(steps):
        step = sequence[:, number].astype(np.int64) - zero_points[0]
        forget = logistic(forget_gate.sums(step, hidden), _GATE_INTEGER_BITS, 16)
        # The kernel takes 1 as 32767.
        admit = 32767 - forget if input_gate is None else logistic(input_gate.sums(step, hidden), _GATE_INTEGER_BITS, 16)
        update = tanh(cell_gate.sums(step, hidden), _GATE_INTEGER_BITS, 16)
        kept = rounding_divide_by_pot(forget * cell, 15)
        cell = saturate(kept + rounding_divide_by_pot(admit * update, 15 + cell_integer_bits), 16)
        if cell_clip > 0:
            cell = np.clip(cell, -cell_clip, cell_clip)
        release = logistic(output_gate.sums(step, hidden), _GATE_INTEGER_BITS, 16)
        product = release * tanh(cell, cell_integer_bits, 16)
        result = saturate(multiply_by_quantized_multiplier(product, *hidden_factor) + zero_points[1], 8)
        outputs[:, number] = result
        hidden = result - zero_points[1]
    return outputs, (hidden + zero_points[1]).astype(np.int8), cell.astype(np.int16)
