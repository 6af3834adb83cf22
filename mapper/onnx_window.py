"""How the nodes that move a window over an image say so, and the image that they move it over."""

from dataclasses import dataclass

from .ir import Reshape
from .onnx_site import NodeSite
from .onnx_values import Held
from .shapes import same_padding

__all__ = ["NHWC", "WindowShape", "as_image", "image_rank", "read_window", "without_rows"]

Pair = tuple[int, int]

NHWC = (0, 2, 3, 1)
"""Of an image, ONNX's dimensions in the order that the graph has them."""

_NWC = (0, 2, 1)


@dataclass(frozen=True)
class WindowShape:
    """A window: pairs are (y, x), `padding` (top, left, bottom, right); `extra` of it (y, x) is there only to fill up."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[int, int, int, int]
    extra: Pair


def image_rank(site: NodeSite, held: Held) -> int:
    """3 for rows of pixels, 4 for images; anything else is refused."""
    if len(held.shape) not in (3, 4) or 0 in held.shape:
        site.unsupported(f"its input has the shape {held.shape}", "it must be an image of 2 dimensions, or of 1")
    return len(held.shape)


def as_image(site: NodeSite, held: Held) -> str:
    """The NHWC tensor of an image; a row of pixels has the height 1."""
    if image_rank(site, held) == 4:
        return site.ordered(held, NHWC)
    tensor = site.ordered(held, _NWC)
    batch, width, channels = site.builder.tensors[tensor].shape
    shape = (batch, 1, width, channels)
    fields = {"input": tensor, "shape": shape}
    return site.builder.like(Reshape, site.index, "Reshape", f"{tensor}/image", tensor, **fields)


def without_rows(site: NodeSite, tensor: str, rank: int, name: str) -> Held:
    """An NHWC result as ONNX sees it, in an input's rank."""
    if rank == 4:
        return site.result(tensor, NHWC)
    batch, _, width, channels = site.builder.tensors[tensor].shape
    fields = {"input": tensor, "shape": (batch, width, channels)}
    return site.result(site.builder.like(Reshape, site.index, "Reshape", name, tensor, **fields), _NWC)


def read_window(site: NodeSite, held: Held, kernel: tuple[int, ...]) -> WindowShape:
    """The window of a node over its input; attributes of a single dimension are those of x."""
    count = image_rank(site, held) - 2
    ones = (1,) * count
    kernel = site.integers("kernel_shape", kernel or None)
    strides, dilations = site.integers("strides", ones), site.integers("dilations", ones)
    pads = site.integers("pads", (0,) * (2 * count))
    if not len(kernel) == len(strides) == len(dilations) == len(pads) // 2 == count or len(pads) % 2:
        site.broken(f"its kernel {kernel}, strides {strides}, dilations {dilations} and pads {pads} do not fit its input")
    if min(*kernel, *strides, *dilations) < 1:
        site.broken(f"its kernel {kernel}, strides {strides} and dilations {dilations} must be positive")
    if min(pads) < 0:
        site.unsupported(f"its pads {pads} are negative", "cut the image by a Slice instead")
    size = held.shape[2:]
    if count == 1:
        size, kernel, strides, dilations = ((1, *value) for value in (size, kernel, strides, dilations))
        pads = (0, pads[0], 0, pads[1])
    pairs: list[Pair] = [(value[0], value[1]) for value in (size, kernel, strides, dilations)]
    padding = _padding(site, pairs, (pads[0], pads[1], pads[2], pads[3]))
    extra = (0, 0)
    if site.integer("ceil_mode", 0):
        extra = (_filled(pairs, padding, 0), _filled(pairs, padding, 1))
        padding = (padding[0], padding[1], padding[2] + extra[0], padding[3] + extra[1])
    return WindowShape(pairs[1], pairs[2], pairs[3], padding, extra)


def _padding(site: NodeSite, pairs: list[Pair], pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    mode = site.text("auto_pad", "NOTSET")
    match mode:
        case "NOTSET" | "":
            return pads
        case "VALID":
            return (0, 0, 0, 0)
        case "SAME_UPPER" | "SAME_LOWER":
            top, left, bottom, right = same_padding(*pairs)
            return (top, left, bottom, right) if mode == "SAME_UPPER" else (bottom, right, top, left)
    site.broken(f"its auto_pad is {mode!r}")


def _filled(pairs: list[Pair], padding: tuple[int, int, int, int], axis: int) -> int:
    """Positions that the last window lacks when windows are counted up; it must begin before the padding's end."""
    size, kernel, stride, dilation = (pair[axis] for pair in pairs)
    length = size + padding[axis] + padding[axis + 2]
    reach = (kernel - 1) * dilation + 1
    windows = -(-max(length - reach, 0) // stride) + 1
    if (windows - 1) * stride >= size + padding[axis]:
        windows -= 1
    return max(0, (windows - 1) * stride + reach - length)
