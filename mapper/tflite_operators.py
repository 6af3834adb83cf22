"""From a raw TensorFlow Lite operator to an operator of the graph.

Here defaults are filled in, padding becomes numbers, and scales become multipliers and shifts.
"""

from collections.abc import Callable
from dataclasses import replace

from .element_types import check_types
from .errors import ModelError
from .ir import Operator, Tensor
from .shapes import output_shapes
from .tflite_convolutions import CONVOLUTION_READERS
from .tflite_elementwise import ELEMENTWISE_READERS
from .tflite_lstm import read_lstm
from .tflite_movement import MOVEMENT_READERS
from .tflite_reduce import REDUCE_READERS
from .tflite_site import Site
from .verify import FactorError, verify_numbers

__all__ = ["READERS", "read_operator"]

READERS: dict[str, Callable[[Site], Operator]] = {
    **CONVOLUTION_READERS,
    **ELEMENTWISE_READERS,
    **MOVEMENT_READERS,
    **REDUCE_READERS,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": read_lstm,
}
"""By kind, what reads an operator."""

_SEVERAL_OUTPUTS = ("SPLIT", "SPLIT_V", "UNPACK")


def read_operator(site: Site) -> tuple[Operator, tuple[Tensor, ...]]:
    """The graph's operator, and its output tensors with the shapes that the operator gives them.

    Raises `UnsupportedError` and `ModelError` as `read_tflite` does.
    """
    reader = READERS.get(site.kind)
    if reader is None:
        site.unsupported("this operator is not known", "replace it by other operators, or cut the model there")
    if site.kind not in _SEVERAL_OUTPUTS or not site.outputs:
        site.single_output()
    try:
        operator = reader(site)
        _check_types(site, operator)
        shapes = output_shapes(operator, site.tensors)
        outputs = tuple(
            replace(site.tensors[name], shape=shape) for name, shape in zip(operator.outputs, shapes, strict=True)
        )
        verify_numbers(operator, outputs[0].shape, outputs[0].dtype)
    except ModelError:
        raise
    except FactorError as error:
        site.unsupported(str(error), "quantize the model again: the scales do not fit together")
    except ValueError as error:
        site.broken(str(error))
    return operator, outputs


def _check_types(site: Site, operator: Operator) -> None:
    try:
        check_types(operator, site.tensors)
    except ValueError as error:
        site.unsupported(str(error), "quantize the model to int8, or cut it there")
