"""Operator arithmetic on whole tensors: the numbers that every other part of Tilewright is compared with.

The functions lie in modules by kind; this one gathers them. All are bit-exact with ai-edge-litert 2.3.0,
`OpResolverType.BUILTIN_REF`.
"""

from .convolutions import (
    batch_matmul,
    conv2d,
    conv2d_accumulators,
    depthwise_conv2d,
    depthwise_conv2d_accumulators,
    fully_connected,
    fully_connected_accumulators,
    transpose_conv,
)
from .elementwise import (
    ADD_LEFT_SHIFT,
    SQUARED_DIFFERENCE_LEFT_SHIFT,
    add,
    lookup,
    mul,
    prelu,
    squared_difference,
    sub,
)
from .movement import (
    batch_to_space,
    concatenation,
    depth_to_space,
    pad,
    quantized_concatenation,
    reshape,
    slice_elements,
    space_to_batch,
    space_to_depth,
    split,
)
from .pools import average_pool_2d, max_pool_2d
from .quantization import dequantize, quantize
from .recurrent import Gate, lstm
from .reduce import mean
from .resize import resize_bilinear, resize_nearest_neighbor
from .softmax import softmax
from .windows import window_positions

__all__ = [
    "ADD_LEFT_SHIFT",
    "SQUARED_DIFFERENCE_LEFT_SHIFT",
    "Gate",
    "add",
    "average_pool_2d",
    "batch_matmul",
    "batch_to_space",
    "concatenation",
    "conv2d",
    "conv2d_accumulators",
    "depth_to_space",
    "depthwise_conv2d",
    "depthwise_conv2d_accumulators",
    "dequantize",
    "fully_connected",
    "fully_connected_accumulators",
    "lookup",
    "lstm",
    "max_pool_2d",
    "mean",
    "mul",
    "pad",
    "prelu",
    "quantize",
    "quantized_concatenation",
    "reshape",
    "resize_bilinear",
    "resize_nearest_neighbor",
    "slice_elements",
    "softmax",
    "space_to_batch",
    "space_to_depth",
    "split",
    "squared_difference",
    "sub",
    "transpose_conv",
    "window_positions",
]
