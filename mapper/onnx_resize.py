"""Resize of ONNX: by the nearest pixel, or linearly between pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..sim.operators import resize_nearest_neighbor
from .ir import Gather, Quantization, Quantize, ResizeBilinear, ResizeNearestNeighbor
from .onnx_site import HeldType, NodeSite
from .onnx_values import Held, Target, Value, dequantized_bytes
from .onnx_window import NHWC

__all__ = ["RESIZE_READERS"]

Array = npt.NDArray[Any]
Pair = tuple[int, int]

_FLAGS = ((False, False), (False, True), (True, False))
"""What the graph's operators know: align_corners and half_pixel_centers."""

_LINEAR_FLAGS = {"asymmetric": _FLAGS[0], "half_pixel": _FLAGS[1], "pytorch_half_pixel": _FLAGS[1], "align_corners": _FLAGS[2]}

_UNIT = 1 << 10
"""One pixel in the fixed point of the int8 kernel."""


def _read_resize(site: NodeSite) -> Value:
    mode = site.text("mode", "nearest")
    place = site.text("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear") or place not in _LINEAR_FLAGS:
        site.unsupported(f"its mode is {mode} with {place}", "use nearest or linear, half_pixel, asymmetric or align_corners")
    if site.integer("antialias", 0) or site.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        site.unsupported("it smooths, or keeps the aspect ratio", "use a plain resize")
    return site.move(0, lambda held: _nearest(site, held, place)) if mode == "nearest" else _linear(site, place)


def _extent(site: NodeSite, shape: tuple[int, ...]) -> tuple[Pair, tuple[float, float]]:
    """Rows and columns of the output, and the scales of both."""
    if len(shape) != 4 or 0 in shape:
        site.unsupported(f"its input has the shape {shape}", "resize images of 4 dimensions")
    axes = [site.axis(axis, 4) for axis in site.integers("axes", (0, 1, 2, 3))]
    sizes, scales = list(shape), [1.0] * 4
    if site.has_input(3):
        given = site.constants(3, "sizes")
        _check_count(site, given, axes)
        for axis, size in zip(axes, given, strict=True):
            sizes[axis], scales[axis] = size, size / shape[axis]
    elif site.has_input(2):
        numbers = site.constant(2, "scales").real.reshape(-1)
        _check_count(site, numbers, axes)
        if not (np.isfinite(numbers).all() and (numbers > 0).all() and (numbers < 1 << 20).all()):
            site.broken(f"its scales are {numbers}")
        for axis, scale in zip(axes, numbers, strict=True):
            sizes[axis], scales[axis] = int(np.floor(shape[axis] * scale)), float(scale)
    else:
        site.broken("it has neither scales nor sizes")
    if sizes[:2] != list(shape[:2]):
        site.unsupported("it resizes the batch or the channels", "resize rows and columns only")
    if min(sizes) < 1:
        site.broken(f"its output of shape {tuple(sizes)} is empty")
    site.bounded(tuple(sizes))
    return (sizes[2], sizes[3]), (scales[2], scales[3])


def _check_count(site: NodeSite, given: Any, axes: list[int]) -> None:
    if len(given) != len(axes):
        site.broken(f"it has {len(given)} sizes or scales for {len(axes)} axes")


def _places(place: str, length: int, wanted: int, scale: float) -> npt.NDArray[np.float32]:
    """Where in the input each position of the output lies, in float32."""
    positions, factor = np.arange(wanted, dtype=np.float32), np.float32(scale)
    match place:
        case "asymmetric":
            return positions / factor
        case "align_corners":
            return positions * np.float32(length - 1) / np.float32(max(wanted - 1, 1))
        case "pytorch_half_pixel" if wanted == 1:
            return positions
        case _:
            return (positions + np.float32(0.5)) / factor - np.float32(0.5)


def _picks(site: NodeSite, place: str, length: int, wanted: int, scale: float) -> Array:
    """The pixel that each position of the output shows."""
    places = _places(place, length, wanted, scale)
    rounding = site.text("nearest_mode", "round_prefer_floor")
    match rounding:
        case "round_prefer_floor":
            picks = np.ceil(places - np.float32(0.5))
        case "round_prefer_ceil":
            picks = np.floor(places + np.float32(0.5))
        case "floor":
            picks = np.floor(places)
        case "ceil":
            picks = np.ceil(places)
        case _:
            site.broken(f"its nearest_mode is {rounding!r}")
    return np.clip(picks, 0, length - 1).astype(np.int64)


def _nearest(site: NodeSite, held: HeldType, place: str) -> HeldType:
    """One operator where one picks the same pixels, else one for the rows and one for the columns."""
    settled = site.settled(held)
    size, scales = _extent(site, settled.shape)
    image = settled.shape[2:]
    picks = [_picks(site, place, image[axis], size[axis], scales[axis]) for axis in range(2)]
    source = site.ordered(settled, NHWC)
    grid = np.arange(image[0] * image[1]).reshape(1, *image, 1)
    wanted = picks[0][:, None] * image[1] + picks[1]
    for corners, centers in _FLAGS:
        flags: dict[str, Any] = {"size": size, "align_corners": corners, "half_pixel_centers": centers}
        if np.array_equal(resize_nearest_neighbor(grid, **flags)[0, :, :, 0], wanted):
            tensor = site.like(ResizeNearestNeighbor, source, input=source, **flags)
            return site.moved(settled, tensor, NHWC)
    for axis in range(2):
        indices = site.builder.constant(f"{site.output}/indices", picks[axis])
        source = site.like(Gather, source, input=source, indices=indices, axis=axis + 1)
    return site.moved(settled, source, NHWC)


def _linear(site: NodeSite, place: str) -> Value:
    """Between pixels: as int8 where 10 bits behind the point hold all positions, else as uint8, in float32."""
    source = site.settled(site.activation(0))
    size, scales = _extent(site, source.shape)
    image = source.shape[2:]
    if place != "align_corners" and any(abs(image[axis] * scales[axis] - size[axis]) > 1e-4 for axis in range(2)):
        site.unsupported(f"its scales {scales} do not give whole pixels", "give it sizes")
    if place == "pytorch_half_pixel" and 1 in size and size != image:
        site.unsupported("it resizes to a single pixel by pytorch_half_pixel", "use half_pixel")
    corners, centers = _LINEAR_FLAGS[place]
    exact = all(_in_ten_bits(image[axis], size[axis], corners) for axis in range(2))
    fields: dict[str, Any] = {"size": size, "align_corners": corners, "half_pixel_centers": centers}

    def emit(target: Target) -> Held:
        quantization, tensor = site.quantization(source), site.ordered(source, NHWC)
        if exact:
            resized = site.like(ResizeBilinear, tensor, input=tensor, **fields)
        else:
            point = Quantization(quantization.scale, (quantization.zero_point[0] + 128,))
            up, down = tuple(byte ^ 128 for byte in range(256)), tuple(byte - 128 for byte in range(256))
            label = (site.index, site.kind)
            wide = site.builder.add(Quantize, *label, f"{target.name}/uint8", "uint8", point, input=tensor, table=up)
            wide = site.builder.add(ResizeBilinear, *label, f"{target.name}/resized", "uint8", point, input=wide, **fields)
            resized = site.builder.add(Quantize, *label, f"{target.name}/int8", "int8", quantization, input=wide, table=down)
        if quantization == target.quantization and target.clamp == (-128, 127):
            return site.result(resized, NHWC)
        if quantization.scale[0] > 1.001 * target.quantization.scale[0]:
            site.unsupported("its output has a finer scale than its input", "give both one quantization")
        values = dequantized_bytes(quantization.scale[0], quantization.zero_point[0])
        entries = target.store(values.clip(np.float32(target.low), np.float32(target.high)))
        table = tuple(int(entry) for entry in entries)
        return site.result(site.add(Quantize, target, input=resized, table=table), NHWC)

    return site.pending(emit)


def _in_ten_bits(length: int, wanted: int, corners: bool) -> bool:
    span, steps = (length - 1, wanted - 1) if corners and wanted > 1 else (length, wanted)
    return (_UNIT * span) % (2 * steps) == 0


RESIZE_READERS = {"Resize": _read_resize}
