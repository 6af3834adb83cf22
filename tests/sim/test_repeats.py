"""Operators that repeat elements, and those that move pixels to the batch, against LiteRT's reference kernels."""

import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from ..quantized import dtypes, pairs, seeds
from .test_movement import image_of, lengths, moved


@settings(max_examples=40, deadline=None)
@given(seed=seeds, shape=st.tuples(st.integers(1, 2), st.integers(1, 3)), block=pairs(1, 3), blocks=pairs(1, 3), dtype=dtypes,
       data=st.data())  # fmt: skip
def test_pixels_to_the_batch(seed, shape, block, blocks, dtype, data):
    batch, depth = shape
    padding = [data.draw(pairs(0, 2)) for _ in range(2)]
    size = [count * step - sum(pair) for count, step, pair in zip(blocks, block, padding, strict=True)]
    if min(size) > 0:
        image = image_of(seed, (batch, *size, depth), dtype)
        moved("SPACE_TO_BATCH_ND", image, [block, padding], schema.SpaceToBatchNDOptionsT())
    crops = [
        data.draw(st.sampled_from([(a, b) for a in range(3) for b in range(3) if a + b < count * step]))
        for count, step in zip(blocks, block, strict=True)
    ]
    image = image_of(seed, (batch * block[0] * block[1], *blocks, depth), dtype)
    moved("BATCH_TO_SPACE_ND", image, [block, crops], schema.BatchToSpaceNDOptionsT())


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_rows_to_the_batch(dtype):
    moved("SPACE_TO_BATCH_ND", image_of(0, (2, 5, 3), dtype), [[2], [[1, 0]]], schema.SpaceToBatchNDOptionsT())
    moved("BATCH_TO_SPACE_ND", image_of(0, (4, 5, 3), dtype), [[2], [[1, 0]]], schema.BatchToSpaceNDOptionsT())


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, dtype=dtypes, data=st.data())
def test_tile(seed, shape, dtype, data):
    multiples = [data.draw(st.integers(1, 3)) for _ in shape]
    moved("TILE", image_of(seed, shape, dtype), [multiples], schema.TileOptionsT())


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, more=st.integers(0, 1), dtype=dtypes, data=st.data())
def test_broadcast_to(seed, shape, more, dtype, data):
    wanted = [2] * more + [data.draw(st.integers(1, 4)) if length == 1 else length for length in shape]
    moved("BROADCAST_TO", image_of(seed, shape, dtype), [wanted], schema.BroadcastToOptionsT())


@settings(max_examples=40, deadline=None)
@given(seed=seeds, shape=lengths, symmetric=st.booleans(), data=st.data())
def test_mirror_pad(seed, shape, symmetric, data):
    padding = [data.draw(pairs(0, length - (not symmetric))) for length in shape]
    mode = schema.MirrorPadMode.SYMMETRIC if symmetric else schema.MirrorPadMode.REFLECT
    moved("MIRROR_PAD", image_of(seed, shape), [padding], schema.MirrorPadOptionsT(mode=mode))
