"""Models with variables, as streaming networks have them: each case begins with the initial state, as in a new interpreter."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tilewright.hw.params import Parameters
from tilewright.mapper.compile import compile_model
from tilewright.mapper.errors import ModelError, UnsupportedError
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.ir import Concatenation
from tilewright.mapper.tflite import read_tflite

from ..mapper.networks import compare
from ..models import ModelBuilder, reference_tensors
from ..quantized import random_int8

STATE = (1, 2, 1, 8)
RNG = np.random.default_rng(5)


class StreamBuilder(ModelBuilder):
    """A model whose second subgraph initializes variables."""

    def __init__(self) -> None:
        super().__init__()
        self.initial = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="initial")
        self.model.subgraphs.append(self.initial)
        self.operators("CALL_ONCE", [], [], schema.CallOnceOptionsT(initSubgraphIndex=1))

    def handle(self, name: str) -> int:
        options = schema.VarHandleOptionsT(container="", sharedName=name)
        return self.operator("VAR_HANDLE", [], self.tensor((), dtype="resource"), options)

    def initialize(self, name: str, data: np.ndarray) -> None:
        main, self.subgraph = self.subgraph, self.initial
        self.assign(self.handle(name), self.constant(data, 0.5, zero_point=3))
        self.subgraph = main

    def assign(self, handle: int, value: int) -> None:
        self.operators("ASSIGN_VARIABLE", [handle, value], [], schema.AssignVariableOptionsT())

    def read(self, handle: int, shape: tuple[int, ...] = STATE) -> int:
        return self.operator("READ_VARIABLE", [handle], self.tensor(shape, 0.5, 3), schema.ReadVariableOptionsT())


def streaming(read_again: bool = False) -> bytes:
    """Rows of the state and new ones through a convolution; the last rows are the next state."""
    builder = StreamBuilder()
    builder.initialize("rows", random_int8(RNG, STATE))
    handle = builder.handle("rows")
    source = builder.input((1, 3, 1, 8), 0.5, 3)
    options = schema.ConcatenationOptionsT(axis=1)
    rows = builder.operator("CONCATENATION", [builder.read(handle), source], builder.tensor((1, 5, 1, 8), 0.5, 3), options)
    begin, size = (builder.constant(np.array(numbers, np.int32)) for numbers in ((0, 3, 0, 0), STATE))
    last = builder.operator("SLICE", [rows, begin, size], builder.tensor(STATE, 0.5, 3), schema.SliceOptionsT())
    builder.assign(handle, last)
    weights = builder.constant(random_int8(RNG, (4, 5, 1, 8), -127), [0.01] * 4)
    bias = builder.constant(np.arange(4, dtype=np.int32), [0.005] * 4)
    conv = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    output = builder.operator("CONV_2D", [rows, weights, bias], builder.tensor((1, 1, 1, 4), 0.4, -5), conv)
    return builder.build(output, *([builder.read(handle)] if read_again else []))


@pytest.mark.parametrize("read_again", [False, True])
def test_state(read_again):
    model = streaming(read_again)
    graph = read_tflite(model)
    for _ in range(2):
        case = random_int8(RNG, (1, 3, 1, 8))
        values = evaluate(graph, {graph.inputs[0]: case})
        expected = dict(zip(graph.tensors, reference_tensors(model, [case]), strict=True))
        assert set(graph.tensors) - set(values) == {name for name, tensor in graph.tensors.items() if tensor.dtype == "resource"}
        for name, value in values.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name, strict=True)


def test_a_state_goes_to_the_accelerator():
    graph = read_tflite(streaming())
    program = compile_model(graph, Parameters(rows=8, cols=8))
    compare(graph, program, {graph.inputs[0]: random_int8(RNG, (1, 3, 1, 8))})
    (joined,) = (operator for operator in graph.operators if isinstance(operator, Concatenation))
    assert {row.op: row.fused_into for row in program.layers if not row.output} == {
        "CALL_ONCE": None, "VAR_HANDLE": joined.name, "READ_VARIABLE": joined.name, "ASSIGN_VARIABLE": None
    }  # fmt: skip


def test_variables_that_nothing_has_set_are_refused():
    builder = StreamBuilder()
    builder.input((1, 2), 0.5)
    with pytest.raises(UnsupportedError, match="a variable that nothing has set"):
        read_tflite(builder.build(builder.read(builder.handle("rows"))))


def test_broken_initializations_are_named():
    builder = StreamBuilder()
    builder.subgraph.operators[0].builtinOptions.initSubgraphIndex = 7
    builder.input((1, 2), 0.5)
    with pytest.raises(ModelError, match="subgraph 7 of 2 does not exist"):
        read_tflite(builder.build(builder.read(builder.handle("rows"))))
