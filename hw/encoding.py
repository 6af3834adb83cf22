"""Instructions as bytes and back, by the layouts of `hw/isa.py`."""

import functools
from typing import Any

from amaranth.hdl import Shape

from .isa import FORMATS, INSTRUCTION_BYTES, Opcode

__all__ = ["Fields", "decode", "encode"]

Fields = dict[str, Any]
"""An instruction's fields by name, without ``opcode`` and the bits that must be zero. Enumerations are members."""

_ZERO_FIELDS = ("reserved", "unused")


@functools.cache
def _fields(opcode: Opcode) -> dict[str, tuple[int, int, bool, type | None]]:
    """Offset and width in bits, signedness and enumeration of every field of an instruction."""
    layout = FORMATS[opcode]
    result = {}
    for name, shape in layout.members.items():
        cast = Shape.cast(shape)
        result[name] = (layout[name].offset, cast.width, cast.signed, shape if isinstance(shape, type) else None)
    return result


def encode(opcode: Opcode, **fields: Any) -> bytes:
    """One instruction of 64 bytes. Every field of the opcode's layout must be given, save `reserved` and `unused`.

    Raises ``ValueError`` naming an unknown or missing field, or one whose value does not fit its bits.
    """
    layout = _fields(opcode)
    settable = [name for name in layout if name not in ("opcode", *_ZERO_FIELDS)]
    if unknown := [name for name in fields if name not in settable]:
        raise ValueError(f"{unknown[0]}: no such field in {opcode.name}")
    if missing := [name for name in settable if name not in fields]:
        raise ValueError(f"{missing[0]}: missing field of {opcode.name}")
    bits = opcode.value << layout["opcode"][0]
    for name in settable:
        offset, width, is_signed, enumeration = layout[name]
        value = fields[name]
        if enumeration is not None:
            try:
                value = enumeration(value).value
            except ValueError:
                raise ValueError(f"{name}: {value!r} is not a {enumeration.__name__}") from None
        if isinstance(value, float):
            raise ValueError(f"{name}: {value!r} is not an integer")
        value = int(value)
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if is_signed else (0, (1 << width) - 1)
        if not low <= value <= high:
            raise ValueError(f"{name}: {value} is not {low} to {high}")
        bits |= (value & ((1 << width) - 1)) << offset
    return bits.to_bytes(INSTRUCTION_BYTES, "little")


def decode(instruction: bytes) -> tuple[Opcode, Fields]:
    """The opcode and the fields of one instruction; enumerations as members, signed fields as negative integers.

    Raises ``ValueError`` for a wrong length, an unknown opcode or enumeration value, and for bits that must be zero.
    """
    if len(instruction) != INSTRUCTION_BYTES:
        raise ValueError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(instruction)}")
    bits = int.from_bytes(instruction, "little")
    try:
        opcode = Opcode(bits & 15)
    except ValueError:
        raise ValueError(f"opcode: {bits & 15} is not an Opcode") from None
    fields: Fields = {}
    for name, (offset, width, is_signed, enumeration) in _fields(opcode).items():
        value: Any = (bits >> offset) & ((1 << width) - 1)
        if name in _ZERO_FIELDS:
            if value:
                raise ValueError(f"{name}: bits of {opcode.name} that must be zero are not")
        elif name != "opcode":
            if is_signed and value >> (width - 1):
                value -= 1 << width
            if enumeration is not None:
                try:
                    value = enumeration(value)
                except ValueError:
                    raise ValueError(f"{name}: {value} is not a {enumeration.__name__}") from None
            fields[name] = value
    return opcode, fields
