"""MACs, against counts of the multiplications one by one."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tilewright.mapper.macs import count_macs
from tilewright.mapper.tflite import read_tflite

from ..models import SAME, VALID, ModelBuilder
from ..quantized import pairs


def counted(model: bytes) -> int:
    graph = read_tflite(model)
    return sum(count_macs(operator, graph.tensors) for operator in graph.operators)


@settings(max_examples=20, deadline=None)
@given(size=pairs(1, 4), kernel=pairs(1, 3), stride=pairs(1, 2), depth=pairs(1, 4), valid=st.booleans())
def test_transpose_conv(size, kernel, stride, depth, valid):
    """Every pixel meets every tap, wherever that falls."""
    channels, filters = depth
    out = [
        (length - 1) * step + max(taps, step) if valid else length * step
        for length, taps, step in zip(size, kernel, stride, strict=True)
    ]
    builder = ModelBuilder()
    shape = builder.constant(np.array([1, *out, filters], np.int32))
    weights = builder.constant(np.ones((filters, *kernel, channels), np.int8), [0.5] * filters)
    image = builder.input((1, *size, channels), 0.5)
    options = schema.TransposeConvOptionsT(padding=VALID if valid else SAME, strideH=stride[0], strideW=stride[1])
    output = builder.operator("TRANSPOSE_CONV", [shape, weights, image], builder.tensor((1, *out, filters), 0.5), options)
    pixels, taps, products = list(np.ndindex(size)), list(np.ndindex(kernel)), list(np.ndindex(depth))
    assert counted(builder.build(output)) == sum(1 for _ in pixels for _ in taps for _ in products)


@settings(max_examples=20, deadline=None)
@given(batch=st.lists(st.integers(1, 3), max_size=2), rows=st.integers(1, 4), depth=st.integers(1, 4), columns=st.integers(1, 4),
       turned=st.tuples(st.booleans(), st.booleans()))  # fmt: skip
def test_batch_matmul(batch, rows, depth, columns, turned):
    first, second = (depth, rows) if turned[0] else (rows, depth), (columns, depth) if turned[1] else (depth, columns)
    builder = ModelBuilder()
    operands = [builder.input((*batch, *first), 0.5), builder.input(second, 0.5)]
    options = schema.BatchMatMulOptionsT(adjX=turned[0], adjY=turned[1])
    output = builder.operator("BATCH_MATMUL", operands, builder.tensor((*batch, rows, columns), 0.5), options)
    assert counted(builder.build(output)) == sum(1 for _ in np.ndindex((*batch, rows, columns)) for _ in range(depth))
