"""Which operators there are, what either format calls them, and where each runs: for `check` and the documentation."""

from dataclasses import dataclass

from .ir import (
    Abs,
    Add,
    ArgMax,
    ArgMin,
    AveragePool2D,
    BatchMatMul,
    BatchToSpaceNd,
    BroadcastTo,
    Cast,
    Concatenation,
    Conv2D,
    DepthToSpace,
    DepthwiseConv2D,
    Dequantize,
    Exp,
    ExpandDims,
    FullyConnected,
    Gather,
    HardSwish,
    LeakyRelu,
    Log,
    Logistic,
    Maximum,
    MaxPool2D,
    Mean,
    Minimum,
    MirrorPad,
    Mul,
    Operator,
    Pack,
    Pad,
    Pointwise,
    Prelu,
    Quantize,
    ReadVariable,
    ReduceMax,
    ReduceMin,
    Relu,
    Relu0To1,
    Relu6,
    ReluN1To1,
    Reshape,
    ResizeBilinear,
    ResizeNearestNeighbor,
    Rsqrt,
    Slice,
    Softmax,
    SpaceToBatchNd,
    SpaceToDepth,
    Split,
    SquaredDifference,
    Squeeze,
    StridedSlice,
    Sub,
    Tanh,
    Tile,
    Transpose,
    TransposeConv,
    UnidirectionalSequenceLstm,
    Unpack,
)

__all__ = ["CATALOGUE", "FOLDED_TFLITE", "Entry", "host_reason"]


@dataclass(frozen=True)
class Entry:
    """Operators of a kind. `tflite` and `onnx` are the formats' names for them, `types` of activations in TensorFlow Lite.

    `beyond` and `onnx_beyond` say what of it is read. `host` says why the host runs it; without that the accelerator
    does, `unless`.
    """

    operators: tuple[type[Operator], ...]
    tflite: tuple[str, ...]
    onnx: tuple[str, ...]
    types: str
    beyond: str = ""
    onnx_beyond: str = ""
    host: str = ""
    unless: str = ""

    @property
    def where(self) -> str:
        """Where it runs, in a phrase."""
        if self.host:
            return f"host: {self.host}"
        return f"accelerator; host if {self.unless}" if self.unless else "accelerator"


_BYTES = "8 bits"
_ELEMENTS = "the accelerator moves equal runs of bytes, not single elements"
_ONNX_TABLES = (
    "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Elu", "Gelu", "Mish", "Softplus", "Softsign", "Erf",
    "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Neg", "Floor", "Ceil", "Round", "Div", "Pow", "Max", "Min",
)  # fmt: skip

CATALOGUE = (
    Entry((Conv2D, DepthwiseConv2D), ("CONV_2D", "DEPTHWISE_CONV_2D"), ("Conv",), "int8, or uint8 with weight zero points",
          "constant weights per tensor or per channel; strides, dilation, groups",
          onnx_beyond="rows or images; strides, dilation, groups, pads, auto_pad; bias int32 or float",
          unless="weights less their zero point leave int8, and the kernel has several columns and reads no few loaded channels"),
    Entry((TransposeConv,), ("TRANSPOSE_CONV",), ("ConvTranspose",), "int8, or uint8 with weight zero points",
          "constant weights",
          onnx_beyond="no groups, no dilation, pads given",
          host="its kernel falls on output pixels in turns, which no instruction describes"),
    Entry((FullyConnected,), ("FULLY_CONNECTED",), ("Gemm", "MatMul"), _BYTES,
          "the weights may be an activation",
          onnx_beyond="constant weights, or for MatMul an activation; a constant added behind is the bias",
          unless="the network computes the weights"),
    Entry((BatchMatMul,), ("BATCH_MATMUL",), ("MatMul",), "int8", "leading dimensions broadcast",
          onnx_beyond="of two activations",
          host="the network computes both operands, and the array's weights are constants"),
    Entry((AveragePool2D, MaxPool2D), ("AVERAGE_POOL_2D", "MAX_POOL_2D"),
          ("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"), _BYTES,
          "",
          onnx_beyond="ceil_mode, count_include_pad; no dilation"),
    Entry((Add, Sub), ("ADD", "SUB"), ("Add", "Sub"), _BYTES, "operands broadcast",
          onnx_beyond="one may be a constant in 8 bits",
          unless="operands broadcast, or their scales are too far apart for exact tables"),
    Entry((Mul,), ("MUL",), ("Mul",), _BYTES, "operands broadcast",
          onnx_beyond="one may be a constant in 8 bits",
          unless="the network computes both operands, or a constant one varies along more than the channels"),
    Entry((SquaredDifference, Maximum, Minimum), ("SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM"), (),
          "8 bits; SQUARED_DIFFERENCE int8",
          "operands broadcast; MAXIMUM, MINIMUM: one quantization for all three tensors",
          unless="neither operand is one constant"),
    Entry((Relu, Relu6, ReluN1To1, Relu0To1), ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"), ("Relu", "Clip"), _BYTES,
          "",
          onnx_beyond="they go into the operator before them"),
    Entry((LeakyRelu, HardSwish, Logistic, Tanh), ("LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"), (), _BYTES,
          "a table of 256 results"),
    Entry((Abs, Exp, Log, Rsqrt), ("ABS", "EXP", "LOG", "RSQRT"), (), "int8", "a table of 256 results"),
    Entry((Pointwise,), (), _ONNX_TABLES, _BYTES,
          onnx_beyond="functions of one stored byte, several in a row, are one table; other operands are numbers, one slope"),
    Entry((Prelu,), ("PRELU",), (), _BYTES, unless="there is more than one slope"),
    Entry((Quantize,), ("QUANTIZE",), ("QuantizeLinear",), "float32 or 8 bits to 8 bits", "",
          onnx_beyond="pairs are folded",
          unless="its input is float32, or its output the network's"),
    Entry((Dequantize,), ("DEQUANTIZE",), ("DequantizeLinear",), "8 bits to float32", "",
          onnx_beyond="pairs are folded",
          host="its result is float32"),
    Entry((Cast,), ("CAST",), (), "integers and float32", "the stored numbers, whatever the quantization",
          host="it changes the element type"),
    Entry((Softmax,), ("SOFTMAX",), ("Softmax",), _BYTES,
          "the last axis, at most 4095 elements",
          onnx_beyond="output scale 1/256 or larger",
          host="it divides exponentials by their sum, in 32 bits"),
    Entry((Mean,), ("MEAN",), ("ReduceMean",), _BYTES, "", unless="it goes along the channels"),
    Entry((ReduceMax, ReduceMin), ("REDUCE_MAX", "REDUCE_MIN"), (), _BYTES, "one quantization for both tensors",
          host="there is no layer for extremes along axes"),
    Entry((ArgMax, ArgMin), ("ARG_MAX", "ARG_MIN"), ("ArgMax", "ArgMin"), "8 bits to int32 or int64", "",
          host="its result is no byte"),
    Entry((Reshape, Squeeze, ExpandDims), ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
          ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"), "any", "constant parameters; moves no data",
          unless="the host wants its result"),
    Entry((Concatenation,), ("CONCATENATION",), ("Concat",), "any",
          "int8 parts quantized as the output; uint8 parts are rescaled",
          onnx_beyond="parts may be quantized differently",
          unless="a part is quantized otherwise"),
    Entry((Slice, StridedSlice, Split), ("SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V"), ("Slice", "Split"), "any",
          "constant parameters; STRIDED_SLICE: no ellipsis together with a new axis or for no dimension",
          onnx_beyond="constant parameters",
          unless="what is taken is not equal runs equally far apart"),
    Entry((Pad,), ("PAD", "PADV2"), ("Pad",), "any",
          "constant parameters; goes into the operator behind it where that can pad",
          unless="it adds channels or batch items"),
    Entry((ResizeNearestNeighbor,), ("RESIZE_NEAREST_NEIGHBOR",), ("Resize",), "any",
          "constant size",
          onnx_beyond="nearest with any rounding; half_pixel, pytorch_half_pixel, asymmetric, align_corners",
          unless="it does not repeat each pixel as often as the others"),
    Entry((ResizeBilinear,), ("RESIZE_BILINEAR",), ("Resize",), _BYTES, "constant size",
          onnx_beyond="linear, with the same coordinates",
          host="its factors differ from pixel to pixel"),
    Entry((Transpose, SpaceToDepth, DepthToSpace, Gather, Pack, Unpack),
          ("TRANSPOSE", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "GATHER", "PACK", "UNPACK"),
          ("Transpose", "SpaceToDepth", "DepthToSpace", "Gather"), "any",
          "constant parameters; GATHER: no batch dimensions",
          onnx_beyond="constant parameters", host=_ELEMENTS),
    Entry((SpaceToBatchNd, BatchToSpaceNd, Tile, BroadcastTo, MirrorPad),
          ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "TILE", "BROADCAST_TO", "MIRROR_PAD"), (), "any", "constant parameters",
          host=_ELEMENTS),
    Entry((UnidirectionalSequenceLstm,), ("UNIDIRECTIONAL_SEQUENCE_LSTM",), (), "int8, int16 cell state",
          "no peepholes, projection or layer normalization; the state begins at zero in each case",
          host="its gates take 16 bits, and the accelerator's results have 8"),
    Entry((ReadVariable,), ("READ_VARIABLE",), (), "any", "a variable that constants initialize; each case begins with those",
          unless="the host wants its result"),
)  # fmt: skip
"""Every operator of the graph, once."""

FOLDED_TFLITE = ("SHAPE", "CALL_ONCE", "VAR_HANDLE", "ASSIGN_VARIABLE")
"""What leaves no operator; so does whatever only has constants to work on."""

_REASONS = {kind: entry.host for entry in CATALOGUE for kind in entry.operators}


def host_reason(operator: Operator) -> str:
    """Why the host runs an operator that the accelerator never does; empty for any other."""
    return _REASONS[type(operator)]
