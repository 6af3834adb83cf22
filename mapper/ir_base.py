"""Tensors, and what all operators of the graph have in common."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy.typing as npt

__all__ = ["Operator", "Padding", "Pair", "Quantization", "Tensor"]

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


@dataclass(frozen=True)
class Quantization:
    """`real = scale * (stored - zero_point)`, for the whole tensor or for each index along `axis`.

    `scale` holds float32 values; with `axis` None both tuples have one entry, otherwise one per index.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the network. `dtype` is numpy's name for the element type, or the file's where numpy has none.

    `data` is set for constants only, and read-only. Compared by identity: `data` is an array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: npt.NDArray[Any] | None = field(default=None, repr=False)
    is_variable: bool = False

    @property
    def scale(self) -> float:
        """The scale of a tensor quantized as a whole; `ValueError` otherwise."""
        return self._whole().scale[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a tensor quantized as a whole; `ValueError` otherwise."""
        return self._whole().zero_point[0]

    @property
    def per_axis(self) -> bool:
        """Whether scales and zero points differ along an axis."""
        return self.quantization is not None and self.quantization.axis is not None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def _whole(self) -> Quantization:
        if self.quantization is None or self.quantization.axis is not None:
            raise ValueError(f"tensor {self.name!r} has no single scale and zero point: {self.quantization}")
        return self.quantization


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What all operators have: position and name in the model, and the tensor they define.

    `index` counts the model's operators from 0; `name` is `INDEX:KIND`. Fields are plain numbers, texts and tuples of
    them. `READS` lists the fields that name tensors to read: a name, several, or None for an absent one.
    """

    KIND: ClassVar[str]
    READS: ClassVar[tuple[str, ...]]

    index: int
    name: str
    output: str

    @property
    def kind(self) -> str:
        """What the model's format calls the operator."""
        return self.KIND

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read, constants included, absent ones left out."""
        names: list[str] = []
        for role in self.READS:
            value = getattr(self, role)
            names += value if isinstance(value, tuple) else () if value is None else (value,)
        return tuple(names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors defined: `output` first, then what else there is."""
        return (self.output,)
