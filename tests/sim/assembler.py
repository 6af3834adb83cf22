"""Small programs by hand: a tiny assembler for one layer after the other, and nested loops that give the answers."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tilewright.hw.encoding import encode
from tilewright.hw.isa import Base, Combine, Mode, Opcode, Pool, Rounding, Stream
from tilewright.hw.legality import STREAM_ALIGNMENT
from tilewright.hw.params import BANKS, Parameters
from tilewright.hw.program import OnChipImage, Program, TensorInfo


@dataclass(frozen=True)
class Image:
    """A tensor in the scratchpad, alone: pixels are whole vectors, rows follow each other in their bank."""

    rows: int
    width: int
    channels: int
    address: int
    bank: int
    x_step: int

    @property
    def row_step(self) -> int:
        return self.width * self.x_step

    def place(self, y: int, x: int) -> dict[str, int]:
        """`address` and `bank` of a pixel, which may lie outside."""
        line = self.bank + y
        address = self.address + (line // BANKS) * self.row_step + x * self.x_step
        return {"address": address % (1 << 16), "bank": line % BANKS}


@dataclass(frozen=True)
class Layer:
    """Weights [kernel rows, kernel columns, input channels (1: depthwise), output channels] and what comes along."""

    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)  # rows above, columns to the left
    dilation: tuple[int, int] = (1, 1)
    pad: int = 0
    zero_point: int = 0
    minimum: int = -128
    maximum: int = 127
    rounding: Rounding = Rounding.DOUBLE
    combine: Combine = Combine.ADD
    depthwise: bool = False
    packed: bool = False  # the source image has a row's bytes as one pixel's channels
    residual: dict[str, int] = field(default_factory=dict)
    tables: np.ndarray | None = None


NO_RESIDUAL = {
    "residual": 0, "res_address": 0, "res_bank": 0, "res_row_step": 0, "res_shift": 0, "res_tie": 0, "res_offset": 0,
    "res_zero_point": 0, "res_minimum": 0, "res_maximum": 0,
}  # fmt: skip


NO_POOL = {"pool": Pool.NONE, "pool_rows": 0, "pool_cols": 0, "pool_multiplier": 0, "pool_shift": 0}


class Assembler:
    """Collects instructions; each waits for all earlier ones unless `waits` says otherwise (weights for none)."""

    def __init__(self, params: Parameters) -> None:
        self.params = params
        self.code: list[bytes] = []
        self.weights = b""
        self.counts = {"wait_load": 0, "wait_compute": 0, "wait_store": 0}
        self.free = 0
        self.inputs: list[TensorInfo] = []
        self.outputs: list[TensorInfo] = []
        self.tensors: list[OnChipImage] = []

    def image(self, rows: int, width: int, channels: int, bank: int = 0) -> Image:
        """Room in the scratchpad."""
        step = -(-channels // self.params.vector) * self.params.units
        image = Image(rows, width, channels, self.free, bank, step)
        self.free += -(-(bank + rows) // BANKS) * image.row_step
        return image

    def emit(self, opcode: Opcode, waits: dict[str, int] | None = None, **fields: Any) -> int:
        """Append an instruction and return its number."""
        self.code.append(encode(opcode, **(self.counts | (waits or {})), **fields))
        if f"wait_{opcode.name.lower()}" in self.counts:
            self.counts[f"wait_{opcode.name.lower()}"] += 1
        return len(self.code) - 1

    def transfer(self, opcode: Opcode, image: Image, base: Base, offset: int = 0, waits: Any = None) -> int:
        """A LOAD or STORE of a whole image, one run."""
        size = image.rows * image.width * image.channels
        return self.emit(
            opcode, waits, base=base, offset=offset, run_bytes=size, runs=1, run_pitch=0, address=image.address,
            bank=image.bank, row_step=image.row_step, rows=image.rows, width=image.width, channels=image.channels,
        )  # fmt: skip

    def load(self, image: Image, name: str = "x", waits: Any = None) -> int:
        """LOAD from a new input tensor."""
        offset = sum(tensor.nbytes for tensor in self.inputs)
        shape = (1, image.rows, image.width, image.channels)
        self.inputs.append(TensorInfo(name, shape, "int8", None, 0, Base.INPUT, offset))
        return self.transfer(Opcode.LOAD, image, Base.INPUT, offset, waits)

    def store(self, image: Image, name: str = "y", waits: Any = None) -> int:
        """STORE to a new output tensor."""
        offset = sum(tensor.nbytes for tensor in self.outputs)
        shape = (1, image.rows, image.width, image.channels)
        self.outputs.append(TensorInfo(name, shape, "int8", None, 0, Base.OUTPUT, offset))
        return self.transfer(Opcode.STORE, image, Base.OUTPUT, offset, waits)

    def end(self) -> Program:
        """END, and the program."""
        self.emit(Opcode.END)
        return Program(
            params=self.params, instructions=b"".join(self.code), weights=self.weights, inputs=tuple(self.inputs),
            outputs=tuple(self.outputs), tensors=tuple(self.tensors),
        )  # fmt: skip

    def stream(self, stream: Stream, data: bytes, waits: Any = None, **fields: int) -> int:
        """WEIGHTS of new data."""
        self.weights += bytes(-len(self.weights) % STREAM_ALIGNMENT)
        offset = len(self.weights)
        self.weights += data
        shape = dict.fromkeys(("blocks", "groups", "tiles", "rows", "last_rows"), 1) | fields
        return self.emit(
            Opcode.WEIGHTS, waits, base=Base.WEIGHTS, offset=offset, bytes=len(data), stream=stream, **shape
        )

    def layer(
        self,
        layer: Layer,
        source: Image,
        target: Image,
        name: str = "y",
        residual: Image | None = None,
        waits: Any = None,
        pool: dict[str, Any] | None = None,
    ) -> int:
        """WEIGHTS and COMPUTE of a whole layer; returns the COMPUTE's number. `pool` has its pool's fields; then `target` is
        what is left."""
        if layer.tables is not None:
            self.stream(Stream.TABLES, np.ascontiguousarray(layer.tables, "<i4").tobytes(), waits)
        make = self._packed if layer.packed else self._depthwise if layer.depthwise else self._dense
        tiles, shape = make(layer, source, residual is not None)
        blocks = -(-layer.weights.shape[3] // self.params.cols)
        sizes = {"groups": shape["taps_y"] * shape["taps_x"], "tiles": shape["channels"]}
        if layer.packed and shape["taps_x"] == 1:
            sizes = {"groups": 1, "tiles": shape["taps_y"]}
        data = b"".join(self.constants(layer, block) + tiles[block] for block in range(blocks))
        rows = {name: shape[name] for name in ("rows", "last_rows")}
        self.stream(Stream.TILES, data, dict.fromkeys(self.counts, 0), blocks=blocks, **sizes, **rows)
        extra = dict(NO_RESIDUAL)
        if residual is not None:
            extra = NO_RESIDUAL | {"residual": 1, "res_address": residual.address, "res_bank": residual.bank}
            extra |= layer.residual | {"res_row_step": residual.row_step}
        pads_y, pads_x = layer.pads
        pixel = layer.weights.shape[2] if layer.packed else 1
        width = source.channels if layer.packed else source.width
        out_rows, out_cols = target.rows, target.width
        if pool is not None:
            out_rows, out_cols = output_shape(layer, (source.rows, width // pixel))
        place = source.place(-pads_y, 0 if layer.packed else -pads_x)
        number = self.emit(
            Opcode.COMPUTE, waits, combine=layer.combine, rounding=layer.rounding, blocks=blocks, out_rows=out_rows,
            out_cols=out_cols, row_step=source.row_step, stride_y=layer.stride[0], stride_x=layer.stride[1],
            y=-pads_y, x=-pads_x * pixel, height=source.rows, width=width, pad=layer.pad, out_address=target.address,
            out_bank=target.bank, out_row_step=target.row_step, out_x_step=target.x_step, zero_point=layer.zero_point,
            minimum=layer.minimum, maximum=layer.maximum, **place, **shape, **extra,
            **(NO_POOL | (pool or {})),
        )  # fmt: skip
        image_shape = (1, target.rows, target.width, target.channels)
        steps = (target.row_step, target.x_step)
        self.tensors.append(OnChipImage(name, image_shape, target.address, target.bank, *steps, number, number))
        return number

    def constants(self, layer: Layer, block: int) -> bytes:
        """The byte planes of a block; columns beyond the last channel are zero."""
        cols = self.params.cols
        some = slice(block * cols, (block + 1) * cols)
        rows = np.zeros((cols, 9), np.uint8)
        count = len(layer.bias[some])
        rows[:count, 0:4] = layer.bias[some].astype("<i4").reshape(-1, 1).view(np.uint8)
        rows[:count, 4:8] = layer.multiplier[some].astype("<i4").reshape(-1, 1).view(np.uint8)
        rows[:count, 8] = layer.shift[some]
        return rows.T.tobytes()

    def _dense(self, layer: Layer, source: Image, residual: bool) -> tuple[list[bytes], dict[str, Any]]:
        rows, cols = self.params.rows, self.params.cols
        height, width, inputs, outputs = layer.weights.shape
        channels = -(-inputs // rows)
        last = inputs - (channels - 1) * rows
        padded = np.zeros((height, width, inputs, -(-outputs // cols) * cols), np.int8)
        padded[..., :outputs] = layer.weights
        blocks = []
        for block in range(padded.shape[3] // cols):
            part = padded[..., block * cols : (block + 1) * cols]
            tiles = [
                part[y, x, k * rows : (k + 1) * rows][::-1].tobytes()
                for y in range(height)
                for x in range(width)
                for k in range(channels)
            ]
            blocks.append(b"".join(tiles))
        shape = {
            "mode": Mode.DENSE, "taps_y": height, "taps_x": width, "channels": channels,
            "rows": rows if channels > 1 else last, "last_rows": last, "group": 0, "period": 0,
            "x_step": layer.stride[1] * source.x_step, "tap_x_step": layer.dilation[1] * source.x_step,
            "tap_y_rows": layer.dilation[0], "tap_x_cols": layer.dilation[1],
        }  # fmt: skip
        return blocks, shape

    def _depthwise(self, layer: Layer, source: Image, residual: bool) -> tuple[list[bytes], dict[str, Any]]:
        cols = self.params.cols
        height, width, _, outputs = layer.weights.shape
        single = layer.combine is Combine.MAX or layer.dilation != (1, 1)
        group = 1 if single else min(width, self.params.rows)
        groups = 1 if single else min(height, self.params.rows // group, 3 if residual else 4)
        taps_y, taps_x = -(-height // groups), -(-width // group)
        padded = np.zeros((taps_y * groups, taps_x * group, -(-outputs // cols) * cols), np.int8)
        padded[:height, :width, :outputs] = layer.weights[:, :, 0]
        blocks = []
        for block in range(padded.shape[2] // cols):
            part = padded[..., block * cols : (block + 1) * cols]
            tiles = [
                part[y * groups : (y + 1) * groups, x * group : (x + 1) * group].reshape(-1, cols)[::-1].tobytes()
                for y in range(taps_y)
                for x in range(taps_x)
            ]
            blocks.append(b"".join(tiles))
        out_cols = output_shape(layer, (source.rows, source.width))[1]
        tap_cols = group * layer.dilation[1]
        span = (out_cols - 1) * layer.stride[1]
        period = span + 1
        for segment in range(taps_x):
            first = segment * tap_cols - layer.pads[1]
            period = max(period, min(source.width - 1, first + span + group - 1) - max(0, first) + 1)
        shape = {
            "mode": Mode.DEPTHWISE, "taps_y": taps_y, "taps_x": taps_x, "channels": 1, "rows": groups * group,
            "last_rows": groups * group, "group": group, "period": period, "x_step": source.x_step,
            "tap_x_step": tap_cols * source.x_step, "tap_y_rows": groups * layer.dilation[0], "tap_x_cols": tap_cols,
        }  # fmt: skip
        return blocks, shape


    def _packed(self, layer: Layer, source: Image, residual: bool) -> tuple[list[bytes], dict[str, Any]]:
        cols, vector = self.params.cols, self.params.vector
        height, width, inputs, outputs = layer.weights.shape
        segments = -(-width * inputs // vector)
        group = -(-width * inputs // segments)
        taps = height * group
        rows = next(
            rows for rows in range(min(taps, self.params.rows), 0, -1)
            if all((min(t + rows, taps) - 1) // group - t // group < BANKS for t in range(0, taps, rows))
        )  # fmt: skip
        chunks = -(-taps // rows)
        last = rows if segments > 1 else taps - (chunks - 1) * rows
        padded = np.zeros((height, segments * group, -(-outputs // cols) * cols), np.int8)
        padded[:, : width * inputs, :outputs] = layer.weights.reshape(height, -1, outputs)
        blocks = []
        for block in range(padded.shape[2] // cols):
            part = padded[..., block * cols : (block + 1) * cols]
            tiles = []
            for chunk, segment in np.ndindex(chunks, segments):
                tile = part[:, segment * group : (segment + 1) * group].reshape(-1, cols)[chunk * rows :][:rows]
                fill = np.zeros(((last if chunk == chunks - 1 else rows) - len(tile), cols), np.int8)
                tiles.append(np.concatenate([tile, fill])[::-1].tobytes())
            blocks.append(b"".join(tiles))
        shape = {
            "mode": Mode.PACKED, "taps_y": chunks, "taps_x": segments, "channels": 1, "rows": rows, "last_rows": last,
            "group": group, "period": 0, "x_step": layer.stride[1] * inputs, "tap_x_step": 0, "tap_y_rows": 0,
            "tap_x_cols": group,
        }  # fmt: skip
        return blocks, shape


def output_shape(layer: Layer, size: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns for an input of `size`, with as many pads below and right as above and left."""
    height, width = layer.weights.shape[:2]
    return tuple(
        (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for length, pad, dilation, kernel, stride in zip(
            size[:2], layer.pads, layer.dilation, (height, width), layer.stride, strict=True
        )
    )  # type: ignore[return-value]


def wrap(value: int) -> int:
    """To 32 bits."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def round_up(value: int, shift: int) -> int:
    """value / 2**shift to the nearest integer, ties upwards."""
    return (2 * value + (1 << shift)) // (2 << shift)


def scale(value: int, multiplier: int, shift: int, rounding: Rounding) -> int:
    """An accumulator requantized, unclamped."""
    if rounding is Rounding.SINGLE or shift <= 31:
        return round_up(value * multiplier, shift)
    high = round_up(value * multiplier, 31)
    away = round_up(abs(high), shift - 31)
    return away if high >= 0 else -away


def clamp(value: int, low: int, high: int) -> int:
    """value within low..high."""
    return max(low, min(high, value))


def expected(layer: Layer, x: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
    """The layer in nested loops over plain integers; `x` is [rows, columns, channels]."""
    height, width, inputs, outputs = layer.weights.shape
    rows, cols = output_shape(layer, x.shape)
    weights, data = layer.weights.tolist(), x.tolist()
    result = np.zeros((rows, cols, outputs), np.int8)
    for oy, ox, c in np.ndindex(rows, cols, outputs):
        terms = []
        for ky, kx in np.ndindex(height, width):
            y = oy * layer.stride[0] - layer.pads[0] + ky * layer.dilation[0]
            column = ox * layer.stride[1] - layer.pads[1] + kx * layer.dilation[1]
            inside = 0 <= y < x.shape[0] and 0 <= column < x.shape[1]
            pixel = data[y][column] if inside else [layer.pad] * x.shape[2]
            if layer.depthwise:
                terms.append(pixel[c] * weights[ky][kx][0][c])
            else:
                terms.append(sum(pixel[i] * weights[ky][kx][i][c] for i in range(inputs)))
        total = max(terms) if layer.combine is Combine.MAX else sum(terms)
        value = scale(wrap(total + int(layer.bias[c])), int(layer.multiplier[c]), int(layer.shift[c]), layer.rounding)
        value = clamp(value + layer.zero_point, layer.minimum, layer.maximum)
        if residual is not None:
            assert layer.tables is not None
            both = int(layer.tables[value % 256, 0]) + int(layer.tables[int(residual[oy, ox, c]) % 256, 1])
            moved = both + layer.residual["res_offset"] - (layer.residual["res_tie"] if both < 0 else 0)
            value = layer.residual["res_zero_point"] + (moved >> layer.residual["res_shift"])
            value = clamp(value, layer.residual["res_minimum"], layer.residual["res_maximum"])
        result[oy, ox, c] = value
    return result


def random_layer(rng: np.random.Generator, kernel: tuple[int, int], inputs: int, outputs: int, **extra: Any) -> Layer:
    """Random weights and constants of every magnitude; `inputs` is 1 for a depthwise layer."""
    shift = rng.integers(0, 63, outputs)
    typical = rng.random(outputs) < 0.7
    shift[typical] = rng.integers(36, 42, outputs)[typical]
    multiplier = rng.integers(0, 1 << 31, outputs)
    multiplier[typical] |= 1 << 30
    small = rng.integers(-5000, 5000, outputs)
    return Layer(
        weights=rng.integers(-128, 128, (*kernel, inputs, outputs)).astype(np.int8),
        bias=np.where(rng.random(outputs) < 0.1, rng.integers(-(1 << 31), 1 << 31, outputs), small),
        multiplier=multiplier,
        shift=shift,
        rounding=Rounding(int(rng.integers(2))),
        pad=int(rng.integers(-128, 128)),
        zero_point=int(rng.integers(-128, 128)),
        minimum=int(rng.integers(-128, -100)),
        maximum=int(rng.integers(100, 128)),
        **extra,
    )  # fmt: skip


def random_residual(rng: np.random.Generator) -> dict[str, Any]:
    """Tables and fields of a residual addition, for `random_layer`."""
    fields = {
        "res_offset": int(rng.integers(-(1 << 18), 1 << 18)), "res_shift": int(rng.integers(14, 20)),
        "res_tie": int(rng.integers(64)), "res_zero_point": int(rng.integers(-128, 128)),
        "res_minimum": int(rng.integers(-128, -90)), "res_maximum": int(rng.integers(90, 128)),
    }  # fmt: skip
    return {"residual": fields, "tables": rng.integers(-(1 << 24), 1 << 24, (256, 2))}
