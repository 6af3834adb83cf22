"""Small sound models to start from; together they have most operators."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tilewright.examples import digits

from ..mapper.test_malformed import small_model, wide_model
from ..models import NONE, SAME, ModelBuilder

__all__ = ["models"]


def models() -> list[bytes]:
    """The shipped network, the models of the tests on malformed files, and two more."""
    return [digits.MODEL.read_bytes(), small_model(), wide_model(), _other_model(), _constants()]


def _other_model() -> bytes:
    """Convolutions with a residual, and operators on them that the other models lack; uint8 at the edges."""
    builder = ModelBuilder()

    def chain(kind: str, *sources: int, options: object = None, scale: float = 0.5, point: int = 0) -> int:
        return builder.operator(kind, sources, builder.tensor((1,), scale, point), options)

    image = builder.input((1, 6, 5, 3), 0.5, 128, dtype="uint8")
    image = chain("QUANTIZE", image)
    weights = builder.constant(np.ones((1, 3, 3, 6), np.int8), [0.25] * 6, axis=3)
    depthwise = schema.DepthwiseConv2DOptionsT(
        padding=SAME, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, depthMultiplier=2,
        fusedActivationFunction=NONE,
    )  # fmt: skip
    wide = chain("DEPTHWISE_CONV_2D", image, weights, options=depthwise)
    weights = builder.constant(np.ones((6, 1, 1, 6), np.int8), 0.25)
    options = schema.Conv2DOptionsT(padding=SAME, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    wide = chain("ADD", chain("CONV_2D", wide, weights, options=options), wide, options=schema.AddOptionsT())
    pool = schema.Pool2DOptionsT(padding=SAME, strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    small = chain("AVERAGE_POOL_2D", wide, options=pool)
    weights = builder.constant(np.ones((4, 2, 2, 6), np.int8), 0.25)
    size = builder.constant(np.array([1, 6, 6, 4], np.int32))
    options = schema.TransposeConvOptionsT(padding=SAME, strideH=2, strideW=2)
    large = chain("TRANSPOSE_CONV", size, weights, small, options=options)
    large = chain("PRELU", large, builder.constant(np.full((4,), 3, np.int8), 0.5))
    rows = [builder.tensor((1,), 0.5) for _ in range(6)]
    builder.operators("UNPACK", [large], rows, schema.UnpackOptionsT(num=6, axis=1))
    large = chain("PACK", *rows[:3], options=schema.PackOptionsT(valuesCount=3, axis=1))
    begin, length = (builder.constant(np.array(numbers, np.int32)) for numbers in ((0, 1, 0, 0), (1, 2, -1, -1)))
    large = chain("SLICE", large, begin, length, options=schema.SliceOptionsT())
    half = builder.constant(np.array([4, 3], np.int32))
    large = chain("RESIZE_NEAREST_NEIGHBOR", large, half, options=schema.ResizeNearestNeighborOptionsT())
    large = chain("MAXIMUM", large, large, options=schema.MaximumMinimumOptionsT())
    axes = builder.constant(np.array([1, 2], np.int32))
    flat = chain("REDUCE_MAX", large, axes, options=schema.ReducerOptionsT(keepDims=False))
    flat = chain("RESHAPE", flat, options=schema.ReshapeOptionsT(newShape=[2, 2]))
    flat = chain("LOGISTIC", flat, scale=1 / 256, point=-128)
    flat = chain("SOFTMAX", flat, options=schema.SoftmaxOptionsT(beta=1.0), scale=1 / 256, point=-128)
    output = builder.tensor((1,), 1 / 256, 0, dtype="uint8")
    return builder.build(builder.operator("QUANTIZE", [flat], output, schema.QuantizeOptionsT()), image)


def _constants() -> bytes:
    """Operators that are folded before one that is not."""
    builder = ModelBuilder()
    image = builder.input((2, 3), 0.5)
    shape = builder.operator("SHAPE", [image], builder.tensor((2,), dtype="int32"), schema.ShapeOptionsT(outType=2))
    table = builder.constant(np.arange(12, dtype=np.int8).reshape(4, 3), 0.5)
    picks = builder.constant(np.array([1, 3], np.int32))
    rows = builder.operator("GATHER", [table, picks], builder.tensor((1,), 0.5), schema.GatherOptionsT(axis=0))
    rows = builder.operator("RESHAPE", [rows, shape], builder.tensor((1,), 0.5), schema.ReshapeOptionsT())
    return builder.build(builder.operator("ADD", [image, rows], builder.tensor((1,), 0.5), schema.AddOptionsT()))
