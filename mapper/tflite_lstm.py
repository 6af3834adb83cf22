"""A raw UNIDIRECTIONAL_SEQUENCE_LSTM to the operator of the graph.

Source of the operands' order and of the factors: LiteRT `kernels/lstm_shared.h` and `unidirectional_sequence_lstm.cc`.
"""

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..sim.arithmetic import quantize_multiplier
from .ir import Operator, Tensor, UnidirectionalSequenceLstm
from .requantize import float32_factor
from .tflite_site import Site

__all__ = ["read_lstm"]

_GATES = ("input", "forget", "cell", "output")
_OPTIONAL = {
    "peephole connections": range(9, 12),
    "a projection": range(16, 18),
    "layer normalization": range(20, 24),
}
_HINT = "Tilewright runs the plain int8 LSTM with an int16 cell state, as the TensorFlow Lite converter makes it"
_HIDDEN = 4
"""Of the intermediate tensors, the one that quantizes the hidden value."""

_GATE_SCALE = 2.0**-12
"""Gates before their activations are in Q3.12."""


def read_lstm(site: Site) -> Operator:
    """The LSTM; `UnsupportedError` for peepholes, projection, layer normalization and other types than int8."""
    for what, positions in _OPTIONAL.items():
        if any(site.has_input(position) for position in positions):
            site.unsupported(f"it has {what}", _HINT)
    if site.option("fusedActivationFunction") != schema.ActivationFunctionType.TANH:
        site.unsupported("its activation is not TANH", _HINT)
    if getattr(site.options, "diagonalRecurrentTensors", False):
        site.unsupported("its recurrent weights are diagonal", _HINT)
    (source,) = site.operands("input", dtypes=("int8",))
    first = 0 if site.has_input(1) else 1
    gates = range(first, len(_GATES))
    inputs = [_weights(site, 1 + gate, f"input to {_GATES[gate]} weights") for gate in gates]
    recurrents = [_weights(site, 5 + gate, f"recurrent to {_GATES[gate]} weights") for gate in gates]
    biases = [_bias(site, 12 + gate, f"{_GATES[gate]} gate bias") for gate in gates]
    hidden, cell = site.tensor(18, "output state"), site.tensor(19, "cell state")
    _check_states(site, hidden, cell)
    bits = round(math.log2(cell.scale)) + 15
    return UnidirectionalSequenceLstm(
        **site.common,
        input=source.name,
        input_weights=tuple(tensor.name for tensor in inputs),
        recurrent_weights=tuple(tensor.name for tensor in recurrents),
        biases=tuple(biases),
        output_state=hidden.name,
        cell_state=cell.name,
        time_major=bool(site.option("timeMajor")),
        input_factors=tuple(_gate_factor(tensor, source.scale) for tensor in inputs),
        recurrent_factors=tuple(_gate_factor(tensor, hidden.scale) for tensor in recurrents),
        hidden_factor=_hidden_factor(site, hidden),
        cell_integer_bits=bits,
        cell_clip=_cell_clip(site, cell),
    )


def _weights(site: Site, position: int, role: str) -> Tensor:
    tensor = site.activation(site.tensor(position, role), role, ("int8",))
    if tensor.data is None or tensor.zero_point != 0 or len(tensor.shape) != 2:
        site.unsupported(f"{role} {tensor.name!r} are no int8 constants with zero point 0 in two dimensions", _HINT)
    return tensor


def _bias(site: Site, position: int, role: str) -> str:
    name = site.bias(position)
    if name is None:
        site.broken(f"it has no {role}")
    return name


def _check_states(site: Site, hidden: Tensor, cell: Tensor) -> None:
    output = site.output()
    if hidden.dtype != "int8" or cell.dtype != "int16" or not (hidden.quantization and cell.quantization):
        site.unsupported(f"its states are {hidden.dtype} and {cell.dtype}, and must be quantized int8 and int16", _HINT)
    if hidden.zero_point != output.zero_point or not 0 < hidden.scale < math.inf:
        site.unsupported("its output state is quantized otherwise than its output", _HINT)
    # The kernel wants a power of two within 1e-3 of its logarithm, and its tables end at 4 integer bits.
    exact = math.log2(cell.scale) if 0 < cell.scale < math.inf else math.nan
    if math.isnan(exact) or abs(exact - round(exact)) >= 1e-3 or not 0 <= round(exact) + 15 <= 4:
        site.unsupported(f"its cell state has the scale {cell.scale}", "use a power of two from 2**-15 to 2**-11")


def _gate_factor(weights: Tensor, scale: float) -> tuple[int, int]:
    return float32_factor(weights.scale, scale, divisor=_GATE_SCALE)


def _hidden_factor(site: Site, hidden: Tensor) -> tuple[int, int]:
    """From the product of two Q0.15 numbers to the output."""
    if len(site.intermediates) <= _HIDDEN:
        site.unsupported("its hidden value is not quantized", _HINT)
    quantized = site.activation(site.tensors[site.intermediates[_HIDDEN]], "hidden value", ("int8",))
    if quantized.zero_point != hidden.zero_point:
        site.unsupported("its hidden value is quantized otherwise than its output", _HINT)
    return quantize_multiplier(float(np.float32(2.0**-15 / quantized.scale * 2.0**-15)))


def _cell_clip(site: Site, cell: Tensor) -> int:
    clip = float(site.option("cellClip"))
    if not clip > 0:
        return 0
    # The kernel cuts off the quotient in float32.
    return int(np.float32(min(clip / cell.scale, 32767.0)))
