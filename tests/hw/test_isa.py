"""The layouts fill an instruction exactly."""

import pytest
from tilewright.hw.isa import FORMATS, HEADER, INSTRUCTION_BITS, Opcode


@pytest.mark.parametrize("opcode", Opcode)
def test_layouts_fill_an_instruction_and_share_a_header(opcode: Opcode) -> None:
    layout = FORMATS[opcode]
    assert layout.size == INSTRUCTION_BITS
    for name in HEADER.members:
        assert layout[name] == HEADER[name]
