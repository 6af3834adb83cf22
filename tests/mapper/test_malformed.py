"""Damaged and inconsistent model files: always a `ModelError` of one line, never anything else."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tilewright.mapper.errors import ModelError, UnsupportedError
from tilewright.mapper.tflite import read_tflite

from ..models import SAME, VALID, ModelBuilder


def small_model(damage=None) -> bytes:
    """Convolution, pool and matrix product; `damage` changes the schema's objects before they are written."""
    builder = ModelBuilder()
    image = builder.input((1, 6, 6, 2), 0.5, -3)
    weights = builder.constant(np.ones((3, 3, 3, 2), np.int8), [0.25, 0.5, 0.125])
    bias = builder.constant(np.arange(3, dtype=np.int32), 0.125)
    options = schema.Conv2DOptionsT(padding=SAME, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    features = builder.operator("CONV_2D", [image, weights, bias], builder.tensor((1, 6, 6, 3), 0.5, 4), options)
    pool = schema.Pool2DOptionsT(padding=VALID, strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    pooled = builder.operator("MAX_POOL_2D", [features], builder.tensor((1, 3, 3, 3), 0.5, 4), pool)
    matrix = builder.constant(np.ones((4, 27), np.int8), 0.25)
    output = builder.operator(
        "FULLY_CONNECTED", [pooled, matrix], builder.tensor((1, 4), 1.0), schema.FullyConnectedOptionsT()
    )
    if damage is not None:
        damage(builder.model, builder.subgraph)
    return builder.build(output)


def change(path: str, value):
    """A damage: set an attribute, given as `operators[0].inputs` of the subgraph."""

    def damage(model, subgraph):
        owner, name = path.rsplit(".", 1)
        setattr(eval(owner, {"model": model, **vars(subgraph)}), name, value)

    return damage


def test_the_undamaged_model_is_read():
    assert len(read_tflite(small_model()).operators) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04" * 100, "not a TensorFlow Lite model"),
        (b"\x1c\x00\x00\x00TFL3", "truncated or damaged"),
        (b"\xff\xff\xff\xffTFL3" + bytes(100), "truncated or damaged"),
    ],
)
def test_what_is_not_a_model(content, message):
    with pytest.raises(ModelError, match=message):
        read_tflite(content)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.tflite: No such file"):
        read_tflite(tmp_path / "absent.tflite")
    with pytest.raises(ModelError, match="give the path of a"):
        read_tflite(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change("model.subgraphs", []), "no subgraph"),
        (change("operators[0].inputs", [0, 99, 2]), "tensor 99 of 7 does not exist"),
        (change("operators[0].inputs", [0, -2, 2]), "tensor -2 of 7 does not exist"),
        (change("operators[0].inputs", [0, -1, 2]), "it has no weights"),
        (change("operators[0].inputs", []), "it has no input"),
        (lambda _, subgraph: subgraph.operators.reverse(), "0:FULLY_CONNECTED: tensor 't4' is read before anything"),
        (change("operators[1].outputs", [3]), "already defined"),
        (change("operators[1].outputs", []), "0 outputs instead of 1"),
        (change("operators[0].outputs", [7]), "tensor 7 of 7 does not exist"),
        (change("operators[0].opcodeIndex", 7), "operator code 7 of 3 does not exist"),
        (change("tensors[1].buffer", 17), "buffer 17 of 4 does not exist"),
        (change("tensors[1].shape", [3, 3, 3, 3]), "holds 54 bytes, int8.3, 3, 3, 3. needs 81"),
        (change("tensors[0].shape", [1, -1, 6, 2]), "negative dimension"),
        (change("tensors[0].shape", [1, 0, 6, 2]), "none empty"),
        (change("tensors[0].shape", [72]), "4 dimensions"),
        (change("tensors[0].shape", [1, 6, 6, 5]), "do not fit an image of 5 channels"),
        (change("tensors[1].quantization.quantizedDimension", 3), "3 scales along axis 3 do not fit"),
        (change("tensors[1].quantization.quantizedDimension", 1), "axis 1 instead of 0"),
        (change("tensors[1].quantization.zeroPoint", [0, 0]), "3 scales but 2 zero points"),
        (change("tensors[0].quantization.scale", [float("nan")]), "negative or not a number"),
        (change("tensors[0].quantization.scale", [0.0]), "has the scale 0"),
        (change("tensors[0].quantization.zeroPoint", [200]), "zero point outside int8"),
        (change("operators[0].builtinOptions.strideW", 0), "must be positive"),
        (change("operators[0].builtinOptions.padding", 9), "neither SAME nor VALID"),
        (change("operators[1].builtinOptions.filterHeight", 99), "a window of 99 does not fit an image of 6"),
        (change("model.buffers[1].offset", 1 << 20), "the file is truncated"),
        (change("model.buffers[1].offset", (1 << 64) - 1), "the file is truncated"),
        (change("model.subgraphs[0].inputs", []), "tensor 't0' is read before anything"),
        (change("model.subgraphs[0].inputs", [0, 0]), "tensor 't0' is already defined"),
        (change("model.subgraphs[0].inputs", [99]), "tensor 99 of 7 does not exist"),
        (change("tensors[0].shape", [1] * 9), "9 dimensions, more than 8"),
        (change("tensors[1].externalBuffer", 1), "its data lies in another file"),
        (change("tensors[1].type", schema.TensorType.INT32), "holds 54 bytes, int32.3, 3, 3, 2. needs 216"),
    ],
)
def test_what_does_not_fit_together(damage, message):
    with pytest.raises(ModelError, match=message) as caught:
        read_tflite(small_model(damage))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("model: ")


def test_an_operator_without_options_is_broken():
    def damage(model, subgraph):
        subgraph.operators[0].builtinOptions = None
        subgraph.operators[0].builtinOptionsType = 0

    with pytest.raises(ModelError, match="its options lack"):
        read_tflite(small_model(damage))


def test_a_cycle():
    builder = ModelBuilder()
    image, first, second = builder.input((1, 4), 0.5), builder.tensor((1, 4), 0.5), builder.tensor((1, 4), 0.5)
    builder.operator("ADD", [image, second], first, schema.AddOptionsT())
    builder.operator("RELU", [first], second)
    with pytest.raises(ModelError, match="operator 0:ADD: tensor 't2' is read before anything defines it"):
        read_tflite(builder.build(second))


@pytest.mark.parametrize(
    ("output", "message"),
    [(1, "output 't1' of the network is never defined"), (-1, "tensor -1 of 3"), (3, "tensor 3 of 3")],
)
def test_outputs_that_nothing_defines(output: int, message: str):
    builder = ModelBuilder()
    image, _ = builder.input((1, 4), 0.5), builder.tensor((1, 4), 0.5)
    builder.operator("RELU", [image], builder.tensor((1, 4), 0.5))
    with pytest.raises(ModelError, match=message):
        read_tflite(builder.build(output))


def test_names_that_occur_twice_or_cannot_be_printed():
    def damage(model, subgraph):
        subgraph.tensors[0].name = subgraph.tensors[4].name = "one\n\x1b[1mname" * 1000

    tensors = list(read_tflite(small_model(damage)).tensors)
    assert len(tensors) == len(set(tensors)) == 7
    assert all(name.isprintable() and len(name) < 1100 for name in tensors)


def test_the_first_of_many_subgraphs_is_the_network():
    assert len(read_tflite(small_model(lambda model, _: model.subgraphs.extend(model.subgraphs * 99))).operators) == 3


def test_custom_operators_are_unsupported():
    def damage(model, _):
        code = model.operatorCodes[1]
        code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "My\nOp"

    with pytest.raises(UnsupportedError) as caught:
        read_tflite(small_model(damage))
    assert caught.value.operator == "CUSTOM My\ufffdOp"
    assert "replace it" in caught.value.hint
    kinds = [operator.kind for operator in read_tflite(small_model(damage), partial=True).operators]
    assert kinds == ["CONV_2D", "CUSTOM My\ufffdOp", "FULLY_CONNECTED"]


def test_a_shape_without_an_output():
    builder = ModelBuilder()
    image = builder.input((2, 3), 0.5)
    builder.operators("SHAPE", [image], [], schema.ShapeOptionsT())
    with pytest.raises(ModelError, match=r"operator 0 \(SHAPE\): it has 0 outputs instead of 1"):
        read_tflite(builder.build(image))


def overlapping(what: str, count: int = 20_000) -> bytes:
    """A model that names one table `count` times, which itself names something long."""
    builder = flatbuffers.Builder(1024)

    def vector(offset: int, times: int) -> int:
        builder.StartVector(4, times, 4)
        for _ in range(times):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    name = builder.CreateString("x" * (count if what == "names" else 1))
    scale = builder.CreateNumpyVector(np.ones(count if what == "scales" else 1, np.float32))
    inputs = builder.CreateNumpyVector(np.zeros(count if what == "operands" else 1, np.int32))
    schema.QuantizationParametersStart(builder)
    schema.QuantizationParametersAddScale(builder, scale)
    quantization = schema.QuantizationParametersEnd(builder)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    schema.TensorAddQuantization(builder, quantization)
    tensors = vector(schema.TensorEnd(builder), 8 * count if what == "tables" else count)
    schema.OperatorStart(builder)
    schema.OperatorAddInputs(builder, inputs)
    operators = vector(schema.OperatorEnd(builder), count)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddOperators(builder, operators)
    subgraphs = vector(schema.SubGraphEnd(builder), count)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("what", ["names", "scales", "operands", "tables"])
def test_parts_that_overlap(what):
    """Unpacked in full, each of these small files would take a gigabyte and more."""
    content = overlapping(what)
    assert len(content) < 1_000_000
    with pytest.raises(ModelError, match="its parts overlap"):
        read_tflite(content)


def wide_model() -> bytes:
    """A chain of many operators: moves, tables, pairs of elements, reductions."""
    builder = ModelBuilder()

    def constant(*numbers: int) -> int:
        return builder.constant(np.array(numbers, np.int32))

    def chain(kind: str, source: int, *more: int, options=None, scale=0.5, point=4) -> int:
        return builder.operator(kind, [source, *more], builder.tensor((1,), scale, point), options)

    image = builder.input((1, 4, 6, 4), None, dtype="float32")
    image = chain("QUANTIZE", image)
    padding = builder.constant(np.array([[0, 0], [1, 1], [0, 2], [0, 0]], np.int32))
    image = chain("PAD", image, padding, options=schema.PadOptionsT())
    image = chain("LEAKY_RELU", image, options=schema.LeakyReluOptionsT(alpha=0.1))
    image = chain("HARD_SWISH", image)
    image = chain("TANH", image, scale=2.0**-7)
    image = chain("MUL", image, image, options=schema.MulOptionsT())
    image = chain("RSQRT", chain("ABS", image, point=-128))
    image = chain("SUB", image, image, options=schema.SubOptionsT())
    image = chain("SPACE_TO_DEPTH", image, options=schema.SpaceToDepthOptionsT(blockSize=2))
    image = chain("RESIZE_BILINEAR", image, constant(5, 4), options=schema.ResizeBilinearOptionsT())
    bounds = (constant(0, 1, 0, 0), constant(1, 5, 4, 16), constant(1, 2, 1, 1))
    image = chain("STRIDED_SLICE", image, *bounds, options=schema.StridedSliceOptionsT(shrinkAxisMask=1))
    image = chain("TRANSPOSE", image, constant(1, 0, 2), options=schema.TransposeOptionsT())
    halves = [builder.tensor((1,), 0.5, 4) for _ in range(2)]
    builder.operators("SPLIT", [constant(1), image], halves, schema.SplitOptionsT(numSplits=2))
    image = chain("CONCATENATION", *halves, options=schema.ConcatenationOptionsT(axis=-1))
    image = chain("BATCH_MATMUL", image, image, options=schema.BatchMatMulOptionsT(adjY=True))
    image = chain("GATHER", image, constant(0, 0), options=schema.GatherOptionsT(axis=1))
    image = chain("SQUARED_DIFFERENCE", image, image, options=schema.SquaredDifferenceOptionsT())
    image = chain("MEAN", image, constant(1), options=schema.ReducerOptionsT(keepDims=True))
    output = builder.tensor((1,), dtype="int32")
    options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
    return builder.build(builder.operator("ARG_MAX", [image, constant(0)], output, options))


def test_the_undamaged_wide_model_is_read():
    assert len(read_tflite(wide_model()).operators) == 20


@pytest.mark.parametrize("model", [small_model, wide_model])
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_random_damage_never_escapes(model, data):
    content = bytearray(model())
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(8, len(content)), label="length") :]
    for _ in range(data.draw(st.integers(0, 8), label="changes")):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        graph = read_tflite(bytes(content))
    except (ModelError, UnsupportedError) as error:
        assert "\n" not in str(error)
    else:
        assert graph.operators
