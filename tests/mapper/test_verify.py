"""The graph's verifier: each broken invariant is found, and named."""

from dataclasses import replace

import numpy as np
import pytest
from tilewright.mapper.ir import Conv2D, Graph, MaxPool2D, Quantization, Tensor
from tilewright.mapper.verify import verify_graph

WHOLE = Quantization((0.5,), (3,))


def small_graph() -> Graph:
    tensors = [
        Tensor("image", (1, 4, 4, 2), "int8", WHOLE),
        Tensor("weights", (3, 1, 1, 2), "int8", Quantization((1.0,) * 3, (0,) * 3, 0), np.ones((3, 1, 1, 2), np.int8)),
        Tensor("bias", (3,), "int32", None, np.zeros(3, np.int32)),
        Tensor("features", (1, 4, 4, 3), "int8", WHOLE),
        Tensor("pooled", (1, 2, 2, 3), "int8", WHOLE),
    ]
    convolution = Conv2D(
        index=0,
        name="0:CONV_2D",
        output="features",
        input="image",
        weights="weights",
        bias="bias",
        stride=(1, 1),
        dilation=(1, 1),
        padding=(0, 0, 0, 0),
        multipliers=(1 << 30,) * 3,
        shifts=(-4,) * 3,
        clamp=(-128, 127),
    )
    pool = MaxPool2D(
        index=1,
        name="1:MAX_POOL_2D",
        output="pooled",
        input="features",
        kernel=(2, 2),
        stride=(2, 2),
        padding=(0, 0, 0, 0),
        clamp=(-128, 127),
    )
    return Graph("small", {tensor.name: tensor for tensor in tensors}, (convolution, pool), ("image",), ("pooled",))


def with_tensor(name: str, /, **changes) -> Graph:
    graph = small_graph()
    return replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], **changes)})


def with_operator(position: int, **changes) -> Graph:
    graph = small_graph()
    operators = list(graph.operators)
    operators[position] = replace(operators[position], **changes)
    return replace(graph, operators=tuple(operators))


def test_a_sound_graph_passes():
    verify_graph(small_graph())


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (replace(small_graph(), operators=small_graph().operators[::-1]), "1:MAX_POOL_2D: tensor 'features' is read"),
        (replace(small_graph(), inputs=("image", "image")), "inputs: tensor 'image' is already defined"),
        (replace(small_graph(), inputs=("nothing",)), "tensor 'nothing' does not exist"),
        (replace(small_graph(), outputs=("nothing",)), "output 'nothing' of the network is never defined"),
        (with_operator(1, output="features"), "1:MAX_POOL_2D: tensor 'features' is already defined"),
        (with_operator(1, output="bias"), "tensor 'bias' is already defined"),
        (with_operator(1, kernel=(3, 2)), "must have \\(1, 1, 2, 3\\)"),
        (with_operator(0, multipliers=(1,) * 2), "0:CONV_2D: 3 factors needed, has 2 multipliers"),
        (with_operator(0, multipliers=(1 << 31,) * 3), "multiplier is outside"),
        (with_operator(0, shifts=(-32,) * 3), "shift is outside"),
        (with_operator(0, clamp=(5, 4)), "clamp \\(5, 4\\)"),
        (with_operator(0, bias="image"), "bias 'image' is int8, and must be int32"),
        (with_operator(0, weights="bias"), "weights 'bias' is int32, and must be int8"),
        (with_tensor("pooled", dtype="int16"), "output 'pooled' is int16"),
        (with_tensor("pooled", shape=(1, 2, 3, 2)), "must have \\(1, 2, 2, 3\\)"),
        (with_tensor("image", name="picture"), "'picture' stands under the name 'image'"),
        (with_tensor("image", shape=(1, -4, 4, 2)), "negative dimension"),
        (with_tensor("bias", shape=(4,)), "tensor 'bias': data int32"),
        (with_tensor("weights", quantization=Quantization((1.0,), (0,), 0)), "3 scales and zero points needed"),
        (with_tensor("weights", quantization=Quantization((1.0,), (0,), 4)), "quantized along axis 4"),
    ],
)
def test_broken_invariants_are_named(graph, message):
    with pytest.raises(ValueError, match=message):
        verify_graph(graph)
