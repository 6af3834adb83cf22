"""The invariants of the second IR, checked after legalization, after fusion and after tiling."""

from collections.abc import Mapping

import numpy as np

from ..hw.isa import Mode
from ..hw.params import Parameters
from .layer import Join, Layer, Move, Network, Residual, Runs
from .tiling import Tiling, passes, rectangles

__all__ = ["verify_network", "verify_tilings"]


def verify_network(network: Network) -> None:
    """Raise `ValueError`, naming the layer or image, if the network breaks an invariant.

    Every image is defined once, before it is read, and its layout fits the layers at both of its ends; regions cover
    each output pixel once; constants lie in their ranges.
    """
    defined: set[str] = set()
    for step in network.steps:
        if missing := [name for name in step.reads if name not in defined]:
            raise ValueError(f"image {missing[0]!r} is read before anything defines it")
        if step.output in defined:
            raise ValueError(f"image {step.output!r} is defined twice")
        if step.output is not None:
            defined.add(step.output)
        if isinstance(step, Move):
            for name, runs in (*zip(step.images, step.stores, strict=True), (step.output, step.load)):
                _verify_runs(name, network.images[name].size, runs, step.size)
        if isinstance(step, Join):
            _verify_join(step, network)
        if isinstance(step, Layer):
            try:
                _verify_layer(step, network)
            except ValueError as error:
                raise ValueError(f"layer {step.name}: {error}") from error
    if unknown := set(network.images) ^ defined:
        raise ValueError(f"image {min(unknown)!r} is listed or defined, but not both")


def _verify_join(join: Join, network: Network) -> None:
    whole = network.images[join.output]
    covered = np.zeros(whole.layout, np.int64)
    for name, offset in zip(join.images, join.offsets, strict=True):
        ends = [begin + length for begin, length in zip(offset, network.images[name].layout, strict=True)]
        covered[tuple(slice(*pair) for pair in zip(offset, ends, strict=True))] += 1
        if any(end > length for end, length in zip(ends, whole.layout, strict=True)):
            raise ValueError(f"image {name!r} leaves {join.output!r}")
    if (covered != 1).any():
        raise ValueError(f"image {join.output!r} is not filled once by its parts")


def _verify_runs(image: str, size: int, runs: Runs, room: int) -> None:
    length, remainder = divmod(size, runs.count)
    ends = (runs.offset, runs.offset + (runs.count - 1) * runs.pitch)
    if remainder or min(ends) < 0 or max(ends) + length > room:
        raise ValueError(f"image {image!r} of {size} bytes: {runs} are not within {room}")


def _verify_layer(layer: Layer, network: Network) -> None:
    if layer.weights.dtype != np.int8 or layer.weights.ndim != (3 if layer.mode is Mode.DEPTHWISE else 4):
        raise ValueError(f"weights are {layer.weights.dtype} of shape {layer.weights.shape}")
    for name, layout in ((layer.input, layer.input_layout), (layer.output, layer.output_layout)):
        if network.images[name].layout != layout:
            raise ValueError(f"image {name!r} is cut as {network.images[name].layout}, and must be as {layout}")
    if layer.mode is Mode.PACKED and (layer.weights.shape[2] != 1 or layer.residual or layer.dilation != (1, 1)):
        raise ValueError("a packed layer has one input channel, no residual operand and no dilation")
    if layer.residual is not None:
        _verify_residual(layer.residual, layer, network)
    if layer.pooled is not None and any(
        size % window for size, window in zip(layer.out_size, layer.window, strict=True)
    ):
        raise ValueError(f"windows of {layer.window} do not fill its results, {layer.out_size}")
    covered = np.zeros(layer.out_size, np.int64)
    for region in layer.regions:
        covered[region.row : region.row + region.rows, region.column : region.column + region.columns] += 1
        _verify_constants(layer, region.constants.bias, region.constants.multiplier, region.constants.shift)
    if (covered != 1).any():
        raise ValueError("its regions do not cover every output pixel once")
    if not -128 <= layer.clamp[0] <= layer.clamp[1] <= 127:
        raise ValueError(f"clamp {layer.clamp}")


def _verify_residual(residual: Residual, layer: Layer, network: Network) -> None:
    if network.images[residual.image].layout != layer.residual_layout:
        raise ValueError(f"the residual operand {residual.image!r} is cut otherwise than the results")
    for table in (residual.table_a, residual.table_b):
        if len(table) != 256 or (np.abs(2 * np.asarray(table, np.int64) + 1) >= 1 << 28).any():
            raise ValueError("a residual table is not 256 entries of 28 bits")


def _verify_constants(layer: Layer, *constants: np.ndarray) -> None:
    limits = ((-(1 << 31), (1 << 31) - 1), (0, (1 << 31) - 1), (0, 62))
    for values, (low, high) in zip(constants, limits, strict=True):
        if len(values) != layer.outputs or (values < low).any() or (values > high).any():
            raise ValueError(f"constants are not {layer.outputs} values from {low} to {high}")


def verify_tilings(network: Network, tilings: Mapping[str, Tiling], params: Parameters) -> None:
    """Raise `ValueError` if a tiling leaves out or repeats output pixels, or asks too much of accumulators or rows."""
    for layer in network.layers:
        tiling = tilings[layer.name]
        covered = np.zeros((layer.batch, *layer.out_size), np.int64)
        for part in rectangles(layer, tiling):
            covered[part.item, part.row : part.row + part.rows, part.column : part.column + part.columns] += 1
            pixels = part.rows * part.columns
            held = params.holds_results or passes(layer, tiling, params) > 1
            if held and pixels > params.accumulator_depth:
                raise ValueError(f"layer {layer.name}: {pixels} pixels exceed the accumulators")
            if part.rows % layer.window[0] or part.columns % layer.window[1]:
                raise ValueError(f"layer {layer.name}: a rectangle cuts a window of its pool")
        if (covered != 1).any():
            raise ValueError(f"layer {layer.name}: its rectangles do not cover every output pixel once")
        rows = tiling.chunk if layer.mode is Mode.PACKED else tiling.group_rows * tiling.group
        if rows > params.rows:
            raise ValueError(f"layer {layer.name}: a pass takes more than {params.rows} rows")
