"""The digits network as committed: LiteRT runs it; its files agree with each other and with the code behind them."""

import hashlib
import json
import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType
from numpy.typing import NDArray
from tilewright.examples.digits import CASES, MODEL, layers
from tilewright.examples.digits.data import Digits, load
from tilewright.examples.digits.layers import Array, Parameters, Weighted
from tilewright.examples.digits.network import NETWORK, initialize, run, run_backward
from tilewright.examples.digits.train import accuracy, answer, make

FIGURES = json.loads(MODEL.with_suffix(".json").read_text())
FILE = schema.ModelT.InitFromPackedBuf(MODEL.read_bytes())
TENSORS = {tensor.name.decode(): tensor for tensor in FILE.subgraphs[0].tensors}


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load()


@pytest.fixture(scope="module")
def held_out(digits: Digits) -> NDArray[np.int8]:
    """The network's inputs: ink 0 to 1 at a scale of 1/240 and a zero point of -128."""
    return (digits.held_out_images * 240 - 128).astype(np.int8)


def test_cases_are_what_the_reference_kernels_answer():
    cases = np.load(CASES)
    assert cases["input"].shape == (10, 8, 8, 1) and cases["input"].dtype == np.int8
    assert cases["output_0"].shape == (10, 10) and cases["output_0"].dtype == np.int8
    np.testing.assert_array_equal(answer(MODEL.read_bytes(), cases["input"]), cases["output_0"])


def test_cases_are_held_out_images_one_of_each_digit(digits: Digits, held_out: NDArray[np.int8]):
    cases = np.load(CASES)
    labels = {image.tobytes(): label for image, label in zip(held_out, digits.held_out_labels, strict=True)}
    assert [labels[image.tobytes()] for image in cases["input"]] == cases["label"].tolist() == list(range(10))


def test_accuracy_is_the_one_recorded(digits: Digits, held_out: NDArray[np.int8]):
    assert len(digits.images) == FIGURES["training_images"] and len(held_out) == FIGURES["held_out_images"]
    assert accuracy(answer(MODEL.read_bytes(), held_out), digits.held_out_labels) == FIGURES["accuracy"] >= 0.96


def test_default_kernels_read_digits_too(digits: Digits, held_out: NDArray[np.int8]):
    answers = answer(MODEL.read_bytes(), held_out, OpResolverType.AUTO)
    assert accuracy(answers, digits.held_out_labels) >= 0.96


def test_operators():
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    kinds = [names[code.builtinCode] for code in FILE.operatorCodes]
    assert [kinds[operator.opcodeIndex] for operator in FILE.subgraphs[0].operators] == [
        "CONV_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
        "ADD",
        "MAX_POOL_2D",
        "CONV_2D",
        "AVERAGE_POOL_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]


@pytest.mark.parametrize("layer", [layer for layer in NETWORK if isinstance(layer, Weighted)], ids=lambda it: it.name)
def test_constants_are_quantized_per_channel(layer: Weighted):
    weight, bias = TENSORS[f"{layer.name}.weight"], TENSORS[f"{layer.name}.bias"]
    assert (weight.type, bias.type) == (schema.TensorType.INT8, schema.TensorType.INT32)
    assert (tuple(weight.shape), tuple(bias.shape)) == (layer.shape, (layer.channels,))
    assert weight.quantization.quantizedDimension == layer.channel_axis
    assert weight.quantization.zeroPoint.tolist() == bias.quantization.zeroPoint.tolist() == [0] * layer.channels
    source = TENSORS[layer.inputs[0]].quantization
    np.testing.assert_array_equal(bias.quantization.scale, source.scale * weight.quantization.scale)


def test_constants_are_aligned():
    file = schema.Model.GetRootAs(MODEL.read_bytes())
    for number in range(1, file.BuffersLength()):
        data = file.Buffers(number).DataAsNumpy()
        assert (data.__array_interface__["data"][0] - np.frombuffer(file._tab.Bytes, np.uint8).ctypes.data) % 16 == 0


def test_input_and_output():
    image, probabilities = TENSORS["image"], TENSORS["probabilities"]
    assert (image.shape.tolist(), probabilities.shape.tolist()) == ([1, 8, 8, 1], [1, 10])
    assert (image.quantization.scale[0], image.quantization.zeroPoint[0]) == (np.float32(1 / 240), -128)
    assert (probabilities.quantization.scale[0], probabilities.quantization.zeroPoint[0]) == (1 / 256, -128)


def test_figures_belong_to_the_model():
    weighted = [layer for layer in NETWORK if isinstance(layer, Weighted)]
    assert FIGURES["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert FIGURES["parameters"] == sum(math.prod(layer.shape) + layer.channels for layer in weighted)
    assert FIGURES["macs"] == sum(layer.fan_in * math.prod(TENSORS[layer.name].shape) for layer in weighted)


def test_gradients_are_those_of_the_loss(digits: Digits, monkeypatch: pytest.MonkeyPatch):
    """Against central differences, without the rounding of operands that would hide small steps."""
    monkeypatch.setattr(layers, "snap", lambda values: values)
    random = np.random.default_rng(0)
    parameters = {name: values + 0.01 * random.random(values.shape) for name, values in initialize(random).items()}
    images, truth = digits.images[:4], np.eye(10)[digits.labels[:4]]
    _, tape = run(parameters, images)
    for name, gradient in run_backward(tape, truth).items():
        step = np.zeros_like(gradient)
        step[tuple(random.integers(size) for size in step.shape)] = 1e-5
        higher = loss(parameters | {name: parameters[name] + step}, images, truth)
        lower = loss(parameters | {name: parameters[name] - step}, images, truth)
        assert (gradient * step).sum() == pytest.approx((higher - lower) / 2, rel=1e-3, abs=1e-9), name


def loss(parameters: Parameters, images: Array, truth: Array) -> float:
    """The summed cross-entropy."""
    tensors, _ = run(parameters, images)
    return float(-np.log((tensors["probabilities"] * truth).sum(axis=1)).sum())


@pytest.mark.slow
def test_training_again_gives_the_same_files(tmp_path):
    make(tmp_path)
    for path in (MODEL, CASES, MODEL.with_suffix(".json")):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
