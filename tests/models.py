"""Small `.tflite` models with any quantization, and what LiteRT's reference kernels make of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
NONE, RELU, RELU_N1_TO_1, RELU6, TANH = (
    getattr(schema.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")
)

_NUMPY_TYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
    "float32": schema.TensorType.FLOAT32,
    "resource": schema.TensorType.RESOURCE,
}


_FIRST_VERSION = (
    "DEPTH_TO_SPACE",
    "EXPAND_DIMS",
    "HARD_SWISH",
    "PRELU",
    "RELU_0_TO_1",
    "RELU_N1_TO_1",
    "RESHAPE",
    "SHAPE",
    "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "ASSIGN_VARIABLE",
    "CALL_ONCE",
    "READ_VARIABLE",
    "VAR_HANDLE",
)
_THIRD_VERSION = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_VERSIONS = {"FULLY_CONNECTED": 4} | dict.fromkeys(_FIRST_VERSION, 1) | dict.fromkeys(_THIRD_VERSION, 3)
"""Versions of operators with int8, where it is not 2."""


class ModelBuilder:
    """Collects tensors and operators, and writes them as one model. Methods return tensor indices."""

    def __init__(self) -> None:
        self.subgraph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        # By convention buffer 0 is empty, and stands for "no data".
        self.model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[self.subgraph], buffers=[schema.BufferT()])

    def tensor(
        self,
        shape: Sequence[int],
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        *,
        axis: int = 0,
        dtype: str = "int8",
        data: np.ndarray | None = None,
        name: str | None = None,
        variable: bool = False,
    ) -> int:
        """A tensor; constant if it has `data`. `scale` and `zero_point` may be one or one per index of `axis`."""
        index = len(self.subgraph.tensors)
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            points = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape)
            quantization = schema.QuantizationParametersT(
                scale=scales, zeroPoint=np.ascontiguousarray(points), quantizedDimension=axis
            )
        buffer = 0
        if data is not None:
            buffer = len(self.model.buffers)
            content = np.frombuffer(np.ascontiguousarray(data, np.dtype(dtype)).tobytes(), np.uint8)
            self.model.buffers.append(schema.BufferT(data=content))
        self.subgraph.tensors.append(
            schema.TensorT(
                shape=list(shape),
                type=_NUMPY_TYPES[dtype],
                buffer=buffer,
                name=name or f"t{index}",
                quantization=quantization,
                isVariable=variable,
                hasRank=True,
            )
        )
        return index

    def input(self, shape: Sequence[int], scale: float | None, zero_point: int = 0, **extra: Any) -> int:
        index = self.tensor(shape, scale, zero_point, **extra)
        self.subgraph.inputs.append(index)
        return index

    def constant(self, data: np.ndarray, scale: float | Sequence[float] | None = None, **extra: Any) -> int:
        return self.tensor(data.shape, scale, dtype=str(data.dtype), data=data, **extra)

    def operator(self, kind: str, inputs: Sequence[int], output: int, options: Any = None) -> int:
        """An operator of a builtin kind with one output; returns its output tensor."""
        return self.operators(kind, inputs, [output], options)[0]

    def operators(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        intermediates: Sequence[int] | None = None,
    ) -> list[int]:
        """An operator with any number of outputs; returns its output tensors."""
        code = getattr(schema.BuiltinOperator, kind)
        self.model.operatorCodes.append(
            schema.OperatorCodeT(
                deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=_VERSIONS.get(kind, 2)
            )
        )
        options_type = 0
        if options is not None:
            options_type = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.subgraph.operators.append(
            schema.OperatorT(
                opcodeIndex=len(self.model.operatorCodes) - 1,
                inputs=list(inputs),
                outputs=list(outputs),
                builtinOptionsType=options_type,
                builtinOptions=options,
                intermediates=intermediates,
            )
        )
        return list(outputs)

    def build(self, *outputs: int) -> bytes:
        """The finished file."""
        self.subgraph.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def reference_tensors(model: bytes | str, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run one case on LiteRT's reference kernels; every tensor of the model, by index."""
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    # Behind the model's own tensors stand the kernels' scratch ones, which cannot all be read.
    count = schema.Model.GetRootAs(content).Subgraphs(0).TensorsLength()
    return [interpreter.get_tensor(index) for index in range(count)]
