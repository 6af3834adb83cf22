"""Raw operators on elements to operators of the graph."""

from collections.abc import Callable

from . import unary_tables
from .element_types import BYTES
from .ir import (
    Abs,
    Add,
    Cast,
    Dequantize,
    Exp,
    HardSwish,
    LeakyRelu,
    Log,
    Logistic,
    Lookup,
    Maximum,
    Minimum,
    Mul,
    Operator,
    Prelu,
    Quantize,
    Relu,
    Relu0To1,
    Relu6,
    ReluN1To1,
    Rsqrt,
    SquaredDifference,
    Sub,
    Tanh,
    Tensor,
)
from .requantize import add_factors, float32_factor, squared_difference_factors
from .tflite_site import Site

__all__ = ["ELEMENTWISE_READERS"]

_INT8 = ("int8",)


def _pair(site: Site, dtypes: tuple[str, ...] = BYTES) -> tuple[Tensor, Tensor]:
    first, second = site.operands("first operand", "second operand", dtypes=dtypes)
    return first, second


def _read_sum(site: Site) -> Operator:
    first, second = _pair(site)
    multipliers, shifts = add_factors(first.scale, second.scale, site.output().scale)
    return (Add if site.kind == Add.KIND else Sub)(
        **site.common,
        first=first.name,
        second=second.name,
        multipliers=multipliers,
        shifts=shifts,
        clamp=site.clamp(),
    )


def _read_mul(site: Site) -> Operator:
    first, second = _pair(site)
    multiplier, shift = float32_factor(first.scale, second.scale, divisor=site.output().scale)
    return Mul(
        **site.common,
        first=first.name,
        second=second.name,
        multiplier=multiplier,
        shift=shift,
        clamp=site.clamp(),
    )


def _read_squared_difference(site: Site) -> Operator:
    first, second = _pair(site, _INT8)
    multipliers, shifts = squared_difference_factors(first.scale, second.scale, site.output().scale)
    return SquaredDifference(
        **site.common, first=first.name, second=second.name, multipliers=multipliers, shifts=shifts
    )


def _read_extreme(site: Site) -> Operator:
    first, second = _pair(site)
    output = site.output()
    if first.quantization != output.quantization or second.quantization != output.quantization:
        site.unsupported("its operands and its output are quantized differently", "give all three one quantization")
    return (Maximum if site.kind == Maximum.KIND else Minimum)(**site.common, first=first.name, second=second.name)


def _read_prelu(site: Site) -> Operator:
    source, alpha = site.operands("input", "alpha")
    output = site.output()
    factors = (
        float32_factor(source.scale, divisor=output.scale),
        float32_factor(source.scale, alpha.scale, divisor=output.scale),
    )
    (m1, s1), (m2, s2) = factors
    return Prelu(**site.common, input=source.name, alpha=alpha.name, multipliers=(m1, m2), shifts=(s1, s2))


def _read_quantize(site: Site) -> Operator:
    source, output = site.value(site.tensor(0, "input"), "input"), site.output()
    if source.dtype == "float32":
        return Quantize(**site.common, input=source.name, table=None)
    return Quantize(**site.common, input=source.name, table=unary_tables.requantization(site.input(), output))


def _read_dequantize(site: Site) -> Operator:
    return Dequantize(**site.common, input=site.input().name)


def _read_cast(site: Site) -> Operator:
    source = site.value(site.tensor(0, "input"), "input")
    dtype = site.tensors[site.outputs[0]].dtype
    return Cast(**site.common, input=source.name, dtype=dtype)


def _rectifier(operator: type[Lookup], activation: str) -> Callable[[Site], Operator]:
    def read(site: Site) -> Operator:
        source, output = site.input(), site.output()
        return operator(**site.common, input=source.name, table=unary_tables.rectifier(source, output, activation))

    return read


def _table(
    operator: type[Lookup], table: Callable[[Tensor, Tensor], tuple[int, ...]], dtypes: tuple[str, ...] = BYTES
) -> Callable[[Site], Operator]:
    def read(site: Site) -> Operator:
        (source,), output = site.operands("input", dtypes=dtypes), site.output()
        return operator(**site.common, input=source.name, table=table(source, output))

    return read


def _through_float(operator: type[Lookup], dtypes: tuple[str, ...] = BYTES) -> Callable[[Site], Operator]:
    return _table(
        operator, lambda source, output: unary_tables.through_float(operator.KIND, source, output), dtypes
    )


def _read_logistic(site: Site) -> Operator:
    if site.output().scale != 1 / 256:
        site.unsupported(f"its output has the scale {site.output().scale}", "a logistic has the output scale 1/256")
    return _through_float(Logistic)(site)


def _read_leaky_relu(site: Site) -> Operator:
    source, output = site.input(), site.output()
    table = unary_tables.leaky_relu(source, output, float(site.option("alpha")))
    return LeakyRelu(**site.common, input=source.name, table=table)


ELEMENTWISE_READERS: dict[str, Callable[[Site], Operator]] = {
    Add.KIND: _read_sum,
    Sub.KIND: _read_sum,
    Mul.KIND: _read_mul,
    SquaredDifference.KIND: _read_squared_difference,
    Maximum.KIND: _read_extreme,
    Minimum.KIND: _read_extreme,
    Prelu.KIND: _read_prelu,
    Quantize.KIND: _read_quantize,
    Dequantize.KIND: _read_dequantize,
    Cast.KIND: _read_cast,
    Logistic.KIND: _read_logistic,
    LeakyRelu.KIND: _read_leaky_relu,
    Tanh.KIND: _through_float(Tanh),
    Exp.KIND: _through_float(Exp, _INT8),
    Log.KIND: _through_float(Log, _INT8),
    HardSwish.KIND: _table(HardSwish, unary_tables.hard_swish),
    Abs.KIND: _table(Abs, unary_tables.absolute, _INT8),
    Rsqrt.KIND: _table(Rsqrt, unary_tables.rsqrt, _INT8),
    Relu.KIND: _rectifier(Relu, "RELU"),
    Relu6.KIND: _rectifier(Relu6, "RELU6"),
    ReluN1To1.KIND: _rectifier(ReluN1To1, "RELU_N1_TO_1"),
    Relu0To1.KIND: _rectifier(Relu0To1, "RELU_0_TO_1"),
}
