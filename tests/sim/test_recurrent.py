"""LSTMs, and the 16-bit fixed point in them, against LiteRT's reference kernels."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.tflite import read_tflite

from ..models import TANH, ModelBuilder, reference_tensors
from ..quantized import random_elements, seeds, zero_points


def lstm_model(
    rng: np.random.Generator,
    sequence: tuple[int, int, int],
    cells: int,
    points: tuple[int, int] = (0, 0),
    *,
    cifg: bool = False,
    time_major: bool = False,
    cell_bits: int = 4,
    clip: float = 0.0,
    gain: float = 1.0,
    peephole: bool = False,
) -> bytes:
    """An int8 LSTM over [batch, steps, inputs]; the larger `gain`, the more gates saturate."""
    batch, steps, inputs = sequence
    builder = ModelBuilder()
    shape = (steps, batch, inputs) if time_major else sequence
    source = builder.input(shape, 1 / 64, points[0])
    output_scale = 1 / 128

    def weights(depth: int, absent: bool = False) -> int:
        scale = gain * float(rng.uniform(0.5, 1.5)) / 64
        return -1 if absent else builder.constant(random_elements(rng, (cells, depth), "int8"), scale)

    def bias(absent: bool = False) -> int:
        values = rng.integers(-2000, 2000, cells).astype(np.int32)
        return -1 if absent else builder.constant(values, gain / 4096)

    operands = [source]
    operands += [weights(inputs, cifg and gate == 0) for gate in range(4)]
    operands += [weights(cells, cifg and gate == 0) for gate in range(4)]
    peepholes = [-1] * 3
    if peephole:
        peepholes[1:] = [builder.constant(np.ones(cells, np.int16), 2.0**-15) for _ in range(2)]
    operands += peepholes
    operands += [bias(cifg and gate == 0) for gate in range(4)]
    operands += [-1, -1]
    operands.append(builder.tensor((batch, cells), output_scale, points[1], variable=True))
    operands.append(builder.tensor((batch, cells), 2.0 ** (cell_bits - 15), dtype="int16", variable=True))
    operands += [-1] * 4
    output = builder.tensor((*shape[:2], cells), output_scale, points[1])
    intermediates = [builder.tensor((0,), dtype="float32") for _ in range(4)]
    intermediates.append(builder.tensor((0,), output_scale, points[1]))
    options = schema.UnidirectionalSequenceLSTMOptionsT(
        fusedActivationFunction=TANH, cellClip=clip, timeMajor=time_major
    )
    builder.operators("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [output], options, intermediates)
    return builder.build(output)


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds,
    sequence=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 9)),
    cells=st.integers(1, 9),
    points=st.tuples(zero_points, zero_points),
    cifg=st.booleans(),
    time_major=st.booleans(),
    cell_bits=st.integers(0, 4),
    clip=st.sampled_from([0.0, 0.7, 10.0]),
    gain=st.sampled_from([0.01, 0.3, 3.0]),
)
def test_lstm(seed, sequence, cells, points, cifg, time_major, cell_bits, clip, gain):
    rng = np.random.default_rng(seed)
    model = lstm_model(
        rng, sequence, cells, points, cifg=cifg, time_major=time_major, cell_bits=cell_bits, clip=clip, gain=gain
    )
    graph = read_tflite(model)
    (source,) = graph.inputs
    case = random_elements(rng, graph.tensors[source].shape, "int8")
    values = evaluate(graph, {source: case})
    expected = dict(zip(graph.tensors, reference_tensors(model, [case]), strict=True))
    (operator,) = graph.operators
    # The intermediates have no elements; everything else is compared, both states included.
    assert set(graph.tensors) - set(values) == {f"t{index}" for index in range(len(graph.tensors) - 5, len(graph.tensors))}
    assert set(operator.outputs) <= set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name, strict=True)


def test_cases_are_independent():
    rng = np.random.default_rng(0)
    graph = read_tflite(lstm_model(rng, (1, 4, 3), 5))
    (source,) = graph.inputs
    cases = [{source: random_elements(rng, (1, 4, 3), "int8")} for _ in range(2)]
    first = evaluate(graph, cases[0])
    evaluate(graph, cases[1])
    again = evaluate(graph, cases[0])
    for name in graph.operators[0].outputs:
        np.testing.assert_array_equal(first[name], again[name])


def test_other_lstms_are_refused():
    with pytest.raises(UnsupportedError, match="it has peephole connections"):
        read_tflite(lstm_model(np.random.default_rng(0), (1, 2, 3), 4, peephole=True))
