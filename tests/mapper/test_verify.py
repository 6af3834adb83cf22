"""The graph's verifier: each broken invariant is found, and named."""

from dataclasses import replace

import numpy as np
import pytest
from tilewright.mapper.ir import (
    Conv2D,
    Dequantize,
    Graph,
    MaxPool2D,
    Mean,
    Operator,
    Quantization,
    Quantize,
    Slice,
    Split,
    Tanh,
    Tensor,
    Transpose,
)
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


def one_operator(kind: type[Operator], output: Tensor, *others: Tensor, **fields) -> Graph:
    """A network of one operator that reads an int8 image [2, 4]."""
    image = Tensor("image", (2, 4), "int8", WHOLE)
    operator = kind(index=0, name=f"0:{kind.KIND}", output=output.name, input="image", **fields)
    tensors = {tensor.name: tensor for tensor in (image, output, *others)}
    return Graph("one", tensors, (operator,), ("image",), (output.name,))


ROW = Tensor("row", (1, 4), "int8", WHOLE)
SAME = Tensor("same", (2, 4), "int8", WHOLE)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (one_operator(Tanh, SAME, table=(0,) * 255), "its table is not 256 entries from -128 to 127"),
        (one_operator(Tanh, SAME, table=(128,) * 256), "its table is not 256 entries"),
        (one_operator(Tanh, replace(SAME, dtype="uint8"), table=(0,) * 256), "'same' is uint8, and must be int8"),
        (one_operator(Split, ROW, axis=0, sizes=(1, 1), others=("row",)), "tensor 'row' is already defined"),
        (
            one_operator(Split, ROW, replace(ROW, name="rest"), axis=0, sizes=(1, 2), others=("rest",)),
            "do not make up axis 0",
        ),
        (one_operator(Mean, ROW, axes=(0,), keep_dims=True, multiplier=1 << 30, shift=-32), "shift of -32 is below"),
        (one_operator(Mean, ROW, axes=(2,), keep_dims=True, multiplier=1 << 30, shift=0), "are not axes of the shape"),
        (one_operator(Slice, ROW, begin=(2, 0), size=(1, 4)), "leaves the shape"),
        (one_operator(Transpose, SAME, permutation=(0, 0)), "permutation"),
        (one_operator(Dequantize, SAME), "'same' is int8, and must be float32"),
        (one_operator(Quantize, SAME, table=None), "input 'image' is int8, and must be float32"),
    ],
)
def test_other_operators_are_checked_too(graph, message):
    with pytest.raises(ValueError, match=message):
        verify_graph(graph)


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
        (with_operator(0, shifts=(-32,) * 3), "shift of -32 is below"),
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
