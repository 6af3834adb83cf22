"""Fusion: an addition goes into the convolution that produces one of its operands."""

from collections.abc import Iterator
from dataclasses import replace

from ..hw.isa import Mode
from .ir import Add, Conv2D, DepthwiseConv2D, FullyConnected, Sub
from .layer import Layer, Network, Residual, Step

__all__ = ["fuse"]

_PRODUCERS = (Conv2D.KIND, DepthwiseConv2D.KIND, FullyConnected.KIND)


def fuse(network: Network) -> Network:
    """Fuse every addition with the convolution that runs last of those that could take it.

    The convolution's result must have no other reader. It moves to the addition's place, where the other operand is
    complete. A depthwise convolution reads three banks at a time and cannot wait: it takes an addition only if the
    residual operand's bank can always be the fourth.
    """
    while (fused := _fuse_one(network)) is not None:
        network = fused
    return network


def _fuse_one(network: Network) -> Network | None:
    for addition in network.layers:
        if addition.kind not in (Add.KIND, Sub.KIND):
            continue
        for producer, residual in _choices(network, addition):
            fused = replace(
                producer,
                operators=producer.operators + addition.operators,
                output=addition.output,
                residual=residual,
            )
            if producer.mode is Mode.DENSE or _banks_free(network, fused):
                return _replace(network, producer, addition, fused)
    return None


def _choices(network: Network, addition: Layer) -> Iterator[tuple[Layer, Residual]]:
    """The layers that could take the addition, the last one first, each with its residual operand."""
    residual = addition.residual
    if residual is None or addition.input == residual.image:
        return
    swapped = replace(residual, image=addition.input, table_a=residual.table_b, table_b=residual.table_a)
    operands = {addition.input: residual, residual.image: swapped}
    for layer in reversed(network.layers):
        if (
            layer.output in operands
            and layer.kind in _PRODUCERS
            and layer.residual is None
            and layer.folds == 1
            and network.readers(layer.output) == (addition,)
        ):
            yield layer, operands[layer.output]


def _banks_free(network: Network, fused: Layer) -> bool:
    """Whether the banks can be dealt out so that the layer's residual operand never meets its activation.

    Pixel rows advance together only at stride 1. Such layers tie two images' first banks to each other; as long as
    these ties form no cycle, every tie can be met by turning one side's banks.
    """
    if fused.batch != 1 or (fused.stride[0] != 1 and fused.out_size[0] != 1):
        return False
    tied: dict[str, set[str]] = {}
    for layer in network.layers:
        if _ties(layer):
            united = set().union(*(tied.get(image, {image}) for image in layer.reads))
            tied.update(dict.fromkeys(united, united))
    return fused.reads[1] not in tied.get(fused.input, {fused.input})


def _ties(layer: Layer) -> bool:
    return layer.mode is Mode.DEPTHWISE and layer.residual is not None and layer.kernel != (1, 1)


def _replace(network: Network, producer: Layer, addition: Layer, fused: Layer) -> Network:
    steps: list[Step] = []
    for step in network.steps:
        if step is addition:
            steps.append(fused)
        elif step is not producer:
            steps.append(step)
    images = {name: image for name, image in network.images.items() if name != producer.output}
    return Network(images, tuple(steps))
