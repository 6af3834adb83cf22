"""The second IR: what the array runs, on images that lie in the activation memory.

An *image* is a tensor cut into pixels: `rows` x `width` pixels of `channels` bytes, in the tensor's memory order. A
batch lies row under row. A `Network` is a sequence of steps; each image is defined by one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.isa import Combine, Mode, Pool, Rounding

__all__ = [
    "WHOLE",
    "Constants",
    "Image",
    "Join",
    "Layer",
    "Load",
    "Move",
    "Network",
    "Pair",
    "Pooled",
    "Region",
    "Residual",
    "Runs",
    "Step",
    "Store",
    "Triple",
    "uniform",
]

Pair = tuple[int, int]
Triple = tuple[int, int, int]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Image:
    """`tensor` as it lies on chip. Several images may hold one tensor, cut differently; `name` tells them apart."""

    name: str
    tensor: str
    rows: int
    width: int
    channels: int

    @property
    def layout(self) -> tuple[int, int, int]:
        """Rows, width and channels."""
        return self.rows, self.width, self.channels

    @property
    def size(self) -> int:
        """Bytes of the tensor, without the filling on chip."""
        return self.rows * self.width * self.channels


@dataclass(frozen=True, eq=False)
class Constants:
    """Per output channel: `bias` int32 with the input zero point folded in, `multiplier` and total right `shift`."""

    bias: Array
    multiplier: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of every output image of the batch that shares constants."""

    row: int
    column: int
    rows: int
    columns: int
    constants: Constants


@dataclass(frozen=True, eq=False)
class Residual:
    """The second operand of an addition: an image like the output, and the tables that `find_residual` found.

    `table_a` is indexed by the layer's own result, `table_b` by the second operand, both as unsigned bytes.
    """

    image: str
    table_a: Array
    table_b: Array
    offset: int
    shift: int
    tie: int
    zero_point: int
    clamp: Pair


@dataclass(frozen=True)
class Pooled:
    """A pool behind a layer: of windows of so many rows and columns of its results that lie side by side.

    AVERAGE has one window, the whole of an output image, and the constants that `find_pool_average` found.
    """

    kind: Pool
    window: Pair
    multiplier: int = 0
    shift: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """A convolution, dense or depthwise, or what is expressed as one. Pairs are (y, x).

    `operators` are the names of the graph operators it computes, the first one leads: `kind` is its kind. Of each of the
    `batch` input images, `size` pixels large, it makes an output image of `out_size` pixels. The first tap of output
    pixel (oy, ox) lies at `origin + stride * (oy, ox)`; taps outside the image read `pad`.
    `weights` is int8, [kernel y, kernel x, inputs, outputs] when dense and [kernel y, kernel x, channels] when
    depthwise; factors beyond int8 are sums of `folds` such kernels, which stand side by side along kernel x and lie over the
    same pixels. The regions cover the output. A packed layer is a dense one with one input channel: its columns, in
    `size` and everything else, are the bytes of an image row. With `pooled` only the windows of the pool are stored, and
    together they are `out_size`; it is the last thing that the layer does.
    """

    operators: tuple[str, ...]
    kind: str
    input: str
    output: str
    batch: int
    size: Pair
    out_size: Pair
    stride: Pair
    dilation: Pair
    origin: Pair
    pad: int
    mode: Mode
    weights: Array
    regions: tuple[Region, ...]
    zero_point: int
    clamp: Pair
    combine: Combine = Combine.ADD
    rounding: Rounding = Rounding.DOUBLE
    residual: Residual | None = None
    pooled: Pooled | None = None
    folds: int = 1

    @property
    def name(self) -> str:
        """Unique in the network: the operators' names."""
        return "+".join(self.operators)

    @property
    def kernel(self) -> Pair:
        """Kernel rows and columns."""
        return self.weights.shape[0], self.weights.shape[1] // self.folds

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.weights.shape[-1])

    @property
    def input_layout(self) -> tuple[int, int, int]:
        """Rows, width and channels of the image it wants."""
        if self.mode is Mode.PACKED:
            return self.batch * self.size[0], 1, self.size[1]
        return self.batch * self.size[0], self.size[1], int(self.weights.shape[2])

    @property
    def output_layout(self) -> tuple[int, int, int]:
        """Rows, width and channels of the image it makes."""
        return self.batch * self.stored_size[0], self.stored_size[1], self.outputs

    @property
    def residual_layout(self) -> tuple[int, int, int]:
        """Rows, width and channels of the residual operand: of its results, before a pool."""
        return self.batch * self.out_size[0], self.out_size[1], self.outputs

    @property
    def window(self) -> Pair:
        """Rows and columns of results that make a stored pixel."""
        return (1, 1) if self.pooled is None else self.pooled.window

    @property
    def stored_size(self) -> Pair:
        """Rows and columns of pixels that are stored of each batch item."""
        return self.out_size[0] // self.window[0], self.out_size[1] // self.window[1]

    @property
    def reads(self) -> tuple[str, ...]:
        """Images it reads."""
        return (self.input,) if self.residual is None else (self.input, self.residual.image)

    @property
    def pointwise(self) -> bool:
        """Each output pixel comes from the input pixel in the same place alone."""
        return self.folds == 1 and self.kernel == self.stride == (1, 1) and self.origin == (0, 0) and self.size == self.out_size

    def input_rows(self, first: int, rows: int) -> range:
        """Rows inside the input image that output rows `first` to `first + rows - 1` of one batch item read."""
        top = self.origin[0] + first * self.stride[0]
        bottom = top + (rows - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0]
        start = min(max(top, 0), self.size[0])
        return range(start, max(min(bottom, self.size[0] - 1) + 1, start))


@dataclass(frozen=True)
class Load:
    """Bring a tensor that lies in external memory onto the chip."""

    tensor: str
    image: str

    reads = ()

    @property
    def output(self) -> str:
        """The image it defines."""
        return self.image


@dataclass(frozen=True)
class Runs:
    """How a stream of bytes lies in memory: in `count` equal runs, `pitch` bytes apart, the first at `offset`."""

    count: int = 1
    pitch: int = 0
    offset: int = 0


WHOLE = Runs()
"""All bytes in one run."""


@dataclass(frozen=True)
class Move:
    """Bytes of images as another image, by way of `size` bytes of external memory: joined, cut, or in another layout.

    Each image is stored in its `stores`, and the output loaded from `load`. `operator` is the graph operator's name; None
    for a layout that a layer wants. `reason` says why parts do not lie in the whole instead (`Join`).
    """

    operator: str | None
    images: tuple[str, ...]
    output: str
    stores: tuple[Runs, ...]
    load: Runs
    size: int
    reason: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Images it reads."""
        return self.images


@dataclass(frozen=True)
class Join:
    """Images that lie in another one and together fill it: nothing moves. `operator` is the graph operator's name.

    `offsets` has the row, column and channel of the whole at which each part begins.
    """

    operator: str
    images: tuple[str, ...]
    output: str
    offsets: tuple[Triple, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """The parts."""
        return self.images


@dataclass(frozen=True)
class Store:
    """Write an image to external memory as the plain bytes of `tensor`, a graph tensor of the same elements."""

    image: str
    tensor: str

    output = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Images it reads."""
        return (self.image,)


Step = Load | Layer | Move | Join | Store


@dataclass(frozen=True, eq=False)
class Network:
    """What one run of the accelerator computes: steps in an order in which each can run, and the images by name."""

    images: Mapping[str, Image]
    steps: tuple[Step, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The steps that compute."""
        return tuple(step for step in self.steps if isinstance(step, Layer))

    @property
    def parts(self) -> dict[str, tuple[str, Triple]]:
        """Where images lie that are parts of others: in which, and from which row, column and channel on."""
        return {
            name: (step.output, offset)
            for step in self.steps
            if isinstance(step, Join)
            for name, offset in zip(step.images, step.offsets, strict=True)
        }

    def readers(self, image: str) -> tuple[Step, ...]:
        """The steps that read an image, in order."""
        return tuple(step for step in self.steps if image in step.reads)


def uniform(channels: int, bias: int, multiplier: int, shift: int) -> Constants:
    """The same constants for every channel."""
    return Constants(*(np.full(channels, value, np.int64) for value in (bias, multiplier, shift)))
