"""The instruction set, defined once: hardware, emitter, interpreter and disassembler all read these layouts.

An instruction is 64 bytes, little-endian, and describes a whole loop nest. The controller hands it to the engine that its
opcode names; each engine runs its instructions in order. Engines wait for each other only through tokens: every finished
LOAD, COMPUTE or STORE adds one to that engine's count, and an instruction starts when each count has reached its ``wait_*``
field (compared modulo 2**16: it waits while ``(count - wait) mod 2**16 >= 2**15``).

``docs/architecture.md`` explains what each engine does with the fields; the comments here give units and ranges.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

__all__ = [
    "BASES", "COMPUTE", "CONSTANT_VECTORS", "DATA_BASES", "END", "FORMATS", "HEADER", "INSTRUCTION_BITS", "INSTRUCTION_BYTES",
    "POOL_COLUMNS", "POOL_PIXELS", "POOL_SHIFT", "TABLE_BYTES", "TABLE_ENTRIES", "TRANSFER", "WEIGHTS", "Base", "Combine",
    "ErrorCode", "Mode", "Opcode", "Pool", "Rounding", "Stream",
]  # fmt: skip

INSTRUCTION_BITS = 512
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8

CONSTANT_VECTORS = 9
"""Vectors of ``cols`` bytes that a block of constants takes: bias bytes 0 to 3, multiplier bytes 0 to 3, shift."""

TABLE_ENTRIES = 256
TABLE_BYTES = 8 * TABLE_ENTRIES
"""Residual tables: for each index 0 to 255 (the operand as an unsigned byte) an int32 of table A, then one of table B."""

POOL_COLUMNS = 64
"""Windows side by side that a maximum pool can have."""

POOL_PIXELS = 512
"""Pixels that an average pool can have."""

POOL_SHIFT = 16
"""Least right shift behind an average pool's multiplier; `pool_shift` counts from there."""


class Opcode(enum.Enum, shape=4):
    END = 1
    LOAD = 2
    WEIGHTS = 3
    COMPUTE = 4
    STORE = 5


class Base(enum.Enum, shape=3):
    """Base registers: the driver sets them, an address is a base plus an offset."""

    PROGRAM = 0
    WEIGHTS = 1
    INPUT = 2
    OUTPUT = 3
    SCRATCH = 4


BASES = len(Base)
DATA_BASES = (Base.WEIGHTS, Base.INPUT, Base.OUTPUT, Base.SCRATCH)


class Stream(enum.Enum, shape=2):
    """What a WEIGHTS instruction brings."""

    TILES = 0  # blocks of weight tiles, each block behind its constants
    TABLES = 1  # the two residual tables


class Mode(enum.Enum, shape=2):
    """What the array's rows and columns stand for, and where the PEs take their data."""

    DENSE = 0  # rows: channels of one tap
    DEPTHWISE = 1  # rows: taps, columns: channels
    PACKED = 2  # rows: taps of a few channels, bytes that lie side by side in memory


class Combine(enum.Enum, shape=1):
    """How passes meet in the accumulator."""

    ADD = 0
    MAX = 1


class Rounding(enum.Enum, shape=1):
    """Rounding of a requantization: TFLite's double rounding (convolutions) or single rounding (fully connected)."""

    DOUBLE = 0
    SINGLE = 1


class Pool(enum.Enum, shape=2):
    """What becomes of a COMPUTE's results before they are written."""

    NONE = 0
    MAX = 1  # the largest of each window, windows side by side
    AVERAGE = 2  # the mean of all pixels


class ErrorCode(enum.Enum, shape=4):
    """Why the accelerator stopped."""

    NONE = 0
    ILLEGAL_OPCODE = 1
    ILLEGAL_FIELD = 2  # a zero count, too many rows, a reserved bit, a base that does not exist
    FETCH_BUS = 3  # an error response to an instruction fetch
    LOAD_BUS = 4
    WEIGHTS_BUS = 5
    STORE_BUS = 6
    NO_PROGRESS = 7  # the watchdog: no engine advanced for as many cycles as the register says
    PROGRAM_END = 8  # the program's last instruction was not END


_HEADER: dict[str, object] = {
    "opcode": Opcode,
    "reserved": unsigned(12),  # zero
    "wait_load": unsigned(16),
    "wait_compute": unsigned(16),
    "wait_store": unsigned(16),
}

HEADER = data.StructLayout(_HEADER)

END = data.StructLayout({**_HEADER, "unused": unsigned(INSTRUCTION_BITS - 64)})
"""Wait for the tokens, then until every engine is idle and every write is answered, and stop."""

TRANSFER = data.StructLayout({
    **_HEADER,
    # External side: `runs` runs of `run_bytes` bytes, `run_pitch` bytes apart; together one stream of bytes, which is
    # rows * width * channels long. No alignment is required.
    "base": Base,
    "offset": unsigned(32),
    "run_bytes": unsigned(24),  # 1 ..
    "runs": unsigned(16),  # 1 ..
    "run_pitch": signed(25),
    # On-chip side: an image of `rows` x `width` pixels of `channels` bytes, each pixel in ceil(channels / vector) vectors.
    "address": unsigned(16),  # units, a multiple of a vector: the first pixel of the first row
    "bank": unsigned(2),  # of the first row
    "row_step": unsigned(16),  # units from a row to the one four rows below (the next row in the same bank)
    "rows": unsigned(12),  # 1 ..
    "width": unsigned(12),  # 1 ..
    "channels": unsigned(16),  # 1 ..
    "unused": unsigned(INSTRUCTION_BITS - 64 - 3 - 32 - 24 - 16 - 25 - 16 - 2 - 16 - 12 - 12 - 16),
})  # fmt: skip
"""LOAD: external memory to activation memory (bytes beyond `channels` become zero). STORE: the way back."""

WEIGHTS = data.StructLayout({
    **_HEADER,
    "base": Base,
    "offset": unsigned(32),
    "bytes": unsigned(28),  # of the whole stream: a multiple of cols
    "stream": Stream,
    # A TILES stream holds `blocks` blocks: CONSTANT_VECTORS vectors, then `groups` times (`tiles` - 1 tiles of `rows`
    # vectors and one of `last_rows`). A vector is `cols` bytes. The first vector of a tile goes to its highest row.
    "blocks": unsigned(12),  # 1 ..
    "groups": unsigned(16),  # 1 ..
    "tiles": unsigned(12),  # 1 ..
    "rows": unsigned(6),  # 1 .. rows of the array
    "last_rows": unsigned(6),  # 1 .. rows
    "unused": unsigned(INSTRUCTION_BITS - 64 - 3 - 32 - 28 - 2 - 12 - 16 - 12 - 6 - 6),
})  # fmt: skip
"""Fetch a stream in the order of use. WEIGHTS adds no token: the array takes the stream in order."""

COMPUTE = data.StructLayout({
    **_HEADER,
    "mode": Mode,
    "combine": Combine,
    "rounding": Rounding,
    "residual": unsigned(1),
    # Loops, outermost first: output channel blocks (of cols), kernel rows, kernel columns, input channel blocks (of rows),
    # output rows, output columns. The middle three make the passes of a block; a pass uses one weight tile.
    "blocks": unsigned(12),  # 1 ..
    "taps_y": unsigned(8),  # 1 .. ; depthwise: groups of kernel rows; packed: chunks of `rows` taps
    "taps_x": unsigned(8),  # 1 .. ; depthwise and packed: segments of kernel columns
    "channels": unsigned(12),  # 1 .. ; 1 in depthwise and packed mode
    "out_rows": unsigned(12),  # 1 ..
    "out_cols": unsigned(12),  # 1 ..
    "rows": unsigned(6),  # array rows that a pass uses, 1 ..
    "last_rows": unsigned(6),  # the same in the last input channel block; packed: in the last chunk
    "group": unsigned(6),  # depthwise: kernel columns in a group of array rows; packed: bytes of a kernel row's segment
    "period": unsigned(12),  # depthwise: cycles per output row
    # Input image. Addresses in units, arithmetic modulo 2**16. Packed mode: columns and width count bytes.
    "address": unsigned(16),  # of the first tap of the first output pixel (may lie outside the image); packed: of its image row
    "bank": unsigned(2),  # of that image row
    "row_step": unsigned(16),  # from an image row to the one four rows below
    "x_step": unsigned(16),  # dense: from an output column to the next; depthwise: from a pixel to the next; packed: bytes
    "tap_x_step": unsigned(16),  # from a kernel column (or segment) to the next
    "tap_y_rows": unsigned(5),  # image rows from a kernel row (or group) to the next
    "tap_x_cols": unsigned(6),  # image columns from a kernel column (or segment) to the next
    "stride_y": unsigned(4),  # 1 .. 15
    "stride_x": unsigned(4),  # 1 .. 15
    "y": signed(12),  # image row and column of the first tap of the first output pixel
    "x": signed(12),
    "height": unsigned(12),  # of the image: a tap outside reads `pad`
    "width": unsigned(12),
    "pad": signed(8),  # the input's zero point (-128 in a max pool)
    # Output image (the pooled one): written from its first pixel on, one block of cols bytes after the other.
    "out_address": unsigned(16),
    "out_bank": unsigned(2),
    "out_row_step": unsigned(16),
    "out_x_step": unsigned(16),
    # Requantization: clamp(zero_point + round(acc * multiplier / 2**shift)).
    "zero_point": signed(8),
    "minimum": signed(8),
    "maximum": signed(8),
    # Pool, behind the residual addition: MAX of windows of `pool_rows` x `pool_cols` results, or AVERAGE of all results of a
    # block, (sum * pool_multiplier) / 2**(POOL_SHIFT + pool_shift) to the nearest, halves upwards.
    "pool": Pool,
    "pool_rows": unsigned(6),  # MAX: 1 .. ; out_rows is a multiple
    "pool_cols": unsigned(6),  # MAX: 2 .. , or 1 if pool_rows is 1; out_cols is a multiple
    "pool_multiplier": unsigned(17),
    "pool_shift": unsigned(4),
    # Residual: an image with the output's x step; clamp(zero point + (A[x] + B[residual] + offset - tie * (sum < 0)) >> shift)
    "res_address": unsigned(16),
    "res_bank": unsigned(2),
    "res_row_step": unsigned(16),
    "res_shift": unsigned(5),
    "res_tie": unsigned(6),
    "res_offset": signed(28),
    "res_zero_point": signed(8),
    "res_minimum": signed(8),
    "res_maximum": signed(8),
    "unused": unsigned(
        INSTRUCTION_BITS - 64 - 5 - 12 - 8 - 8 - 12 - 12 - 12 - 6 - 6 - 6 - 12 - 16 - 2 - 16 - 16 - 16 - 5 - 6 - 4 - 4
        - 12 - 12 - 12 - 12 - 8 - 16 - 2 - 16 - 16 - 8 - 8 - 8
        - 2 - 6 - 6 - 17 - 4 - 16 - 2 - 16 - 5 - 6 - 28 - 8 - 8 - 8
    ),
})  # fmt: skip
"""One rectangle of an output image, in all its output channels."""

FORMATS = {
    Opcode.END: END,
    Opcode.LOAD: TRANSFER,
    Opcode.WEIGHTS: WEIGHTS,
    Opcode.COMPUTE: COMPUTE,
    Opcode.STORE: TRANSFER,
}
