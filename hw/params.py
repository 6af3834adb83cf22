"""Parameters of an accelerator: one frozen object that travels with the Verilog and with every program."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields

__all__ = ["BANKS", "MEMORIES", "TARGETS", "Parameters", "parse_array"]

BANKS = 4
"""Row banks of the activation memory: image row y lies in bank y modulo 4."""

_SIDES = (4, 8, 16, 32)

MEMORIES = ("axi", "spram", "bram")
"""Where everything lies before and behind a run: in external memory, or in the two memories of the compact accelerator."""

TARGETS = ("generic", "ecp5", "ice40", "gowin")
"""Whose multipliers the hardware is built from; ``generic`` leaves them to the synthesizer."""

_COMPACT = {
    "accumulator_depth": 128, "pixel_buses": 4, "depthwise": True, "packed": False, "residual": False, "pooling": False,
}  # fmt: skip

_COMPACT_KIB = {"spram": {4: {64: 64}}, "bram": {4: {32: 40}, 8: {24: 40, 28: 56}}}
"""By memory and rows: of the program, with each size of the activation memory."""

_ANY_PROGRAM = ("target", "dsp_blocks")
_WIDE_PRODUCTS = 4  # in a lane of the post-processor


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """An accelerator's configuration.

    ``rows`` (reduction) and ``cols`` (output channels) are 4, 8, 16 or 32, not necessarily equal. ``activation_kib`` is the
    size of the activation memory in KiB, ``accumulator_depth`` the number of partial sums per column, ``axi_bits`` the width
    of the external memory port, ``weight_fifo_bytes`` the depth of the weight stream. ``lanes`` of the post-processor
    requantize a vector of ``cols`` sums: all at once, or, without ``pooling``, in 2 or 4 ``parts`` after one another.
    ``depthwise`` adds the pixel buses (depthwise convolutions, pools, stand-alone additions), 2 to 4 ``pixel_buses``: as many
    kernel rows can a pass take. ``packed`` adds the gathering of bytes for inputs of few channels, ``residual`` the tables that
    add a second operand, ``pooling`` the pools behind other layers, in the same pass.

    ``target`` is the device family whose multipliers are used, ``dsp_blocks`` how many multiplier blocks (MULT18X18D,
    SB_MAC16 or MULT18X18) there are for them: the post-processor's lanes and pools come first (not on iCE40), then as many
    processing elements as possible; the others multiply in logic. Neither changes a cycle or a result, nor the fingerprint.

    ``memory`` is ``axi``; or ``spram`` or ``bram`` for the compact accelerator (`hw.compact`), in an iCE40 UltraPlus's large
    memories, 4x4, or in block RAMs, 4x4 or 8x8; each of these has one size alone.

    Raises ``ValueError`` naming the field, the value and the legal range.
    """

    rows: int
    cols: int
    activation_kib: int = 128
    accumulator_depth: int = 512
    axi_bits: int = 0
    weight_fifo_bytes: int = 0
    lanes: int = 0
    pixel_buses: int = BANKS
    depthwise: bool = True
    packed: bool = True
    residual: bool = True
    pooling: bool = True
    memory: str = "axi"
    target: str = "generic"
    dsp_blocks: int = 0

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            _require(name, getattr(self, name), _SIDES)
        if self.axi_bits == 0:
            object.__setattr__(self, "axi_bits", min(128, max(32, 8 * self.vector)))
        if self.weight_fifo_bytes == 0:
            object.__setattr__(self, "weight_fifo_bytes", max(1024, 256 * self.cols))
        if self.lanes == 0:
            object.__setattr__(self, "lanes", self.cols)
        if not self.compact:
            _require("activation_kib", self.activation_kib, (4, 8, 16, 32, 64, 128, 256))
        _require("accumulator_depth", self.accumulator_depth, (64, 128, 256, 512, 1024, 2048))
        _require("axi_bits", self.axi_bits, (32, 64, 128))
        _require("weight_fifo_bytes", self.weight_fifo_bytes, tuple(1 << n for n in range(10, 16)))
        _require("lanes", self.lanes, (self.cols // 4, self.cols // 2, self.cols))
        _require("pixel_buses", self.pixel_buses, (BANKS, 3, 2) if self.depthwise else (BANKS,))
        for name in ("depthwise", "packed", "residual", "pooling"):
            _require(name, getattr(self, name), (False, True))
        _require("memory", self.memory, MEMORIES)
        if self.pooling and self.parts > 1:
            raise ValueError(f"pooling: needs a lane for each column, not {self.lanes} lanes for {self.cols} columns")
        if self.compact:
            self._check_compact()
        _require("target", self.target, TARGETS)
        self._check_blocks()

    def _check_compact(self) -> None:
        sizes = _COMPACT_KIB[self.memory]
        legal = {"rows": tuple(sizes)}
        if self.rows in sizes:
            legal |= {"cols": (self.rows,), "activation_kib": tuple(sizes[self.rows]), "axi_bits": (8 * self.rows,)}
        if self.serial_lanes:
            legal["lanes"] = (self.rows,)
        for name, values in (legal | {name: (value,) for name, value in _COMPACT.items()}).items():
            if (value := getattr(self, name)) not in values:
                only = " or ".join(map(repr, values))
                raise ValueError(f"{name}: {value!r} with memory {self.memory}, which goes with {only} alone")

    def _check_blocks(self) -> None:
        blocks, lanes = self.dsp_blocks, self._lane_blocks
        if type(blocks) is not int or not 0 <= blocks <= 4096:
            raise ValueError(f"dsp_blocks: {blocks!r} is not 0 to 4096")
        if self.target == "generic" and blocks:
            raise ValueError(f"dsp_blocks: {blocks} with target generic, which has none")
        if blocks < lanes:
            raise ValueError(f"dsp_blocks: {blocks} is less than the {lanes} that {self.lanes} lanes and pools take")

    @property
    def _lane_blocks(self) -> int:
        in_blocks = self.target in ("ecp5", "gowin") and not self.serial_lanes
        return _WIDE_PRODUCTS * self.lanes + self.pooling if in_blocks else 0

    @property
    def array_blocks(self) -> int:
        """Processing elements whose multiplier is in a block of the device."""
        products = 1 if self.target == "ecp5" else 2  # in a block
        return min(products * (self.dsp_blocks - self._lane_blocks), self.rows * self.cols)

    @property
    def parts(self) -> int:
        """Cycles in which the post-processor takes a vector of sums."""
        return self.cols // self.lanes

    @property
    def read_ports(self) -> int:
        """Words of the activation memory that the array reads in a cycle, at most. The last one may be a residual operand."""
        return max(self.pixel_buses * self.depthwise, BANKS * self.packed, 1 + self.residual)

    def kernel_rows(self, residual: bool) -> int:
        """Kernel rows that a depthwise pass can take, with a residual operand or without."""
        return min(self.pixel_buses, self.read_ports - residual)

    @property
    def holds_results(self) -> bool:
        """Whether a block's results wait on chip, so that ``accumulator_depth`` bounds those of a single pass, too."""
        return self.compact or self.parts > 1

    @property
    def vector(self) -> int:
        """Bytes of one activation memory word: the longer side of the array."""
        return max(self.rows, self.cols)

    @property
    def unit(self) -> int:
        """Bytes that an activation address counts: the shorter side of the array."""
        return min(self.rows, self.cols)

    @property
    def units(self) -> int:
        """Units in a vector."""
        return self.vector // self.unit

    @property
    def bank_words(self) -> int:
        """Vectors in one bank of the activation memory."""
        return self.activation_kib * 1024 // BANKS // self.vector

    @property
    def axi_bytes(self) -> int:
        """Bytes in one beat of external memory."""
        return self.axi_bits // 8

    @property
    def array(self) -> str:
        """The array's name, such as ``16x16``."""
        return f"{self.rows}x{self.cols}"

    @property
    def compact(self) -> bool:
        """Whether it is the accelerator without external memory."""
        return self.memory != "axi"

    @property
    def serial_lanes(self) -> bool:
        """Whether the post-processor works on a few bits at a time, without blocks."""
        return self.memory == "spram"

    @property
    def program_kib(self) -> int:
        """Size of the compact accelerator's memory for weights and instructions, in KiB."""
        return _COMPACT_KIB[self.memory][self.rows][self.activation_kib]

    def to_json(self) -> str:
        """All fields as a JSON object with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Parameters":
        """Read what `to_json` wrote. Raises ``ValueError`` for unknown, missing or illegal fields."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"parameters: expected a JSON object, got {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"{unknown[0]}: unknown parameter; known are {', '.join(sorted(known))}")
        if missing := sorted({"rows", "cols"} - set(values)):
            raise ValueError(f"{missing[0]}: missing parameter")
        return cls(**values)

    @property
    def fingerprint(self) -> int:
        """64 bits that tell configurations apart, as far as programs can; readable from the accelerator's registers."""
        before = {"memory": "axi", "lanes": self.cols, "pixel_buses": BANKS}  # what there was before there was a choice
        relevant = {
            name: value for name, value in asdict(self).items() if name not in _ANY_PROGRAM and before.get(name) != value
        }
        return int.from_bytes(hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).digest()[:8], "little")


def parse_array(text: str) -> Parameters:
    """Parameters of ``ROWSxCOLS`` at default sizes. Raises ``ValueError`` for anything else."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"array: {text!r} is not ROWSxCOLS, such as 16x16")
    return Parameters(rows=int(parts[0]), cols=int(parts[1]))


def _require(name: str, value: object, legal: tuple[object, ...]) -> None:
    if type(value) is not type(legal[0]) or value not in legal:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(str, legal))}")
