"""The encoder agrees with Amaranth's own."""

import random
from typing import Any

import pytest
from amaranth.hdl import Shape
from tilewright.hw.encoding import decode, encode
from tilewright.hw.isa import FORMATS, Base, Opcode


def ranges(opcode: Opcode) -> dict[str, list[Any]]:
    """Legal values of every field that can be set: all members, or both ends and what is around zero."""
    result = {}
    for name, shape in FORMATS[opcode].members.items():
        if name in ("opcode", "reserved", "unused"):
            continue
        cast = Shape.cast(shape)
        low, high = (-(1 << cast.width - 1), (1 << cast.width - 1) - 1) if cast.signed else (0, (1 << cast.width) - 1)
        result[name] = list(shape) if isinstance(shape, type) else sorted({low, max(low, -1), 0, 1, high - 1, high})
    return result


@pytest.mark.parametrize("opcode", Opcode)
def test_encode_is_what_the_layout_says_and_decode_undoes_it(opcode: Opcode) -> None:
    rng = random.Random(opcode.value)
    for _ in range(50):
        fields = {name: rng.choice(values) for name, values in ranges(opcode).items()}
        instruction = encode(opcode, **fields)
        assert int.from_bytes(instruction, "little") == FORMATS[opcode].const({**fields, "opcode": opcode}).as_bits()
        assert decode(instruction) == (opcode, fields)


@pytest.mark.parametrize("opcode", Opcode)
def test_encode_names_the_field_that_is_wrong(opcode: Opcode) -> None:
    fields = {name: values[0] for name, values in ranges(opcode).items()}
    for name, values in ranges(opcode).items():
        without = {other: value for other, value in fields.items() if other != name}
        with pytest.raises(ValueError, match=f"^{name}: missing field of {opcode.name}"):
            encode(opcode, **without)
        wrong = [99] if isinstance(values[0], Base.__mro__[1]) else [values[0] - 1, values[-1] + 1, 0.5]
        for value in wrong:
            with pytest.raises(ValueError, match=f"^{name}: "):
                encode(opcode, **(fields | {name: value}))
    for name in ("nonsense", "reserved", "unused", "opcode"):
        with pytest.raises((ValueError, TypeError)):
            encode(opcode, **(fields | {name: 0}))


def test_decode_refuses_what_is_no_instruction() -> None:
    end = encode(Opcode.END, wait_load=0, wait_compute=0, wait_store=0)
    with pytest.raises(ValueError, match="an instruction has 64 bytes, not 63"):
        decode(end[:-1])
    with pytest.raises(ValueError, match="opcode: 15 is not an Opcode"):
        decode(b"\x0f" + end[1:])
    with pytest.raises(ValueError, match="reserved: bits of END that must be zero are not"):
        decode(b"\x11" + end[1:])
    with pytest.raises(ValueError, match="unused: bits of END that must be zero are not"):
        decode(end[:-1] + b"\x01")
    fields = {name: values[0] for name, values in ranges(Opcode.LOAD).items()}
    load = bytearray(encode(Opcode.LOAD, **fields))
    load[8] |= 7
    with pytest.raises(ValueError, match="base: 7 is not a Base"):
        decode(bytes(load))
