"""The network builder with the operators beside convolutions and pools, in int8 or uint8."""

from dataclasses import replace
from typing import Any

import numpy as np
from tilewright.mapper.ir import (
    Concatenation,
    Dequantize,
    Logistic,
    Mean,
    Mul,
    Operator,
    Pad,
    Prelu,
    Quantization,
    Quantize,
    ResizeNearestNeighbor,
    Slice,
    Split,
    StridedSlice,
    Sub,
    Tensor,
)
from tilewright.mapper.requantize import add_factors, float32_factor, mean_factor, product_factor

from .networks import NetworkBuilder

Array = np.ndarray[Any, Any]


class OperatorBuilder(NetworkBuilder):
    """As `NetworkBuilder`; activations and weights are of type `dtype`, a uint8 weight has a zero point."""

    def __init__(self, seed: int = 0, dtype: str = "int8") -> None:
        super().__init__(seed)
        self.dtype = dtype
        self.by = 128 if dtype == "uint8" else 0

    def pad(self, source: str, *padding: tuple[int, int], value: int | None = None) -> str:
        """Padded along every dimension, by the zero point if no value is given."""
        point = self.tensors[source].zero_point
        value = point if value is None else value
        return self._like(source, Pad, input=source, padding=padding, value=value)

    def mean(self, source: str, *axes: int, keep_dims: bool = False) -> str:
        scale = self._scale()
        shape = self.tensors[source].shape
        count = int(np.prod([shape[axis] for axis in axes]))
        multiplier, shift = mean_factor(self.tensors[source].scale, scale, count)
        return self._operator(
            Mean, input=source, axes=axes, keep_dims=keep_dims, multiplier=multiplier, shift=shift, scale=scale
        )

    def sub(self, first: str, second: str) -> str:
        scale = self._scale()
        multipliers, shifts = add_factors(self.tensors[first].scale, self.tensors[second].scale, scale)
        return self._operator(
            Sub, first=first, second=second, multipliers=multipliers, shifts=shifts, clamp=self._clamp(), scale=scale
        )

    def mul(self, first: str, second: str) -> str:
        scale = self._scale() * 40
        multiplier, shift = product_factor(self.tensors[first].scale, self.tensors[second].scale, scale)
        return self._operator(
            Mul, first=first, second=second, multiplier=multiplier, shift=shift, clamp=self._clamp(), scale=scale
        )

    def prelu(self, source: str, alpha: str) -> str:
        scale = self._scale()
        factors = [float32_factor(self.tensors[source].scale, divisor=scale)]
        factors.append(float32_factor(self.tensors[source].scale, self.tensors[alpha].scale, divisor=scale))
        (m1, s1), (m2, s2) = factors
        return self._operator(Prelu, input=source, alpha=alpha, multipliers=(m1, m2), shifts=(s1, s2), scale=scale)

    def lookup(self, source: str, kind: type[Operator] = Logistic) -> str:
        """An operator with a table of random results."""
        table = self.random.permutation(256) - 128 + self.by
        return self._operator(kind, input=source, table=tuple(int(value) for value in table))

    def concatenate(self, *parts: str, axis: int) -> str:
        return self._like(parts[0], Concatenation, parts=parts, axis=axis)

    def split(self, source: str, axis: int, *sizes: int) -> list[str]:
        tensor = self.tensors[source]
        names = [f"t{len(self.tensors) + number}" for number in range(len(sizes))]
        index = len(self.operators)
        self.operators.append(
            Split(
                index=index, name=f"{index}:SPLIT", output=names[0], others=tuple(names[1:]), input=source, axis=axis,
                sizes=sizes,
            )
        )  # fmt: skip
        for size in sizes:
            shape = (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :])
            name = self._tensor(shape)
            self.tensors[name] = replace(self.tensors[name], quantization=tensor.quantization)
        return names

    def nearest(self, source: str, *size: int, corners: bool = False, centers: bool = False) -> str:
        fields = {"size": size, "align_corners": corners, "half_pixel_centers": centers}
        return self._like(source, ResizeNearestNeighbor, input=source, **fields)

    def slice(self, source: str, begin: tuple[int, ...], size: tuple[int, ...]) -> str:
        return self._like(source, Slice, input=source, begin=begin, size=size)

    def strided(self, source: str, begin: tuple[int, ...], strides: tuple[int, ...], size: tuple[int, ...]) -> str:
        return self._like(source, StridedSlice, input=source, begin=begin, strides=strides, size=size, shape=size)

    def to_float(self, source: str) -> str:
        name = self._operator(Dequantize, input=source)
        self.tensors[name] = replace(self.tensors[name], dtype="float32", quantization=None)
        return name

    def from_float(self, source: str) -> str:
        return self._operator(Quantize, input=source, table=None)

    def float_input(self, *shape: int) -> str:
        name = self.input(*shape)
        self.tensors[name] = replace(self.tensors[name], dtype="float32", quantization=None)
        return name

    def constant(self, shape: tuple[int, ...], low: int = -100, high: int = 100, point: int = 0) -> str:
        """A constant of random elements, `low` to `high` from the zero point."""
        data = (self.random.integers(low, high + 1, shape) + point).astype(self.dtype)
        name = self._tensor(shape, data)
        scale = self.tensors[name].scale
        self.tensors[name] = replace(self.tensors[name], quantization=Quantization((scale,), (point,)))
        return name

    def _like(self, source: str, kind: type[Operator], **fields: Any) -> str:
        """An operator whose output is quantized as its input."""
        tensor = self.tensors[source]
        name = self._operator(kind, scale=tensor.scale, **fields)
        self.tensors[name] = replace(self.tensors[name], quantization=tensor.quantization)
        return name

    def _tensor(
        self, shape: tuple[int, ...], data: Any = None, zero_point: int | None = None, scale: float | None = None
    ) -> str:
        name = super()._tensor(shape, data, zero_point, scale)
        if data is None:
            tensor = self.tensors[name]
            assert tensor.quantization is not None
            point = tensor.zero_point + (self.by if zero_point is None else 0)
            quantization = replace(tensor.quantization, zero_point=(point,))
            self.tensors[name] = Tensor(name, shape, self.dtype, quantization)
        return name

    def _weights(self, shape: tuple[int, ...]) -> str:
        if self.dtype == "int8":
            return super()._weights(shape)
        return self.constant(shape, -128, 127, 128)

    def _clamp(self) -> tuple[int, int]:
        low, high = super()._clamp()
        return low + self.by, high + self.by
