"""The quantized network as a `.tflite` file, written with the schema that comes with LiteRT."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .layers import Add, AveragePool, Convolution, Dense, Depthwise, Layer, MaxPool, Reshape, Softmax, Weighted
from .network import INPUT, NETWORK
from .quantize import Tensor

__all__ = ["serialize"]

TYPES = {np.dtype(np.int8): schema.TensorType.INT8, np.dtype(np.int32): schema.TensorType.INT32}

OPERATORS = {
    Convolution: (schema.BuiltinOperator.CONV_2D, 3),
    Depthwise: (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 3),
    Add: (schema.BuiltinOperator.ADD, 2),
    MaxPool: (schema.BuiltinOperator.MAX_POOL_2D, 2),
    AveragePool: (schema.BuiltinOperator.AVERAGE_POOL_2D, 2),
    Reshape: (schema.BuiltinOperator.RESHAPE, 1),
    Dense: (schema.BuiltinOperator.FULLY_CONNECTED, 4),
    Softmax: (schema.BuiltinOperator.SOFTMAX, 2),
}
"""TensorFlow Lite's operator for each layer, and its first version that takes the layer's types."""


class AlignedBuffer(schema.BufferT):
    """A constant's bytes at a multiple of 16, as the schema demands and its generated Python does not see to."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        builder.Prep(16, len(self.data))
        return super().Pack(builder)


def serialize(tensors: dict[str, Tensor]) -> bytes:
    """The file's bytes, from all tensors of the network by name."""
    index = {name: number for number, name in enumerate(tensors)}
    kinds = list(dict.fromkeys(type(layer) for layer in NETWORK))
    buffers = [schema.BufferT()]  # the empty one of all activations
    graph = schema.SubGraphT(
        name="main", tensors=[], inputs=[index[INPUT]], outputs=[index[NETWORK[-1].name]], operators=[]
    )
    for tensor in tensors.values():
        graph.tensors.append(described(tensor, buffer=0 if tensor.values is None else len(buffers)))
        if tensor.values is not None:
            buffers.append(AlignedBuffer(data=np.frombuffer(tensor.values.tobytes(), np.uint8)))
    for layer in NETWORK:
        constants = [f"{layer.name}.weight", f"{layer.name}.bias"] if isinstance(layer, Weighted) else []
        graph.operators.append(
            schema.OperatorT(
                opcodeIndex=kinds.index(type(layer)),
                inputs=[index[name] for name in (*layer.inputs, *constants)],
                outputs=[index[layer.name]],
                **options(layer, tensors),
            )
        )
    model = schema.ModelT(
        version=3,
        description="Tilewright's digits",
        operatorCodes=[
            schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=version)
            for code, version in (OPERATORS[kind] for kind in kinds)
        ],
        subgraphs=[graph],
        buffers=buffers,
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def described(tensor: Tensor, buffer: int) -> schema.TensorT:
    """The file's description of a tensor whose values lie in the given buffer."""
    quantization = tensor.quantization
    return schema.TensorT(
        name=tensor.name,
        shape=list(tensor.shape),
        type=TYPES[np.dtype(np.int8) if tensor.values is None else tensor.values.dtype],
        buffer=buffer,
        quantization=schema.QuantizationParametersT(
            scale=quantization.scale,
            zeroPoint=np.full(quantization.scale.shape, quantization.zero_point, np.int64),
            quantizedDimension=quantization.axis,
        ),
    )


def options(layer: Layer, tensors: dict[str, Tensor]) -> dict[str, object]:
    """The arguments of OperatorT that describe a layer's options."""
    match layer:
        case Depthwise(stride=stride):
            made = schema.DepthwiseConv2DOptionsT(
                padding=schema.Padding.SAME,
                strideH=stride,
                strideW=stride,
                depthMultiplier=1,
                fusedActivationFunction=activation(layer),
            )
        case Convolution(stride=stride):
            made = schema.Conv2DOptionsT(
                padding=schema.Padding.SAME, strideH=stride, strideW=stride, fusedActivationFunction=activation(layer)
            )
        case Dense():
            made = schema.FullyConnectedOptionsT(fusedActivationFunction=activation(layer))
        case MaxPool() | AveragePool():
            before, after = tensors[layer.inputs[0]].shape, tensors[layer.name].shape
            height, width = before[1] // after[1], before[2] // after[2]
            made = schema.Pool2DOptionsT(
                padding=schema.Padding.VALID, strideH=height, strideW=width, filterHeight=height, filterWidth=width
            )
        case Reshape():
            made = schema.ReshapeOptionsT(newShape=list(tensors[layer.name].shape))
        case Softmax():
            made = schema.SoftmaxOptionsT(beta=1.0)
        case Add():
            made = schema.AddOptionsT()
    name = type(made).__name__.removesuffix("T")
    return {"builtinOptionsType": getattr(schema.BuiltinOptions, name), "builtinOptions": made}


def activation(layer: Weighted) -> int:
    """The activation function fused into a layer."""
    kinds = schema.ActivationFunctionType
    return kinds.RELU if layer.relu else kinds.NONE
