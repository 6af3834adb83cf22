"""Networks of absurd size are refused at once; those below the bounds are not."""

import time

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tilewright.mapper.errors import UnsupportedError
from tilewright.mapper.ir import Unsupported
from tilewright.mapper.tflite import read_tflite

from ..models import SAME, ModelBuilder

HUGE = (1 << 31) - 1


def resized(rows: int, columns: int = 2) -> bytes:
    """An image of 2 x 2 pixels resized."""
    builder = ModelBuilder()
    image = builder.input((1, 2, 2, 1), 0.5)
    size = builder.constant(np.array([rows, columns], np.int32))
    output = builder.tensor((1,), 0.5)
    return builder.build(builder.operator("RESIZE_BILINEAR", [image, size], output, schema.ResizeBilinearOptionsT()))


def pooled(kernel: int, size: int = 8) -> bytes:
    """A pool whose window reaches over the whole image, and beyond."""
    builder = ModelBuilder()
    image = builder.input((1, size, size, 2), 0.5)
    options = schema.Pool2DOptionsT(padding=SAME, strideH=1, strideW=1, filterHeight=kernel, filterWidth=kernel)
    return builder.build(builder.operator("MAX_POOL_2D", [image], builder.tensor((1,), 0.5), options))


def doubled(times: int, constant: bool = False) -> bytes:
    """A tensor joined with itself, again and again."""
    builder = ModelBuilder()
    image = builder.input((1, 1024), 0.5)
    joined = builder.constant(np.ones((1, 1024), np.int8), 0.5) if constant else image
    for _ in range(times):
        options = schema.ConcatenationOptionsT(axis=0)
        joined = builder.operator("CONCATENATION", [joined, joined], builder.tensor((1,), 0.5), options)
    return builder.build(builder.operator("ADD", [image, joined], builder.tensor((1,), 0.5), schema.AddOptionsT()))


def rectified(shape: tuple[int, ...], times: int = 1) -> bytes:
    """A tensor of any shape, and copies of it."""
    builder = ModelBuilder()
    tensor = builder.input(shape, 0.5)
    for _ in range(times):
        tensor = builder.operator("RELU", [tensor], builder.tensor((1,), 0.5))
    return builder.build(tensor)


def outer(length: int) -> bytes:
    """Every number times every other."""
    builder = ModelBuilder()
    column = builder.input((1, length, 1), 0.5)
    options = schema.BatchMatMulOptionsT(adjY=True)
    return builder.build(builder.operator("BATCH_MATMUL", [column, column], builder.tensor((1,), 0.5), options))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (resized(16_000_000), "has 32,000,000 elements, more than 8,388,608"),
        (resized(HUGE, HUGE), "elements, more than"),
        (rectified((1, HUGE, HUGE, 2)), "tensor 't0' of shape"),
        (rectified((0, HUGE, HUGE, 2)), "elements, more than"),
        (rectified((1 << 22,), 40), "the activations up to here take 138,412,032 bytes"),
        (pooled(1 << 30), "its input with padding has"),
        (pooled(1000, 300), "takes 180,224,000,000 multiplications"),
        (doubled(40), "elements, more than"),
        (doubled(40, constant=True), "elements, more than"),
        (outer(4096), "has 16,777,216 elements"),
    ],
)
def test_what_is_too_large(content: bytes, reason: str):
    start = time.process_time()
    with pytest.raises(UnsupportedError, match=reason) as caught:
        read_tflite(content)
    assert "cut it into several" in caught.value.hint
    assert any(isinstance(each, Unsupported) for each in read_tflite(content, partial=True).operators)
    assert time.process_time() - start < 5


def test_what_is_not():
    for content in (resized(4_000_000), rectified((1 << 23,)), pooled(8), doubled(10, constant=True), outer(2048)):
        assert read_tflite(content).operators


def test_lists_are_short():
    builder = ModelBuilder()
    image = builder.input((1, 4), 0.5)
    shape = builder.constant(np.ones(5000, np.int32))
    output = builder.operator("RESHAPE", [image, shape], builder.tensor((1,), 0.5), schema.ReshapeOptionsT())
    with pytest.raises(UnsupportedError, match="its shape has 5000 numbers, more than 4096"):
        read_tflite(builder.build(output))


def test_dimensions_are_few():
    builder = ModelBuilder()
    image = builder.input((1, 4), 0.5)
    shape = builder.constant(np.array([1] * 8 + [4], np.int32))
    output = builder.operator("RESHAPE", [image, shape], builder.tensor((1,), 0.5), schema.ReshapeOptionsT())
    with pytest.raises(UnsupportedError, match="has 9 dimensions, more than 8"):
        read_tflite(builder.build(output))


def test_output_channels_are_bounded():
    builder = ModelBuilder()
    image = builder.input((1, 1), 0.5)
    weights = builder.constant(np.ones((1 << 17, 1), np.int8), 0.5)
    options = schema.FullyConnectedOptionsT()
    output = builder.operator("FULLY_CONNECTED", [image, weights], builder.tensor((1,), 0.5), options)
    with pytest.raises(UnsupportedError, match="it has 131,072 output channels, more than 65,536"):
        read_tflite(builder.build(output))
