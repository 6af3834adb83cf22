"""STRIDED_SLICE: its masks resolved to what is taken along each dimension."""

from dataclasses import dataclass, field

from .ir import Operator, StridedSlice
from .tflite_site import Site

__all__ = ["read_strided_slice"]


@dataclass
class _Picks:
    """What is taken along each dimension of the input, and the output's shape so far."""

    begin: list[int] = field(default_factory=list)
    strides: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)

    def take(self, begin: int, stride: int, count: int, *, shrink: bool = False) -> None:
        """`count` elements of the next dimension; a dimension that shrinks is not in the output."""
        self.begin.append(begin)
        self.strides.append(stride)
        self.size.append(count)
        self.shape += [] if shrink else [count]


def read_strided_slice(site: Site) -> Operator:
    """Begin, end and stride of each entry; the masks' bits count entries, and say which is open, new or an index."""
    source = site.value(site.tensor(0, "input"), "input")
    begin, end, strides = (site.integers(position, role) for position, role in enumerate(("begin", "end", "strides"), 1))
    if not len(begin) == len(end) == len(strides):
        site.broken(f"its begin {begin}, end {end} and strides {strides} differ in length")
    if bool(getattr(site.options, "offset", False)):
        end = tuple(first + length for first, length in zip(begin, end, strict=True))
    masks = {name: int(site.option(f"{name}Mask")) for name in ("begin", "end", "ellipsis", "newAxis", "shrinkAxis")}
    rank, entries = len(source.shape), len(begin)

    def marked(name: str, entry: int) -> bool:
        return bool(masks[name] >> entry & 1)

    new = sum(marked("newAxis", entry) and not marked("ellipsis", entry) for entry in range(entries))
    ellipses = sum(marked("ellipsis", entry) for entry in range(entries))
    left = rank - (entries - new - ellipses)
    if ellipses > 1 or left < 0:
        site.broken(f"its {entries} entries do not fit an input of shape {source.shape}")
    if ellipses and new:
        # LiteRT and TensorFlow disagree here.
        site.unsupported("it has an ellipsis and a new axis", "slice first, and reshape then")
    if ellipses and left == 0:
        # LiteRT lets it stand for a dimension all the same, and forgets the last entry.
        site.unsupported("it has an ellipsis that stands for no dimension", "leave the ellipsis out")
    picks, dimension = _Picks(), 0
    for entry in range(entries):
        if marked("ellipsis", entry):
            for length in source.shape[dimension : dimension + left]:
                picks.take(0, 1, length)
            dimension += left
        elif marked("newAxis", entry):
            picks.shape.append(1)
        else:
            length = source.shape[dimension]
            bounds = (
                None if marked("begin", entry) else begin[entry],
                None if marked("end", entry) else end[entry],
            )
            if strides[entry] == 0:
                site.broken("a stride is 0")
            if marked("shrinkAxis", entry):
                first = 0 if bounds[0] is None else site.axis(bounds[0], length)
                picks.take(first, 1, 1, shrink=True)
            else:
                span = range(length)[slice(*bounds, strides[entry])]
                picks.take(span.start if span else 0, strides[entry], len(span))
            dimension += 1
    for length in source.shape[dimension:]:
        picks.take(0, 1, length)
    return StridedSlice(
        **site.common,
        input=source.name,
        begin=tuple(picks.begin),
        strides=tuple(picks.strides),
        size=tuple(picks.size),
        shape=tuple(picks.shape),
    )
