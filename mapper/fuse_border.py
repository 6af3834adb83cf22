"""Fusion: a border around an image goes into the padding of the layers that read it."""

from dataclasses import replace

from ..hw.params import Parameters
from .errors import UnsupportedError
from .ir import AveragePool2D, Pad
from .layer import Layer, Network, Step
from .limits import check_layer

__all__ = ["fuse_borders"]


def fuse_borders(network: Network, params: Parameters) -> Network:
    """Leave out every border that all its readers can make themselves.

    A layer can if it finds the border's value outside its image, or never looks there yet. It comes from the first
    reader then, in the report.
    """
    for border in network.layers:
        if border.kind != Pad.KIND or border.residual is not None:
            continue
        readers = network.readers(border.output)
        fused = [_fused(border, reader, params) for reader in readers]
        if not readers or None in fused:
            continue
        swapped = {id(reader): layer for reader, layer in zip(readers, fused, strict=True)}
        first = swapped[id(readers[0])]
        assert first is not None
        swapped[id(readers[0])] = replace(first, operators=first.operators + border.operators)
        steps: list[Step] = [swapped.get(id(step)) or step for step in network.steps if step is not border]
        images = {name: image for name, image in network.images.items() if name != border.output}
        network = Network(images, tuple(steps))
    return network


def _fused(border: Layer, reader: Step, params: Parameters) -> Layer | None:
    """The layer that reads what the border reads; None if there is none, or no instruction for it."""
    if not isinstance(reader, Layer) or reader.reads != (border.output,):
        return None
    if reader.batch != border.batch or reader.size != border.out_size or reader.kind == AveragePool2D.KIND:
        return None  # An average counts the border's pixels, and not those of its own padding: they are told apart by size.
    if reader.pad != border.pad and _looks_outside(reader):
        return None
    origin = (reader.origin[0] + border.origin[0], reader.origin[1] + border.origin[1])
    layer = replace(reader, input=border.input, size=border.size, origin=origin, pad=border.pad)
    try:
        check_layer(layer, params)
    except UnsupportedError:
        return None
    return layer


def _looks_outside(layer: Layer) -> bool:
    """Whether any tap lies outside the image."""
    for axis in range(2):
        last = layer.origin[axis] + (layer.out_size[axis] - 1) * layer.stride[axis]
        end = last + (layer.kernel[axis] - 1) * layer.dilation[axis]
        if layer.origin[axis] < 0 or end >= layer.size[axis]:
            return True
    return False
