"""Parameters of an accelerator: one frozen object that travels with the Verilog and with every program."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields

__all__ = ["BANKS", "Parameters", "parse_array"]

BANKS = 4
"""Row banks of the activation memory: image row y lies in bank y modulo 4."""

_SIDES = (4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """An accelerator's configuration.

    ``rows`` (reduction) and ``cols`` (output channels) are 4, 8, 16 or 32, not necessarily equal. ``activation_kib`` is the
    size of the activation memory in KiB, ``accumulator_depth`` the number of partial sums per column, ``axi_bits`` the width
    of the external memory port, ``weight_fifo_bytes`` the depth of the weight stream. ``depthwise`` adds the pixel buses
    (depthwise convolutions, pools, stand-alone additions), ``packed`` the gathering of bytes for inputs of few channels,
    ``residual`` the tables that add a second operand, ``pooling`` the pools behind other layers, in the same pass.

    Raises ``ValueError`` naming the field, the value and the legal range.
    """

    rows: int
    cols: int
    activation_kib: int = 128
    accumulator_depth: int = 512
    axi_bits: int = 0
    weight_fifo_bytes: int = 0
    depthwise: bool = True
    packed: bool = True
    residual: bool = True
    pooling: bool = True

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            _require(name, getattr(self, name), _SIDES)
        if self.axi_bits == 0:
            object.__setattr__(self, "axi_bits", min(128, max(32, 8 * self.vector)))
        if self.weight_fifo_bytes == 0:
            object.__setattr__(self, "weight_fifo_bytes", max(1024, 256 * self.cols))
        _require("activation_kib", self.activation_kib, (4, 8, 16, 32, 64, 128, 256))
        _require("accumulator_depth", self.accumulator_depth, (64, 128, 256, 512, 1024, 2048))
        _require("axi_bits", self.axi_bits, (32, 64, 128))
        _require("weight_fifo_bytes", self.weight_fifo_bytes, tuple(1 << n for n in range(10, 16)))
        for name in ("depthwise", "packed", "residual", "pooling"):
            _require(name, getattr(self, name), (False, True))

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
        """64 bits that tell configurations apart; readable from the accelerator's registers."""
        return int.from_bytes(hashlib.sha256(self.to_json().encode()).digest()[:8], "little")


def parse_array(text: str) -> Parameters:
    """Parameters of ``ROWSxCOLS`` at default sizes. Raises ``ValueError`` for anything else."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"array: {text!r} is not ROWSxCOLS, such as 16x16")
    return Parameters(rows=int(parts[0]), cols=int(parts[1]))


def _require(name: str, value: object, legal: tuple[object, ...]) -> None:
    if type(value) is not type(legal[0]) or value not in legal:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(str, legal))}")
