"""Random quantized operands, and the comparison of small models with LiteRT's reference kernels."""

import numpy as np
from hypothesis import strategies as st
from tilewright.mapper.evaluate import evaluate
from tilewright.mapper.tflite import read_tflite

from .models import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, reference_tensors

seeds = st.integers(0, 2**32 - 1)
zero_points = st.sampled_from([-128, -127, -1, 0, 1, 83, 127]) | st.integers(-128, 127)
activations = st.sampled_from([NONE, RELU, RELU6, RELU_N1_TO_1])
pads = st.sampled_from([SAME, VALID])
channels = st.integers(1, 9)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def random_elements(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers over the whole range of an integer type of 8 bits."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def all_elements(dtype: str) -> np.ndarray:
    """Each number that a type of 8 bits holds, once."""
    return np.arange(256, dtype=np.uint8).view(dtype)


def zero_point(rng: np.random.Generator, dtype: str) -> int:
    """A zero point, often at an edge of its type."""
    limits = np.iinfo(dtype)
    return int(rng.choice([limits.min, limits.max, 0, rng.integers(limits.min, limits.max + 1)]))


def random_int8(rng: np.random.Generator, shape: tuple[int, ...], low: int = -128) -> np.ndarray:
    return rng.integers(low, 128, shape).astype(np.int8)


def random_scale(rng: np.random.Generator, low: float = 2**-10, high: float = 2**2) -> float:
    return float(np.exp2(rng.uniform(np.log2(low), np.log2(high))))


def random_bias(rng: np.random.Generator, count: int, bits: int) -> np.ndarray:
    return rng.integers(-(1 << bits), 1 << bits, count).astype(np.int32)


def weight_scales(rng: np.random.Generator, count: int, per_channel: bool, shift: int, ratio: float) -> np.ndarray:
    """Scales whose effective factors lie within 2**8 below 2**shift; `ratio` is the input's scale over the output's."""
    scales = np.exp2(shift - rng.uniform(0, 8, count if per_channel else 1)) / ratio
    return scales.astype(np.float32)


def assert_exact(model: bytes, *inputs: np.ndarray) -> None:
    """Every tensor of the model equals LiteRT's, in shape and content."""
    graph = read_tflite(model)
    values = evaluate(graph, dict(zip(graph.inputs, inputs, strict=True)))
    for name, expected in zip(graph.tensors, reference_tensors(model, inputs), strict=True):
        np.testing.assert_array_equal(values[name], expected, err_msg=name, strict=True)


dtypes = st.sampled_from(["int8", "uint8"])
