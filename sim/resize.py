"""Resizing of images, NHWC; a size is (rows, columns).

`align_corners` puts the outermost pixels on each other, `half_pixel_centers` counts from the pixels' middles; not
both. Bit-exact with ai-edge-litert 2.3.0, `OpResolverType.BUILTIN_REF`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import round_half_away
from .windows import Pair

__all__ = ["resize_bilinear", "resize_nearest_neighbor"]

ByteArray = npt.NDArray[np.integer[Any]]
Int64Array = npt.NDArray[np.int64]
Float32 = np.float32

_UNIT = 1 << 10
"""One pixel in the fixed point of the int8 kernel."""


def resize_nearest_neighbor(
    image: npt.NDArray[Any], *, size: Pair, align_corners: bool, half_pixel_centers: bool
) -> npt.NDArray[Any]:
    """RESIZE_NEAREST_NEIGHBOR: positions in float32."""
    picks = [
        _nearest(image.shape[axis + 1], size[axis], align_corners, half_pixel_centers) for axis in range(2)
    ]
    return image[:, picks[0]][:, :, picks[1]]


def _distances(length: int, wanted: int, align_corners: bool) -> tuple[int, int]:
    """How much of the input goes to how many steps of the output."""
    return (length - 1, wanted - 1) if align_corners and wanted > 1 else (length, wanted)


def _nearest(length: int, wanted: int, align_corners: bool, half_pixel_centers: bool) -> Int64Array:
    span, steps = _distances(length, wanted, align_corners)
    scale = Float32(span) / Float32(steps)
    places = (np.arange(wanted).astype(np.float32) + Float32(0.5 if half_pixel_centers else 0)) * scale
    nearest = round_half_away(places) if align_corners else np.floor(places)
    return np.clip(nearest.astype(np.int64), 0, length - 1)


def resize_bilinear(image: ByteArray, *, size: Pair, align_corners: bool, half_pixel_centers: bool) -> ByteArray:
    """RESIZE_BILINEAR: int8 in fixed point with 10 bits behind the point, uint8 in float32."""
    if image.dtype == np.uint8:
        return _bilinear_float(image, size, align_corners, half_pixel_centers)
    wide = image.astype(np.int64)
    (low_y, high_y, part_y), (low_x, high_x, part_x) = (
        _fixed_places(image.shape[axis + 1], size[axis], align_corners, half_pixel_centers) for axis in range(2)
    )
    part_y, part_x = part_y[:, None, None], part_x[:, None]
    low, high = wide[:, low_y], wide[:, high_y]
    total = (
        low[:, :, low_x] * (_UNIT - part_y) * (_UNIT - part_x)
        + high[:, :, low_x] * part_y * (_UNIT - part_x)
        + low[:, :, high_x] * (_UNIT - part_y) * part_x
        + high[:, :, high_x] * part_y * part_x
    )
    half = _UNIT * _UNIT // 2
    rounded = np.where(total > 0, (total + half) // _UNIT**2, -((half - total) // _UNIT**2))
    return rounded.astype(image.dtype)


def _fixed_places(length: int, wanted: int, align: bool, half_pixels: bool) -> tuple[Int64Array, ...]:
    """For each output position its lower and upper neighbour, and how far it lies beyond the lower one, in 1/1024."""
    span, steps = _distances(length, wanted, align)
    scale = (_UNIT * span + steps // 2) // steps
    places = np.arange(wanted) * scale
    if half_pixels:
        places = places + scale // 2 - _UNIT // 2
    low = np.maximum(np.trunc(places / _UNIT).astype(np.int64), 0)
    high = np.minimum(np.trunc((places + _UNIT - 1) / _UNIT).astype(np.int64), length - 1)
    return low, high, places - low * _UNIT


def _bilinear_float(image: ByteArray, size: Pair, align_corners: bool, half_pixel_centers: bool) -> ByteArray:
    one = Float32(1)
    (low_y, high_y, part_y), (low_x, high_x, part_x) = (
        _float_places(image.shape[axis + 1], size[axis], align_corners, half_pixel_centers) for axis in range(2)
    )
    part_y, part_x = part_y[:, None, None], part_x[:, None]
    real = image.astype(np.float32)
    low, high = real[:, low_y], real[:, high_y]
    total = (
        low[:, :, low_x] * (one - part_y) * (one - part_x)
        + high[:, :, low_x] * part_y * (one - part_x)
        + low[:, :, high_x] * (one - part_y) * part_x
        + high[:, :, high_x] * part_y * part_x
        + Float32(0.5)
    )
    return np.trunc(total).astype(image.dtype)


def _float_places(length: int, wanted: int, align: bool, half_pixels: bool) -> tuple[npt.NDArray[Any], ...]:
    """As `_fixed_places`, in float32."""
    span, steps = _distances(length, wanted, align)
    scale = Float32(span) / Float32(steps)
    places = np.arange(wanted).astype(np.float32)
    places = (places + Float32(0.5)) * scale - Float32(0.5) if half_pixels else places * scale
    low = np.maximum(np.floor(places).astype(np.int64), 0)
    high = np.minimum(np.ceil(places).astype(np.int64), length - 1)
    return low, high, places - low.astype(np.float32)
