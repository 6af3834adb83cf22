"""Fusion: a pool goes into the layer that produces its input, which is then not stored."""

import math
from dataclasses import replace

from ..hw.isa import Pool
from ..hw.params import Parameters
from .average import find_pool_average
from .ir import Add, AveragePool2D, Conv2D, DepthwiseConv2D, FullyConnected, MaxPool2D
from .layer import Layer, Load, Network, Pair, Pooled
from .tiling import candidates, cost

__all__ = ["fuse_pools"]

_MOST_WINDOW = 63
"""Rows or columns of a maximum pool's window, in a 6-bit field."""

_PRODUCERS = (Conv2D.KIND, DepthwiseConv2D.KIND, FullyConnected.KIND, Add.KIND)


def fuse_pools(network: Network, params: Parameters) -> Network:
    """Fuse every pool that the hardware can do behind the layer before it, where that is not slower.

    The layer's result must have no other reader. A maximum pool must have windows that lie side by side and inside the
    image, an average pool one that covers all of it.
    """
    for pool in network.layers:
        producer = next((layer for layer in network.layers if layer.output == pool.input), None)
        if producer is None or producer.kind not in _PRODUCERS or network.readers(pool.input) != (pool,):
            continue
        fused = _fused(producer, pool)
        if fused is not None and _cost(fused, network, params) <= sum(
            _cost(layer, network, params) for layer in (producer, pool)
        ):
            network = _replace(network, producer, pool, fused)
    return network


def _fused(producer: Layer, pool: Layer) -> Layer | None:
    """The two as one layer, if the hardware has such a pool."""
    if producer.pooled is not None or (producer.batch, producer.out_size) != (pool.batch, pool.size):
        return None
    both = replace(producer, operators=producer.operators + pool.operators, output=pool.output)
    match pool.kind:
        case AveragePool2D.KIND:
            return _averaged(both, pool)
        case MaxPool2D.KIND:
            return _maximal(both, pool)
    return None


def _averaged(layer: Layer, pool: Layer) -> Layer | None:
    """The layer with its results' mean. There is no clamp behind a mean: the one before must be as narrow."""
    factor = find_pool_average(math.prod(pool.size))
    low, high = layer.clamp if layer.residual is None else layer.residual.clamp
    ends = zip(pool.origin, pool.kernel, pool.size, strict=True)
    whole = pool.out_size == (1, 1) and all(first <= 0 and first + taps >= size for first, taps, size in ends)
    # The hardware's halves go away from zero as it counts: not those of uint8, whose zero is -128 on chip.
    if pool.zero_point or factor is None or not whole or not pool.clamp[0] <= low <= high <= pool.clamp[1]:
        return None
    return replace(layer, pooled=Pooled(Pool.AVERAGE, layer.out_size, *factor))


def _maximal(layer: Layer, pool: Layer) -> Layer | None:
    """The layer with its results' maxima, without those that no window covers. The pool's clamp may as well come first."""
    inside = pool.origin == (0, 0) and pool.out_size == tuple(
        size // taps for size, taps in zip(pool.size, pool.kernel, strict=True)
    )
    side_by_side = all(
        step == taps or windows == 1
        for step, taps, windows in zip(pool.stride, pool.kernel, pool.out_size, strict=True)
    )
    if not inside or not side_by_side or max(pool.kernel) > _MOST_WINDOW:
        return None
    covered: Pair = (pool.out_size[0] * pool.kernel[0], pool.out_size[1] * pool.kernel[1])
    (region,) = layer.regions  # only pools have more
    layer = replace(
        layer,
        out_size=covered,
        regions=(replace(region, rows=covered[0], columns=covered[1]),),
        pooled=Pooled(Pool.MAX, pool.kernel),
    )
    if layer.residual is None:
        return replace(layer, clamp=_both(layer.clamp, pool.clamp))
    if covered != pool.size:  # the residual operand is there in full
        return None
    return replace(layer, residual=replace(layer.residual, clamp=_both(layer.residual.clamp, pool.clamp)))


def _both(first: Pair, second: Pair) -> Pair:
    """Two clamps as one."""
    low, high = (min(max(bound, second[0]), second[1]) for bound in first)
    return low, high


def _cost(layer: Layer, network: Network, params: Parameters) -> float:
    """Estimated cycles; infinite if there is no legal tiling."""
    loaded = {step.image for step in network.steps if isinstance(step, Load)}
    return min((cost(layer, tiling, params, loaded) for tiling in candidates(layer, params)), default=math.inf)


def _replace(network: Network, producer: Layer, pool: Layer, fused: Layer) -> Network:
    images = {name: image for name, image in network.images.items() if name != producer.output}
    steps = tuple(fused if step is pool else step for step in network.steps if step is not producer)
    return Network(images, steps)
