"""Small ONNX models in QDQ format, and what ONNX Runtime makes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

_TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


class QdqBuilder:
    """Collects nodes and constants, and writes them as one model. Methods return names of tensors."""

    def __init__(self, opset: int = 17) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.count = 0

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def constant(self, data: Any, stem: str = "constant") -> str:
        name = self.fresh(stem)
        self.constants.append(numpy_helper.from_array(np.asarray(data), name))
        return name

    def input(self, shape: Sequence[int | str], dtype: str = "float32") -> str:
        name = self.fresh("input")
        self.inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        names = [self.fresh(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"the_{names[0]}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def quantize(self, name: str, scale: float, zero_point: int = 0, dtype: str = "int8") -> str:
        return self.node("QuantizeLinear", name, *self._parameters(scale, zero_point, dtype))

    def dequantize(self, name: str, scale: Any, zero_point: Any = 0, dtype: str = "int8", **attributes: Any) -> str:
        return self.node("DequantizeLinear", name, *self._parameters(scale, zero_point, dtype), **attributes)

    def quantized(self, name: str, scale: float, zero_point: int = 0, dtype: str = "int8") -> str:
        """QuantizeLinear and DequantizeLinear."""
        return self.dequantize(self.quantize(name, scale, zero_point, dtype), scale, zero_point, dtype)

    def activation(self, shape: Sequence[int | str], scale: float, zero_point: int = 0, dtype: str = "int8") -> str:
        """A float input with its pair."""
        return self.quantized(self.input(shape), scale, zero_point, dtype)

    def weights(self, data: np.ndarray, scale: Any, zero_point: Any = 0, axis: int | None = None) -> str:
        """A constant with its DequantizeLinear."""
        attributes = {} if axis is None else {"axis": axis}
        return self.dequantize(self.constant(data, "weights"), scale, zero_point, str(data.dtype), **attributes)

    def _parameters(self, scale: Any, zero_point: Any, dtype: str) -> tuple[str, str]:
        scales = np.asarray(scale, np.float32)
        return self.constant(scales), self.constant(np.broadcast_to(np.asarray(zero_point, dtype), scales.shape))

    def build(self, *outputs: str) -> bytes:
        infos = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, "test", self.inputs, infos, self.constants)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def reference_outputs(model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What ONNX Runtime answers, without optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))
