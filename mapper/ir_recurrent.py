"""Operators with a state. Cases are independent: a state begins at zero in each, so only what is left is a tensor."""

from dataclasses import dataclass

from .ir_base import Operator, Pair

__all__ = ["UnidirectionalSequenceLstm"]


@dataclass(frozen=True, kw_only=True)
class UnidirectionalSequenceLstm(Operator):
    """An LSTM over a sequence [batch, steps, inputs], or [steps, batch, inputs] if `time_major`.

    Gates stand in the order input, forget, cell, output; without an input gate it is one minus the forget gate, and
    all tuples have three entries. Weights are int8 [cells, inputs] and [cells, cells], biases int32 [cells]; factors
    are (multiplier, shift) for each gate. `output_state` (int8) and `cell_state` (int16, Q`cell_integer_bits`) are
    what the last step leaves. See `tilewright.sim.recurrent.lstm`.
    """

    KIND = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    READS = ("input", "input_weights", "recurrent_weights", "biases")

    input: str
    input_weights: tuple[str, ...]
    recurrent_weights: tuple[str, ...]
    biases: tuple[str, ...]
    output_state: str
    cell_state: str
    time_major: bool
    input_factors: tuple[Pair, ...]
    recurrent_factors: tuple[Pair, ...]
    hidden_factor: Pair
    cell_integer_bits: int
    cell_clip: int

    @property
    def outputs(self) -> tuple[str, ...]:
        """The sequence, and the two states that are left."""
        return (self.output, self.output_state, self.cell_state)
