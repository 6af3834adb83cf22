"""Raw operators along axes to operators of the graph."""

import math
from collections.abc import Callable

from .ir import ArgMax, ArgMin, Mean, Operator, ReduceMax, ReduceMin, Softmax
from .requantize import mean_factor, softmax_factors
from .tflite_site import Site

__all__ = ["REDUCE_READERS"]


def _axes(site: Site, rank: int) -> tuple[int, ...]:
    """The axes of a reduction, in order, each once."""
    return tuple(sorted({site.axis(axis, rank) for axis in site.integers(1, "axes")}))


def _read_mean(site: Site) -> Operator:
    source, output = site.input(), site.output()
    axes = _axes(site, len(source.shape))
    count = math.prod(source.shape[axis] for axis in axes)
    if count == 0:
        site.broken(f"input {source.name!r} of shape {source.shape} is empty along {axes}")
    multiplier, shift = mean_factor(source.scale, output.scale, count)
    return Mean(
        **site.common,
        input=source.name,
        axes=axes,
        keep_dims=bool(site.option("keepDims")),
        multiplier=multiplier,
        shift=shift,
    )


def _read_extreme(site: Site) -> Operator:
    source, output = site.input(), site.output()
    if source.quantization != output.quantization:
        site.unsupported("its input and its output are quantized differently", "give both one quantization")
    return (ReduceMax if site.kind == ReduceMax.KIND else ReduceMin)(
        **site.common,
        input=source.name,
        axes=_axes(site, len(source.shape)),
        keep_dims=bool(site.option("keepDims")),
    )


def _read_arg_extreme(site: Site) -> Operator:
    source = site.input()
    axes = site.integers(1, "axis")
    if len(axes) != 1:
        site.broken(f"its axis is {axes}, and must be one number")
    return (ArgMax if site.kind == ArgMax.KIND else ArgMin)(
        **site.common, input=source.name, axis=site.axis(axes[0], len(source.shape))
    )


def _read_softmax(site: Site) -> Operator:
    source, output = site.input(), site.output()
    least = 0 if output.dtype == "uint8" else -128
    if output.zero_point != least or not math.isclose(output.scale, 1 / 256, rel_tol=1e-3):
        site.unsupported(
            f"its output has scale {output.scale} and zero point {output.zero_point}",
            f"an {output.dtype} softmax has the output scale 1/256 and zero point {least}",
        )
    multiplier, shift, diff_min = softmax_factors(float(site.option("beta")), source.scale)
    return Softmax(**site.common, input=source.name, multiplier=multiplier, shift=shift, diff_min=diff_min)


REDUCE_READERS: dict[str, Callable[[Site], Operator]] = {
    Mean.KIND: _read_mean,
    ReduceMax.KIND: _read_extreme,
    ReduceMin.KIND: _read_extreme,
    ArgMax.KIND: _read_arg_extreme,
    ArgMin.KIND: _read_arg_extreme,
    Softmax.KIND: _read_softmax,
}
