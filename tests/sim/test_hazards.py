"""Races: each missing token is found, and no token that orders enough is missed."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from tilewright.hw.encoding import decode, encode
from tilewright.hw.isa import Base, Mode, Opcode, Pool, Stream
from tilewright.hw.params import parse_array
from tilewright.hw.program import Program
from tilewright.sim.hazards import find_hazards, input_units, output_units, residual_units, transfer_units

from .assembler import NO_RESIDUAL, Assembler, Image, Layer, random_layer, random_residual

RNG = np.random.default_rng(0)


def rewait(program: Program, index: int, **waits: int) -> Program:
    """The program with other tokens for one instruction."""
    code = [program.instructions[at : at + 64] for at in range(0, len(program.instructions), 64)]
    opcode, fields = decode(code[index])
    code[index] = encode(opcode, **(fields | waits))
    return dataclasses.replace(program, instructions=b"".join(code))


def texts(program: Program) -> list[str]:
    return [str(hazard) for hazard in find_hazards(program)]


def chain() -> Program:
    """LOAD 0, COMPUTE 2, COMPUTE 4, STORE 5, LOAD 6 over the first input, COMPUTE 8 over the first result, END."""
    assembler = Assembler(parse_array("4x4"))
    a, b, c = (assembler.image(4, 4, 4) for _ in range(3))
    layer = random_layer(RNG, (3, 3), 4, 4, pads=(1, 1))
    assembler.load(a)
    assembler.layer(layer, a, b)
    assembler.layer(layer, b, c)
    assembler.store(c)
    assembler.load(a, "x2")
    assembler.layer(layer, a, b)
    return assembler.end()


def test_a_program_that_waits_for_everything_has_none() -> None:
    assert find_hazards(chain()) == ()


@pytest.mark.parametrize(
    ("index", "waits", "reason"),
    [
        (2, {"wait_load": 0}, "instruction 2 (COMPUTE) reads what is written by LOAD 1 and does not wait for it"),
        (4, {"wait_compute": 0}, "instruction 4 (COMPUTE) reads what is written by COMPUTE 1 and does not wait for it"),
        (5, {"wait_compute": 1}, "instruction 5 (STORE) reads what is written by COMPUTE 2 and does not wait for it"),
        (6, {"wait_compute": 0}, "instruction 6 (LOAD) overwrites what is read by COMPUTE 1 and does not wait for it"),
        (8, {"wait_load": 1}, "instruction 8 (COMPUTE) reads what is written by LOAD 2 and does not wait for it"),
    ],
)
def test_each_missing_token_is_a_race(index: int, waits: dict[str, int], reason: str) -> None:
    assert reason in texts(rewait(chain(), index, **({"wait_store": 0} | waits)))


def test_knowledge_passes_on() -> None:
    program = chain()
    # COMPUTE 4 waits for COMPUTE 2, which waited for the LOAD; the STORE waits for COMPUTE 4.
    program = rewait(program, 4, wait_load=0)
    program = rewait(program, 5, wait_load=0)
    # The second LOAD waits for the STORE alone, which waited for both COMPUTEs.
    program = rewait(program, 6, wait_load=0, wait_compute=0, wait_store=1)
    # The last COMPUTE waits for the second LOAD alone.
    program = rewait(program, 8, wait_load=2, wait_compute=0, wait_store=0)
    assert find_hazards(program) == ()


def test_an_engines_earlier_waits_count() -> None:
    """The second COMPUTE follows the first, which waited for the LOAD."""
    assembler = Assembler(parse_array("4x4"))
    a, b, c = (assembler.image(4, 4, 4) for _ in range(3))
    layer = random_layer(RNG, (1, 1), 4, 4)
    assembler.load(a)
    assembler.layer(layer, a, b)
    assembler.layer(layer, a, c, waits={"wait_load": 0, "wait_compute": 0})
    assert find_hazards(assembler.end()) == ()


def test_stores_before_overwriting() -> None:
    assembler = Assembler(parse_array("4x4"))
    a, b = (assembler.image(4, 4, 4) for _ in range(2))
    layer = random_layer(RNG, (1, 1), 4, 4)
    assembler.load(a)
    assembler.layer(layer, a, b)
    assembler.store(b)
    assembler.layer(layer, a, b, waits={"wait_store": 0})
    assembler.load(b, "z", waits={"wait_store": 0})
    found = texts(assembler.end())
    assert "instruction 5 (COMPUTE) overwrites what is read by STORE 1 and does not wait for it" in found
    assert "instruction 6 (LOAD) overwrites what is read by STORE 1 and does not wait for it" in found


def test_external_memory() -> None:
    assembler = Assembler(parse_array("4x4"))
    a = assembler.image(4, 4, 4)
    none = {"wait_load": 0, "wait_store": 0}
    assembler.load(a)
    assembler.transfer(Opcode.STORE, a, Base.SCRATCH, 0)
    assembler.transfer(Opcode.LOAD, a, Base.SCRATCH, 63, waits=none | {"wait_store": 0})
    assembler.emit(
        Opcode.WEIGHTS, none, base=Base.SCRATCH, offset=48, bytes=40, stream=Stream.TILES, blocks=1, groups=1, tiles=1,
        rows=1, last_rows=1,
    )  # fmt: skip
    assembler.transfer(Opcode.STORE, a, Base.SCRATCH, 80)
    found = texts(dataclasses.replace(assembler.end(), scratch_bytes=200))
    assert "instruction 2 (LOAD) reads what is written by STORE 1 and does not wait for it" in found
    assert "instruction 2 (LOAD) overwrites what is read by STORE 1 and does not wait for it" in found
    assert "instruction 3 (WEIGHTS) reads what is written by STORE 1 and does not wait for it" in found
    assert "instruction 4 (STORE) overwrites what is read by WEIGHTS 1 and does not wait for it" in found
    assert len(found) == 4


def banded(kernel: int, needed: int) -> Program:
    """Bands of one row are loaded; the COMPUTE of the first output rows waits for `needed` of them."""
    assembler = Assembler(parse_array("8x4"))
    whole = assembler.image(6, 4, 4)
    target = assembler.image(2, 4, 4)
    for row in range(6):
        line = whole.place(row, 0)
        assembler.load(Image(1, 4, 4, line["address"], line["bank"], whole.x_step), f"x{row}", waits={"wait_load": 0})
    layer = random_layer(RNG, (kernel, 3), 1, 4, pads=(1, 1), depthwise=True)
    assembler.layer(layer, whole, target, waits={"wait_load": needed})
    return assembler.end()


def test_bands_wait_for_the_rows_that_they_read() -> None:
    # 3 x 3 on 8 rows: two kernel rows in a pass, so the second pass's second group has no weights and needs no row.
    assert find_hazards(banded(3, 3)) == ()
    assert [hazard.count for hazard in find_hazards(banded(3, 2))] == [3]
    assert find_hazards(banded(4, 4)) == ()
    assert [hazard.count for hazard in find_hazards(banded(4, 3))] == [4]


def test_in_place() -> None:
    """A COMPUTE may overwrite its residual operand, or a 1 x 1 input, pixel by pixel; nothing else that it reads."""
    params = parse_array("4x4")

    def overwrites(layer: Layer, shift: int = 0, residual: bool = False) -> bool:
        assembler = Assembler(params)
        a, b = assembler.image(4, 4, 4), assembler.image(4, 4, 4)
        assembler.load(a)
        assembler.load(b, "b")
        image = b if residual else a
        target = dataclasses.replace(image, address=image.address + shift)
        assembler.layer(layer, a, target, residual=b if residual else None)
        found = texts(assembler.end())
        assert len(found) <= 1
        return "overwrites what is read by COMPUTE 1 and does not wait for it" in "".join(found)

    assert not overwrites(random_layer(RNG, (1, 1), 4, 4))
    assert not overwrites(random_layer(RNG, (1, 1), 1, 4, depthwise=True))
    assert overwrites(random_layer(RNG, (1, 1), 4, 4), shift=1)
    assert overwrites(random_layer(RNG, (3, 3), 4, 4, pads=(1, 1)))
    assert overwrites(random_layer(RNG, (3, 3), 1, 4, pads=(1, 1), depthwise=True))
    assert not overwrites(random_layer(RNG, (1, 1), 4, 4, **random_residual(RNG)), residual=True)
    assert overwrites(random_layer(RNG, (1, 1), 4, 4, **random_residual(RNG)), shift=1, residual=True)


def test_a_pool_is_not_in_place() -> None:
    """It writes when later rows are read already, and a mean when later blocks are not."""
    source = Image(4, 4, 4, 0, 0, 1)
    for target, found in ((Image(2, 2, 4, 0, 0, 1), True), (Image(2, 2, 4, 8, 0, 1), False)):
        layer = random_layer(RNG, (1, 1), 4, 4)
        pool = {"pool": Pool.MAX, "pool_rows": 2, "pool_cols": 2}
        assembler = Assembler(parse_array("4x4"))
        assembler.load(source)
        assembler.layer(layer, source, target, pool=pool)
        assert bool(texts(assembler.end())) == found


def test_tables_wait_for_the_computation_that_uses_the_former_ones() -> None:
    assembler = Assembler(parse_array("4x4"))
    a, b, c = (assembler.image(4, 4, 4) for _ in range(3))
    layer = random_layer(RNG, (1, 1), 4, 4, **random_residual(RNG))
    assembler.load(a)
    assembler.layer(layer, a, b, residual=a)
    assembler.layer(layer, b, c, residual=a)
    program = assembler.end()
    assert find_hazards(program) == ()
    found = texts(rewait(program, 4, wait_compute=0))
    assert found == ["instruction 4 (WEIGHTS) overwrites the tables of COMPUTE 1 and does not wait for it"]


def compute(array: str, layer: Layer, source: Image, target: Image) -> tuple[dict[str, Any], Any]:
    assembler = Assembler(parse_array(array))
    assembler.layer(layer, source, target)
    return decode(assembler.code[-1])[1], assembler.params


def test_units_of_an_instruction() -> None:
    # 8x4: a vector is two units, a bank has 4096 vectors, so bank b starts at unit 8192 * b.
    source, target = Image(2, 2, 12, 0, 3, 4), Image(2, 2, 6, 100, 0, 2)
    fields, params = compute("8x4", random_layer(RNG, (1, 1), 12, 6), source, target)
    row0, row1 = 3 * 8192, 8  # row 0 in bank 3, row 1 in bank 0, a row further
    pixels = [0, 1, 2, 4, 5, 6]  # three units each: 8 channels, then 4
    assert input_units(fields, params).tolist() == [row1 + n for n in pixels] + [row0 + n for n in pixels]
    assert output_units(fields, params).tolist() == [100, 101, 102, 103, 8292, 8293, 8294, 8295]
    assert residual_units(fields, params).size == 0
    residual = fields | NO_RESIDUAL | {"residual": 1, "res_address": 50, "res_bank": 1, "res_row_step": fields["out_row_step"]}
    assert residual_units(residual, params).tolist() == [8242, 8243, 8244, 8245, 16434, 16435, 16436, 16437]
    transfer = {"address": 0, "bank": 3, "row_step": 8, "rows": 1, "width": 2, "channels": 3}
    assert transfer_units(Opcode.LOAD, transfer, params).tolist() == [row0, row0 + 1, row0 + 2, row0 + 3]
    assert transfer_units(Opcode.STORE, transfer, params).tolist() == [row0, row0 + 2]
    with pytest.raises(ValueError, match="unit address 9000 is beyond a bank of 8192 units"):
        transfer_units(Opcode.STORE, transfer | {"address": 9000, "width": 1}, params)


def test_units_of_packed_rows() -> None:
    source, target = Image(3, 1, 18, 0, 0, 5), Image(1, 2, 4, 500, 0, 1)
    layer = random_layer(RNG, (2, 3), 3, 4, stride=(1, 3), packed=True)
    fields, params = compute("16x4", layer, dataclasses.replace(source, x_step=8), target)
    assert fields["mode"] is Mode.PACKED
    # Rows of 18 bytes are 5 units of 4; both kernel rows see bytes 0 to 17.
    assert input_units(fields, params).tolist() == [0, 1, 2, 3, 4, *range(8192, 8197)]
