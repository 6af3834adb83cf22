"""How a layer is cut into COMPUTE instructions, and its kernel into passes: the legal ways, what each costs, the
cheapest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, product

from ..hw.isa import CONSTANT_VECTORS, Combine, Mode, Pool
from ..hw.legality import check_pool, minimum_period
from ..hw.params import BANKS, Parameters
from .layer import Constants, Layer, Load, Network
from .limits import MOST_SIZE, MOST_TAPS

__all__ = [
    "Rectangle",
    "Tiling",
    "candidates",
    "compute_cycles",
    "fetch_vectors",
    "packed_rows",
    "passes",
    "period",
    "rectangles",
    "tap_columns",
    "taps",
    "tile",
]

MOST_BANDS = 8
"""More bands than this are tried only where the accumulator's depth asks for them."""

MOST_SEGMENT = 31
"""Kernel columns in a segment: the field for the distance to the next one, in either mode."""

STARTUP = 24
"""Cycles until the first byte of external memory is there: the memory's latency and the way through an engine."""

ISSUE = 4
"""Cycles that another instruction costs: its fetch, and preparing the loops."""


SERIAL_PERIOD = 20
"""Cycles between two results of serial lanes, more or less: half of a usual shift."""

COMPACT_BLOCK = 40
"""Cycles that it takes for a block of output channels besides steps and results."""


@dataclass(frozen=True, order=True)
class Tiling:
    """`bands` are output rows per instruction, from the top; `columns` output columns per instruction.

    In depthwise mode a pass takes `group_rows` kernel rows of `group` kernel columns; in packed mode `chunk` taps of a
    segment of `group` kernel columns (which are bytes there).
    """

    bands: tuple[int, ...]
    columns: int
    group_rows: int = 1
    group: int = 1
    chunk: int = 1


@dataclass(frozen=True)
class Rectangle:
    """The output pixels of one COMPUTE instruction, in batch item `item`, all with the same constants."""

    item: int
    row: int
    column: int
    rows: int
    columns: int
    constants: Constants


def tile(network: Network, params: Parameters) -> dict[str, Tiling]:
    """The cheapest tiling of each layer, by layer name. Layers that follow each other are chosen together (Viterbi)."""
    loaded = {step.image for step in network.steps if isinstance(step, Load)}
    best: list[tuple[float, tuple[Tiling, ...]]] = [(0, ())]
    previous = None
    for layer in network.layers:
        tails: list[list[tuple[int, int]]] = [
            _tail(previous, chosen[-1], params) if previous else [] for _, chosen in best
        ]
        extended = []
        for candidate in candidates(layer, params):
            own = cost(layer, candidate, params, loaded)
            needed = _needed_rows(previous, layer, candidate)
            extended.append(
                min(
                    (total + own + _exposed(needed, tail, params), (*chosen, candidate))
                    for (total, chosen), tail in zip(best, tails, strict=True)
                )
            )
        best, previous = extended, layer
    return dict(zip((layer.name for layer in network.layers), min(best)[1], strict=True))


def candidates(layer: Layer, params: Parameters) -> tuple[Tiling, ...]:
    """The legal tilings of a layer that are worth a look. Only a packed or folded layer or one with a pool may have none.

    Rectangles hold whole windows of a pool: here `height` and `width` count windows, of `high` x `wide` results.
    """
    found = []
    (height, width), (high, wide) = layer.stored_size, layer.window
    for kernel in _kernels(layer, params):
        alone = passes(layer, kernel, params) == 1 and not params.holds_results
        limit = MOST_SIZE * MOST_SIZE if alone else params.accumulator_depth
        fitting = (n for n in range(1, width + 1) if n * wide * high <= limit and _period_fits(layer, n * wide, kernel.group))
        widest = max(fitting, default=0)
        if not widest:
            continue
        cuts = -(-width // widest)
        columns = -(-width // cuts) * wide
        tallest = min(limit // columns, MOST_SIZE) // high
        least = -(-height // tallest)
        for count in range(least, min(max(least + 3, MOST_BANDS), height) + 1):
            for windows in _bands(height, count, min(tallest, height)):
                tiling = replace(kernel, bands=tuple(high * rows for rows in windows), columns=columns)
                found += [tiling] if layer.pooled is None or _pool_fits(layer, tiling, params) else []
    return tuple(dict.fromkeys(found))


def _pool_fits(layer: Layer, tiling: Tiling, params: Parameters) -> bool:
    """Whether the hardware can pool each rectangle."""
    assert layer.pooled is not None
    taps_y, taps_x = taps(layer, tiling)
    fields = {
        "pool": layer.pooled.kind,
        "pool_rows": layer.window[0],
        "pool_cols": layer.window[1],
        "blocks": -(-layer.outputs // params.cols),
        "taps_y": taps_y,
        "taps_x": taps_x,
        "channels": passes(layer, tiling, params) // (taps_y * taps_x),
    }
    try:
        for part in rectangles(layer, tiling):
            check_pool(fields | {"out_rows": part.rows, "out_cols": part.columns}, params)
    except ValueError:
        return False
    return True


def _bands(height: int, count: int, tallest: int) -> Iterator[tuple[int, ...]]:
    """`count` bands as equal as possible, the larger ones first; and the same with a small first or last band."""
    small, larger = divmod(height, count)
    bands = (small + 1,) * larger + (small,) * (count - larger)
    yield bands
    if count > 1:
        # A consumer's first band reads a little more than as many rows; a little less here, and it need not wait for
        # the next.
        for moved in (1, 2):
            if bands[0] > moved and bands[-1] + moved <= tallest:
                yield (bands[0] - moved, *bands[1:-1], bands[-1] + moved)
            if bands[-1] > moved and bands[0] + moved <= tallest:
                yield (bands[0] + moved, *bands[1:-1], bands[-1] - moved)


def _kernels(layer: Layer, params: Parameters) -> Iterator[Tiling]:
    """Ways to cut the kernel into passes, as tilings without a rectangle. A fold's columns are one pass."""
    whole = Tiling((), 0)
    for tiling in _cuts(layer, params, whole):
        if layer.folds == 1 or tiling.group == layer.kernel[1]:
            yield tiling


def _cuts(layer: Layer, params: Parameters, whole: Tiling) -> Iterator[Tiling]:
    match layer.mode:
        case Mode.DEPTHWISE if layer.combine is Combine.ADD and not params.compact:
            yield from (replace(whole, group_rows=rows, group=group) for rows, group in _groups(layer, params))
        case Mode.PACKED:
            for group in _segments(layer.kernel[1], min(params.vector, MOST_SEGMENT)):
                kernel = replace(whole, group=group, chunk=_chunk(layer.kernel[0] * group, group, params))
                if max(taps(layer, kernel)) <= MOST_TAPS:
                    yield kernel
        case _:
            yield whole


def _groups(layer: Layer, params: Parameters) -> Iterator[tuple[int, int]]:
    """Kernel rows and columns that a depthwise pass may take."""
    kernel_y, kernel_x = layer.kernel
    kernel_rows = params.kernel_rows(bool(layer.residual))
    for group in _segments(kernel_x, min(params.rows, MOST_SEGMENT)):
        if layer.dilation[1] > 1 and group > 1:
            continue
        most = 1 if layer.dilation[0] > 1 else min(kernel_rows, params.rows // group, kernel_y)
        for rows in range(1, most + 1):
            if rows == -(-kernel_y // -(-kernel_y // rows)):
                yield rows, group


def _segments(length: int, most: int) -> Iterator[int]:
    """Sizes of the first of 1, 2, ... equal segments, of which each holds at most `most`."""
    yield from dict.fromkeys(-(-length // count) for count in range(-(-length // most), length + 1))


def _chunk(taps: int, group: int, params: Parameters) -> int:
    """Taps per pass in packed mode: the fewest, equally large passes that touch no more kernel rows than banks."""
    for count in range(-(-taps // params.rows), taps + 1):
        chunk = -(-taps // count)
        ends = ((start, min(start + chunk, taps) - 1) for start in range(0, taps, chunk))
        if all(last // group - start // group < BANKS for start, last in ends):
            return chunk
    raise AssertionError("a chunk of one tap touches one kernel row")


def _period_fits(layer: Layer, columns: int, group: int) -> bool:
    if layer.mode is not Mode.DEPTHWISE:
        return columns <= MOST_SIZE
    return (columns - 1) * layer.stride[1] + group <= MOST_SIZE


def taps(layer: Layer, tiling: Tiling) -> tuple[int, int]:
    """Passes along kernel y and x; in packed mode chunks and segments."""
    if layer.mode is Mode.PACKED:
        return -(-layer.kernel[0] * tiling.group // tiling.chunk), -(-layer.kernel[1] // tiling.group) * layer.folds
    return -(-layer.kernel[0] // tiling.group_rows), -(-layer.kernel[1] // tiling.group) * layer.folds


def passes(layer: Layer, tiling: Tiling, params: Parameters) -> int:
    """Passes, and so weight tiles, of an output channel block."""
    taps_y, taps_x = taps(layer, tiling)
    channels = -(-layer.weights.shape[2] // params.rows) if layer.mode is Mode.DENSE else 1
    return taps_y * taps_x * channels


def rectangles(layer: Layer, tiling: Tiling) -> tuple[Rectangle, ...]:
    """The instructions' output pixels, in order: batch items, then from the top."""
    starts = list(accumulate(tiling.bands, initial=0))[:-1]
    found = []
    for region, (start, rows) in product(layer.regions, zip(starts, tiling.bands, strict=True)):
        top, bottom = max(region.row, start), min(region.row + region.rows, start + rows)
        if top < bottom:
            for column in range(region.column, region.column + region.columns, tiling.columns):
                columns = min(tiling.columns, region.column + region.columns - column)
                found.append((top, column, bottom - top, columns, region.constants))
    found.sort(key=lambda rectangle: rectangle[:2])
    return tuple(Rectangle(item, *rectangle) for item in range(layer.batch) for rectangle in found)


def period(layer: Layer, tiling: Tiling, rectangle: Rectangle) -> int:
    """Cycles per output row in depthwise mode."""
    return minimum_period({
        "out_cols": rectangle.columns,
        "stride_x": layer.stride[1],
        "taps_x": taps(layer, tiling)[1],
        "x": layer.origin[1] + rectangle.column * layer.stride[1],
        "tap_x_cols": tap_columns(layer, tiling),
        "width": layer.size[1],
        "group": tiling.group,
    })  # fmt: skip


def tap_columns(layer: Layer, tiling: Tiling) -> int:
    """Image columns from a pass along kernel x to the next."""
    return 0 if layer.folds > 1 else tiling.group * layer.dilation[1]


def compute_cycles(layer: Layer, tiling: Tiling, rectangle: Rectangle, params: Parameters) -> int:
    """Cycles of a rectangle's steps, weights being there."""
    blocks = -(-layer.outputs // params.cols)
    taps_y, taps_x = taps(layer, tiling)
    pixels = rectangle.rows * rectangle.columns
    match layer.mode:
        case Mode.DEPTHWISE:
            steps = rectangle.rows * period(layer, tiling, rectangle)
            return blocks * taps_y * taps_x * max(steps, tiling.group_rows * tiling.group, 3)
        case Mode.PACKED:
            x = layer.origin[1] + rectangle.column * layer.stride[1]
            starts = (x + segment * tiling.group for segment in range(taps_x))
            sums = (pixels + (rectangle.rows if start > 0 and start % params.vector else 0) for start in starts)
            return blocks * taps_y * sum(max(steps, tiling.chunk, 3) for steps in sums)
        case _:
            whole, last = divmod(layer.weights.shape[2] - 1, params.rows)
            return blocks * taps_y * taps_x * (whole * max(pixels, params.rows) + max(pixels, last + 1, 3))


def fetch_vectors(layer: Layer, tiling: Tiling, params: Parameters) -> int:
    """Vectors of `cols` bytes that a rectangle takes from the weight stream."""
    blocks = -(-layer.outputs // params.cols)
    taps_y, taps_x = taps(layer, tiling)
    match layer.mode:
        case Mode.DEPTHWISE:
            rows = taps_y * taps_x * tiling.group_rows * tiling.group
        case Mode.PACKED:
            rows = sum(packed_rows(layer, tiling)) * taps_x
        case _:
            rows = taps_y * taps_x * layer.weights.shape[2]
    return blocks * (CONSTANT_VECTORS + rows)


def packed_rows(layer: Layer, tiling: Tiling) -> tuple[int, ...]:
    """Array rows of each chunk in packed mode. With several segments the last one is filled up."""
    chunks, segments = taps(layer, tiling)
    last = layer.kernel[0] * tiling.group - (chunks - 1) * tiling.chunk
    return (tiling.chunk,) * (chunks - 1) + (last if segments == 1 else tiling.chunk,)


def cost(layer: Layer, tiling: Tiling, params: Parameters, loaded: set[str]) -> float:
    """Estimated cycles of a layer alone: steps or weight stream, whichever is longer, and the first band's load."""
    parts = rectangles(layer, tiling)
    if params.compact:
        return sum(_compact_cycles(layer, tiling, part, params) for part in parts)
    fetch = fetch_vectors(layer, tiling, params) * params.cols / params.axi_bytes
    cycles = sum(max(compute_cycles(layer, tiling, part, params), fetch) + ISSUE for part in parts)
    if layer.pooled is not None and layer.pooled.kind is Pool.AVERAGE:
        cycles += len(parts) * params.cols
    if layer.input in loaded:
        rows = len(layer.input_rows(0, tiling.bands[0]))
        _, width, channels = layer.input_layout
        vectors = width * -(-channels // params.vector)
        cycles += STARTUP + rows * max(vectors, width * channels / params.axi_bytes)
    return cycles


def _compact_cycles(layer: Layer, tiling: Tiling, rectangle: Rectangle, params: Parameters) -> int:
    """The same of a rectangle on the compact accelerator: a write takes a cycle, and the last block's are behind everything."""
    blocks = -(-layer.outputs // params.cols)
    results = rectangle.rows * rectangle.columns
    out = results * (SERIAL_PERIOD if params.serial_lanes else params.parts)
    steps = compute_cycles(layer, tiling, rectangle, params) // blocks + results
    return blocks * (max(steps, out) + COMPACT_BLOCK) + out


def _tail(layer: Layer, tiling: Tiling, params: Parameters) -> list[tuple[int, int]]:
    """First stored row and cycles of each rectangle."""
    return [(part.row // layer.window[0], compute_cycles(layer, tiling, part, params)) for part in rectangles(layer, tiling)]


def _needed_rows(producer: Layer | None, layer: Layer, tiling: Tiling) -> int | None:
    """Rows of the producer's output that the first band reads; None if it reads none."""
    if producer is None or producer.output not in layer.reads:
        return None
    if producer.batch > 1 or layer.batch > 1 or producer.stored_size != layer.size:
        return MOST_SIZE
    return tiling.bands[0] if producer.output != layer.input else layer.input_rows(0, tiling.bands[0]).stop


def _exposed(needed: int | None, tail: list[tuple[int, int]], params: Parameters) -> int:
    """Cycles that the first band waits for the last result that it needs, on its way to the scratchpad."""
    if needed is None:
        return 0
    latency = params.rows + params.cols + STARTUP
    return max(0, latency - sum(cycles for row, cycles in tail if row >= needed))
