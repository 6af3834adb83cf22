"""Operators that move elements and compute nothing. Input and output count as equally quantized.

Axes are counted from 0, and everything is resolved: no negative axis, no open dimension.
"""

from dataclasses import dataclass

from .ir_base import Operator, Pair

__all__ = [
    "BatchToSpaceNd",
    "BroadcastTo",
    "Concatenation",
    "DepthToSpace",
    "ExpandDims",
    "Gather",
    "MirrorPad",
    "Pack",
    "Pad",
    "ReadVariable",
    "Reshape",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "Slice",
    "SpaceToBatchNd",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "StridedSlice",
    "Tile",
    "Transpose",
    "Unpack",
]


@dataclass(frozen=True, kw_only=True)
class Reshape(Operator):
    """The same elements in another shape; `shape` has no open dimension."""

    KIND = "RESHAPE"
    READS = ("input",)

    input: str
    shape: tuple[int, ...]


class Squeeze(Reshape):
    """A reshape that leaves out dimensions of 1."""

    KIND = "SQUEEZE"


class ExpandDims(Reshape):
    """A reshape that puts in a dimension of 1."""

    KIND = "EXPAND_DIMS"


class ReadVariable(Reshape):
    """The value that a variable was given before, as it is."""

    KIND = "READ_VARIABLE"


@dataclass(frozen=True, kw_only=True)
class Pad(Operator):
    """A border around the input: (before, after) for each dimension, filled with the stored number `value`."""

    KIND = "PAD"
    READS = ("input",)

    input: str
    padding: tuple[Pair, ...]
    value: int


@dataclass(frozen=True, kw_only=True)
class Concatenation(Operator):
    """The parts one behind the other along `axis`. int8 parts are quantized as the output; uint8 ones are rescaled."""

    KIND = "CONCATENATION"
    READS = ("parts",)

    parts: tuple[str, ...]
    axis: int


@dataclass(frozen=True, kw_only=True)
class Pack(Operator):
    """The parts, of one shape, along a new `axis`."""

    KIND = "PACK"
    READS = ("parts",)

    parts: tuple[str, ...]
    axis: int


@dataclass(frozen=True, kw_only=True)
class Unpack(Operator):
    """A tensor for each index along `axis`, which is gone: `output`, then `others`."""

    KIND = "UNPACK"
    READS = ("input",)

    input: str
    axis: int
    others: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """All parts, in order."""
        return (self.output, *self.others)


@dataclass(frozen=True, kw_only=True)
class Split(Operator):
    """Parts of these `sizes` along `axis`: `output`, then `others`."""

    KIND = "SPLIT"
    READS = ("input",)

    input: str
    axis: int
    sizes: tuple[int, ...]
    others: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """All parts, in order."""
        return (self.output, *self.others)


@dataclass(frozen=True, kw_only=True)
class Slice(Operator):
    """`size` elements from `begin` along each dimension."""

    KIND = "SLICE"
    READS = ("input",)

    input: str
    begin: tuple[int, ...]
    size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class StridedSlice(Operator):
    """`size` elements from `begin`, `strides` apart, along each dimension of the input; then reshaped to `shape`.

    Strides can be negative. `shape` lacks dimensions that an index replaced, and has new ones of 1.
    """

    KIND = "STRIDED_SLICE"
    READS = ("input",)

    input: str
    begin: tuple[int, ...]
    strides: tuple[int, ...]
    size: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Transpose(Operator):
    """Dimension i of the output is dimension `permutation[i]` of the input."""

    KIND = "TRANSPOSE"
    READS = ("input",)

    input: str
    permutation: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SpaceToDepth(Operator):
    """Each `block` x `block` pixels as one, their channels one behind the other."""

    KIND = "SPACE_TO_DEPTH"
    READS = ("input",)

    input: str
    block: int


@dataclass(frozen=True, kw_only=True)
class DepthToSpace(Operator):
    """Each pixel as `block` x `block` of them, its channels shared out in order."""

    KIND = "DEPTH_TO_SPACE"
    READS = ("input",)

    input: str
    block: int


@dataclass(frozen=True, kw_only=True)
class SpaceToBatchNd(Operator):
    """The pixels of each residue modulo `block` as a batch item of their own; first a border of the number `value`.

    `block` and `padding`, (before, after), are for the dimensions behind the first.
    """

    KIND = "SPACE_TO_BATCH_ND"
    READS = ("input",)

    input: str
    block: tuple[int, ...]
    padding: tuple[Pair, ...]
    value: int


@dataclass(frozen=True, kw_only=True)
class BatchToSpaceNd(Operator):
    """The inverse of `SpaceToBatchNd`: batch items interleaved; then `crops`, (before, after), are cut off."""

    KIND = "BATCH_TO_SPACE_ND"
    READS = ("input",)

    input: str
    block: tuple[int, ...]
    crops: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class Tile(Operator):
    """The input repeated `multiples` times along each dimension."""

    KIND = "TILE"
    READS = ("input",)

    input: str
    multiples: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BroadcastTo(Operator):
    """The input repeated along its dimensions of 1 until it has this `shape`."""

    KIND = "BROADCAST_TO"
    READS = ("input",)

    input: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MirrorPad(Operator):
    """A border that mirrors the input: (before, after) for each dimension; the edge itself is repeated if `symmetric`."""

    KIND = "MIRROR_PAD"
    READS = ("input",)

    input: str
    padding: tuple[Pair, ...]
    symmetric: bool


@dataclass(frozen=True, kw_only=True)
class ResizeNearestNeighbor(Operator):
    """An image resized to `size` (rows, columns) by the nearest pixel."""

    KIND = "RESIZE_NEAREST_NEIGHBOR"
    READS = ("input",)

    input: str
    size: Pair
    align_corners: bool
    half_pixel_centers: bool


@dataclass(frozen=True, kw_only=True)
class ResizeBilinear(Operator):
    """An image resized to `size` (rows, columns) between the four nearest pixels."""

    KIND = "RESIZE_BILINEAR"
    READS = ("input",)

    input: str
    size: Pair
    align_corners: bool
    half_pixel_centers: bool


@dataclass(frozen=True, kw_only=True)
class Gather(Operator):
    """The slices of the input at `indices` along `axis`, which their shape replaces."""

    KIND = "GATHER"
    READS = ("input", "indices")

    input: str
    indices: str
    axis: int
