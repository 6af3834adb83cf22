"""Operators that move elements, and resizing, against LiteRT's reference kernels."""

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tilewright.mapper.errors import UnsupportedError

from ..models import ModelBuilder
from ..quantized import assert_exact, dtypes, pairs, random_elements, random_scale, seeds, zero_point

lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def moved(
    kind: str,
    image: np.ndarray,
    constants: list[np.ndarray] = (),  # type: ignore[assignment]
    options: Any = None,
    *,
    image_at: int = 0,
    outputs: int = 1,
    shape: tuple[int, ...] = (1,),
) -> None:
    """An operator of one moved operand and int32 constants; `shape` is what the file says of its outputs."""
    builder = ModelBuilder()
    source = builder.input(image.shape, 0.5, 3, dtype=str(image.dtype))
    operands = [builder.constant(np.asarray(constant, np.int32)) for constant in constants]
    operands.insert(image_at, source)
    results = [builder.tensor(shape, 0.5, 3, dtype=str(image.dtype)) for _ in range(outputs)]
    builder.operators(kind, operands, results, options)
    assert_exact(builder.build(*results), image)


def image_of(seed: int, shape: tuple[int, ...], dtype: str = "int8") -> np.ndarray:
    return random_elements(np.random.default_rng(seed), shape, dtype)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, dtype=dtypes, data=st.data())
def test_pad(seed, shape, dtype, data):
    padding = [data.draw(pairs(0, 3)) for _ in shape]
    moved("PAD", image_of(seed, shape, dtype), [padding], schema.PadOptionsT())


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_pad_with_a_value(dtype):
    builder = ModelBuilder()
    source = builder.input((2, 3), 0.5, 3, dtype=dtype)
    padding = builder.constant(np.array([[1, 0], [2, 3]], np.int32))
    value = builder.constant(np.array(7, dtype), 0.5, zero_point=3)
    output = builder.operator("PADV2", [source, padding, value], builder.tensor((3, 8), 0.5, 3, dtype=dtype))
    assert_exact(builder.build(output), image_of(0, (2, 3), dtype))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, shape=lengths, dtype=dtypes, parts=st.integers(1, 4), same=st.booleans(), data=st.data())
def test_concatenation(seed, shape, dtype, parts, same, data):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    same = same or dtype == "int8"
    quantized = [(random_scale(rng), zero_point(rng, dtype)) for _ in range(parts + 1)]
    builder, operands, arrays = ModelBuilder(), [], []
    for number in range(parts):
        part = list(shape)
        part[axis] = data.draw(st.integers(1, 5))
        operands.append(builder.input(part, *quantized[0 if same else number], dtype=dtype))
        arrays.append(random_elements(rng, tuple(part), dtype))
    output = builder.tensor((1,), *quantized[0 if same else parts], dtype=dtype)
    builder.operator("CONCATENATION", operands, output, schema.ConcatenationOptionsT(axis=axis))
    assert_exact(builder.build(output), *arrays)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, parts=st.integers(1, 3), data=st.data())
def test_pack_and_unpack(seed, shape, parts, data):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    builder = ModelBuilder()
    operands = [builder.input(shape, 0.5, 3) for _ in range(parts)]
    packed = builder.operator(
        "PACK", operands, builder.tensor((1,), 0.5, 3), schema.PackOptionsT(valuesCount=parts, axis=axis)
    )
    results = [builder.tensor((1,), 0.5, 3) for _ in range(parts)]
    builder.operators("UNPACK", [packed], results, schema.UnpackOptionsT(num=parts, axis=axis))
    assert_exact(builder.build(*results), *(image_of(seed + number, shape) for number in range(parts)))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4), leading=lengths, open_=st.booleans())
def test_split(seed, sizes, leading, open_):
    axis = len(leading)
    image = image_of(seed, (*leading, sum(sizes)))
    wanted = [-1, *sizes[1:]] if open_ else sizes
    moved("SPLIT_V", image, [wanted, [axis]], schema.SplitVOptionsT(numSplits=len(sizes)), outputs=len(sizes))
    image = image_of(seed, (*leading, 3 * len(sizes), 2))
    options = schema.SplitOptionsT(numSplits=len(sizes))
    moved("SPLIT", image, [np.array(-2)], options, image_at=1, outputs=len(sizes))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, data=st.data())
def test_slice(seed, shape, data):
    begin = [data.draw(st.integers(0, length - 1)) for length in shape]
    counts = [data.draw(st.integers(1, length - first)) for length, first in zip(shape, begin, strict=True)]
    size = [
        data.draw(st.sampled_from([-1, count])) if first + count == length else count
        for length, first, count in zip(shape, begin, counts, strict=True)
    ]
    moved("SLICE", image_of(seed, shape), [begin, size], schema.SliceOptionsT(), shape=tuple(counts))


@settings(max_examples=120, deadline=None)
@given(
    seed=seeds,
    shape=lengths,
    entries=st.integers(1, 5),
    masks=st.tuples(*[st.integers(0, 31)] * 4),
    ellipsis=st.none() | st.integers(0, 4),
    data=st.data(),
)
def test_strided_slice(seed, shape, entries, masks, ellipsis, data):
    begin_mask, end_mask, new, shrink = (mask & (1 << entries) - 1 for mask in masks)
    ellipsis_mask = 0 if ellipsis is None or ellipsis >= entries else 1 << ellipsis
    new = 0 if ellipsis_mask else new
    shrink &= ~new & ~ellipsis_mask
    begin_mask, end_mask = begin_mask & ~shrink, end_mask & ~shrink
    indexing = [entry for entry in range(entries) if not (new | ellipsis_mask) >> entry & 1]
    # A dimension of 0 is beyond what the reference interpreter wants to see.
    assume(len(indexing) <= len(shape) and len(shape) + bin(new).count("1") <= 5)
    begin = [data.draw(st.integers(-6, 6)) for _ in range(entries)]
    end = [data.draw(st.integers(-6, 6)) for _ in range(entries)]
    strides = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in range(entries)]
    skipped = len(shape) - len(indexing)
    assume(skipped or not ellipsis_mask)  # refused: `test_ellipsis_that_stands_for_nothing`
    for position, entry in enumerate(indexing):
        length = shape[position + (skipped if ellipsis_mask and entry > ellipsis else 0)]
        if shrink >> entry & 1:
            begin[entry] %= length
            strides[entry] = 1
        first = None if begin_mask >> entry & 1 else begin[entry]
        last = None if end_mask >> entry & 1 else end[entry]
        assume(shrink >> entry & 1 or len(range(length)[slice(first, last, strides[entry])]))
    options = schema.StridedSliceOptionsT(
        beginMask=begin_mask, endMask=end_mask, ellipsisMask=ellipsis_mask, newAxisMask=new, shrinkAxisMask=shrink
    )
    moved("STRIDED_SLICE", image_of(seed, shape), [begin, end, strides], options)


def test_ellipsis_that_stands_for_nothing():
    options = schema.StridedSliceOptionsT(ellipsisMask=1, shrinkAxisMask=2)
    with pytest.raises(UnsupportedError, match="stands for no dimension"):
        moved("STRIDED_SLICE", image_of(0, (1,)), [[0, 0], [0, 0], [1, 1]], options)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, data=st.data())
def test_transpose(seed, shape, data):
    permutation = data.draw(st.permutations(range(len(shape))))
    moved("TRANSPOSE", image_of(seed, shape), [permutation], schema.TransposeOptionsT())


@pytest.mark.parametrize(("axes", "shape"), [([], (1, 3, 1, 2)), ([0], (1, 3, 1)), ([-2], (2, 1, 3))])
def test_squeeze(axes, shape):
    moved("SQUEEZE", image_of(0, shape), [], schema.SqueezeOptionsT(squeezeDims=axes))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_expand_dims(axis):
    moved("EXPAND_DIMS", image_of(0, (2, 3)), [np.array(axis)], schema.ExpandDimsOptionsT())


@settings(max_examples=20, deadline=None)
@given(seed=seeds, batch=st.integers(1, 2), size=pairs(1, 3), depth=st.integers(1, 3), block=st.integers(1, 3))
def test_blocks(seed, batch, size, depth, block):
    image = image_of(seed, (batch, size[0] * block, size[1] * block, depth))
    moved("SPACE_TO_DEPTH", image, [], schema.SpaceToDepthOptionsT(blockSize=block))
    image = image_of(seed, (batch, *size, depth * block**2))
    moved("DEPTH_TO_SPACE", image, [], schema.DepthToSpaceOptionsT(blockSize=block))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=lengths, count=st.integers(1, 4), data=st.data())
def test_gather(seed, shape, count, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    indices = [data.draw(st.integers(0, shape[axis] - 1)) for _ in range(count)]
    moved("GATHER", image_of(seed, shape), [indices], schema.GatherOptionsT(axis=axis))


@settings(max_examples=200, deadline=None)
@given(
    seed=seeds,
    bilinear=st.booleans(),
    dtype=dtypes,
    size=pairs(1, 9),
    wanted=pairs(1, 20),
    mode=st.sampled_from([(False, False), (True, False), (False, True)]),
)
def test_resize(seed, bilinear, dtype, size, wanted, mode):
    image = image_of(seed, (2, *size, 3), dtype)
    kind = "RESIZE_BILINEAR" if bilinear else "RESIZE_NEAREST_NEIGHBOR"
    options = schema.ResizeBilinearOptionsT() if bilinear else schema.ResizeNearestNeighborOptionsT()
    options.alignCorners, options.halfPixelCenters = mode
    moved(kind, image, [wanted], options)
