"""Programs made by hand for random small layers, against nested loops over plain integers."""

from typing import Any

import numpy as np
import pytest
from tilewright.hw.isa import Base, Combine, Opcode, Pool, Rounding, Stream
from tilewright.hw.legality import verify_program
from tilewright.hw.params import parse_array
from tilewright.hw.program import Program, TensorInfo
from tilewright.sim.hazards import find_hazards
from tilewright.sim.interpreter import Interpreter, InterpreterError, InterpreterResult, requantize
from tilewright.sim.memory import make_memory

from .assembler import Assembler, Image, Layer, expected, output_shape, random_layer, random_residual, scale

ARRAYS = ["4x4", "8x4", "4x8", "4x32", "32x4", "16x16"]


def random_image(rng: np.random.Generator, rows: int, width: int, channels: int) -> np.ndarray:
    return rng.integers(-128, 128, (rows, width, channels)).astype(np.int8)


def run(program: Program, **inputs: np.ndarray) -> InterpreterResult:
    """Run a program that must also be legal and free of races."""
    verify_program(program)
    assert find_hazards(program) == ()
    memory, bases = make_memory(program, {name: value[None] for name, value in inputs.items()})
    return Interpreter(program, memory, bases).run()


def check(array: str, layer: Layer, x: np.ndarray, other: np.ndarray | None = None, **banks: int) -> None:
    """One layer from LOAD to STORE; `banks` has the first banks of source, residual operand and target."""
    assembler = Assembler(parse_array(array))
    on_chip = (x.shape[0], 1, x.shape[1] * x.shape[2]) if layer.packed else x.shape
    source = assembler.image(*on_chip, bank=banks.get("source", 0))
    assembler.load(source)
    operand, inputs = None, {"x": x}
    if other is not None:
        operand = assembler.image(*other.shape, bank=banks["residual"])
        assembler.load(operand, "r")
        inputs["r"] = other
    target = assembler.image(*output_shape(layer, x.shape), layer.weights.shape[3], bank=banks.get("target", 0))
    assembler.layer(layer, source, target, residual=operand)
    assembler.store(target)
    result = run(assembler.end(), **(inputs | {"x": x.reshape(on_chip)}))
    wanted = expected(layer, x, other)
    np.testing.assert_array_equal(result.outputs["y"][0], wanted)
    np.testing.assert_array_equal(result.images["y"][0], wanted)


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("seed", range(6))
def test_dense(array: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *array.encode()])
    vector = parse_array(array).vector
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    inputs, outputs = (int(n) for n in rng.integers(1, min(40, 5 * vector // 2), 2))
    layer = random_layer(
        rng, kernel, inputs, outputs, stride=tuple(int(n) for n in rng.integers(1, 3, 2)),
        pads=tuple(int(rng.integers(n)) for n in kernel), dilation=tuple(int(n) for n in rng.integers(1, 3, 2)),
    )  # fmt: skip
    x = random_image(rng, int(rng.integers(5, 7)), int(rng.integers(5, 7)), inputs)
    check(array, layer, x, source=int(rng.integers(4)), target=int(rng.integers(4)))


@pytest.mark.parametrize("array", ["4x4", "8x4", "4x32"])
@pytest.mark.parametrize("mode", ["dense", "depthwise", "packed"])
@pytest.mark.parametrize("window", [(2, 2), (3, 4), (1, 4), (1, 1), (6, 8), None])
def test_pools(array: str, mode: str, window: tuple[int, int] | None) -> None:
    """Windows of 6 x 8 results; None stands for the mean of all."""
    rng = np.random.default_rng([*array.encode(), *mode.encode()])
    inputs = {"dense": 9, "depthwise": 1, "packed": 2}[mode]
    x = random_image(rng, 6, 8, 10 if mode == "depthwise" else inputs)
    options = {mode: True} if mode != "dense" else {}
    if mode == "dense":
        options = random_residual(rng)
    layer = random_layer(rng, (3, 3), inputs, 10, pads=(1, 1), **options)
    assembler = Assembler(parse_array(array))
    on_chip = (6, 1, 16) if mode == "packed" else x.shape
    source = assembler.image(*on_chip)
    assembler.load(source)
    given = {"x": x.reshape(on_chip)}
    operand = None
    if "tables" in options:
        given["r"] = random_image(rng, 6, 8, 10)
        operand = assembler.image(6, 8, 10, bank=1)
        assembler.load(operand, "r")
    results = expected(layer, x, given.get("r")).astype(int)
    if window is None:
        rows = cols = 1
        pool = {"pool": Pool.AVERAGE, "pool_multiplier": 43691, "pool_shift": 5}  # 2**21 / 48
        total = results.sum(axis=(0, 1))
        wanted = (np.sign(total) * ((abs(total) + 24) // 48))[None, None]
    else:
        (high, wide), rows, cols = window, 6 // window[0], 8 // window[1]
        pool = {"pool": Pool.MAX, "pool_rows": high, "pool_cols": wide}
        wanted = np.zeros((rows, cols, 10), int)
        for y, column in np.ndindex(rows, cols):
            wanted[y, column] = results[y * high : (y + 1) * high, column * wide : (column + 1) * wide].max(axis=(0, 1))
    target = assembler.image(rows, cols, 10, bank=3)
    assembler.layer(layer, source, target, residual=operand, pool=pool)
    assembler.store(target)
    result = run(assembler.end(), **given)
    np.testing.assert_array_equal(result.outputs["y"][0], wanted)


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("seed", range(8))
def test_depthwise(array: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *array.encode()])
    kernel = tuple(int(n) for n in rng.integers(1, 6, 2))
    channels = int(rng.integers(1, min(40, 5 * parse_array(array).vector // 2)))
    layer = random_layer(
        rng, kernel, 1, channels, stride=tuple(int(n) for n in rng.integers(1, 4, 2)),
        pads=tuple(int(rng.integers(n)) for n in kernel), depthwise=True,
    )  # fmt: skip
    x = random_image(rng, int(rng.integers(5, 8)), int(rng.integers(5, 8)), channels)
    check(array, layer, x, source=int(rng.integers(4)), target=int(rng.integers(4)))


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("seed", range(8))
def test_packed(array: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *array.encode()])
    kernel = tuple(int(n) for n in rng.integers(1, 6, 2))
    inputs, outputs = int(rng.integers(1, 5)), int(rng.integers(1, 20))
    most = 1 + min(3, parse_array(array).vector // inputs)
    layer = random_layer(
        rng, kernel, inputs, outputs, stride=(int(rng.integers(1, 4)), int(rng.integers(1, most))),
        pads=tuple(int(rng.integers(n)) for n in kernel), packed=True,
    )  # fmt: skip
    x = random_image(rng, int(rng.integers(5, 8)), int(rng.integers(5, 8)), inputs)
    check(array, layer, x, source=int(rng.integers(4)), target=int(rng.integers(4)))


@pytest.mark.parametrize("array", ARRAYS)
def test_dilated_depthwise_takes_a_pass_for_each_tap(array: str) -> None:
    rng = np.random.default_rng([*array.encode()])
    layer = random_layer(rng, (3, 3), 1, 5, depthwise=True, dilation=(2, 2), pads=(2, 2))
    check(array, layer, random_image(rng, 6, 7, 5))


@pytest.mark.parametrize("array", ARRAYS)
def test_max_pool(array: str) -> None:
    rng = np.random.default_rng([*array.encode()])
    ones = np.ones((3, 2, 1, 7), np.int8)
    layer = Layer(
        ones, np.zeros(7, int), np.full(7, 1 << 30), np.full(7, 30), stride=(2, 2), pads=(1, 1), pad=-128,
        depthwise=True, combine=Combine.MAX,
    )  # fmt: skip
    check(array, layer, random_image(rng, 5, 6, 7))


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("seed", range(3))
def test_residual_behind_a_convolution(array: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *array.encode()])
    layer = random_layer(rng, (3, 3), 5, 9, pads=(1, 1), **random_residual(rng))
    banks = {name: int(rng.integers(4)) for name in ("source", "residual", "target")}
    check(array, layer, random_image(rng, 4, 5, 5), random_image(rng, 4, 5, 9), **banks)


@pytest.mark.parametrize("array", ARRAYS)
def test_residual_behind_a_depthwise_convolution_has_a_bank_of_its_own(array: str) -> None:
    rng = np.random.default_rng([*array.encode()])
    layer = random_layer(rng, (3, 3), 1, 9, pads=(1, 1), depthwise=True, **random_residual(rng))
    x, operand = random_image(rng, 5, 4, 9), random_image(rng, 5, 4, 9)
    rows = parse_array(array).rows // 3
    if rows >= 3:  # rows y-1, y, y+1 lie in banks 3, 0, 1 at y = 0
        check(array, layer, x, operand, residual=2)
        for bank in (0, 1, 3):
            with pytest.raises(InterpreterError, match=r"instruction 4 \(COMPUTE\): output row 0: residual and group"):
                check(array, layer, x, operand, residual=bank)
    else:
        check(array, layer, x, operand, residual=1 + rows)  # the last pass reads rows y + 1 (and y + 2)


@pytest.mark.parametrize("array", ARRAYS)
def test_stand_alone_addition_may_meet_in_a_bank_and_work_in_place(array: str) -> None:
    rng = np.random.default_rng([*array.encode()])
    layer = Layer(
        np.ones((1, 1, 1, 9), np.int8), np.zeros(9, int), np.full(9, 1 << 30), np.full(9, 30), depthwise=True,
        **random_residual(rng),
    )  # fmt: skip
    x, operand = random_image(rng, 5, 4, 9), random_image(rng, 5, 4, 9)
    check(array, layer, x, operand, residual=0)
    assembler = Assembler(parse_array(array))
    source, other = assembler.image(5, 4, 9), assembler.image(5, 4, 9)
    assembler.load(source)
    assembler.load(other, "r")
    assembler.layer(layer, source, other, residual=other)
    assembler.store(other)
    result = run(assembler.end(), x=x, r=operand)
    np.testing.assert_array_equal(result.outputs["y"][0], expected(layer, x, operand))


@pytest.mark.parametrize("rounding", Rounding)
def test_requantize(rounding: Rounding) -> None:
    rng = np.random.default_rng(0)
    edges = [0, 1, -1, 2, -2, 3, -3, (1 << 31) - 1, -(1 << 31)]
    x = np.array([*edges, *rng.integers(-(1 << 31), 1 << 31, 50), *rng.integers(-300, 300, 50)])
    for shift in range(63):
        for multiplier in (0, 1, 1 << 30, (1 << 31) - 1, int(rng.integers(1 << 30, 1 << 31))):
            got = requantize(x, np.array(multiplier), np.array(shift), rounding)
            assert got.tolist() == [scale(int(value), multiplier, shift, rounding) for value in x]


def test_sums_wrap_at_32_bits() -> None:
    ones = np.full((1, 1, 1, 1), 127, np.int8)
    layer = Layer(ones, np.array([(1 << 31) - 100]), np.array([1 << 30]), np.array([54]), depthwise=True)
    check("4x4", layer, np.array([[[0], [1], [127]]], np.int8))


def test_runs_and_loads_fill_pixels_with_zeros() -> None:
    params = parse_array("8x4")
    assembler = Assembler(params)
    image = assembler.image(3, 2, 3, bank=2)
    assembler.load(image)
    for row, place in enumerate([(2, 0), (3, 0), (0, image.row_step)]):
        bank, address = place
        assembler.emit(
            Opcode.STORE, base=Base.OUTPUT, offset=50 - 20 * row, run_bytes=3, runs=2, run_pitch=-7, address=address,
            bank=bank, row_step=0, rows=1, width=2, channels=3,
        )  # fmt: skip
    assembler.outputs.append(TensorInfo("y", (1, 60), "int8", None, 0, Base.OUTPUT, 0))
    x = np.arange(1, 19, dtype=np.int8).reshape(3, 2, 3)
    result = run(assembler.end(), x=x)
    wanted = np.zeros(60, np.int8)
    for row in range(3):
        for pixel in range(2):
            wanted[50 - 20 * row - 7 * pixel :][:3] = x[row, pixel]
    np.testing.assert_array_equal(result.outputs["y"][0], wanted)
    words = result.scratchpad.reshape(4, params.bank_words, params.vector)
    assert words[2, 1].tolist() == [4, 5, 6, 0, 0, 0, 0, 0]


# --- What the contract forbids ----------------------------------------------------------------------------


def small(array: str = "4x4", **extra: Any) -> tuple[Assembler, Layer, Any, Any]:
    """A loaded image of 4 x 4 x 4, a 3 x 3 layer, and room for its result."""
    assembler = Assembler(parse_array(array))
    layer = random_layer(np.random.default_rng(0), (3, 3), 4, 4, pads=(1, 1), **extra)
    source, target = assembler.image(4, 4, 4), assembler.image(4, 4, 4)
    return assembler, layer, source, target


def fails(assembler: Assembler, message: str) -> None:
    program = assembler.end()
    values = {tensor.name: np.zeros(tensor.shape, np.int8) for tensor in program.inputs}
    with pytest.raises(InterpreterError, match=message):
        Interpreter(program, make_memory(program, values)[0]).run()


def test_reads_of_what_nobody_wrote() -> None:
    assembler, layer, source, target = small()
    assembler.load(source)
    wide = Image(5, 4, 4, source.address, source.bank, source.x_step)
    assembler.layer(layer, wide, target)
    fails(assembler, r"instruction 2 \(COMPUTE\): reads bank 0 unit 4, never written")


def test_stores_of_what_nobody_wrote() -> None:
    assembler, _, source, _ = small()
    assembler.store(source)
    fails(assembler, r"instruction 0 \(STORE\): stores bytes that were never written")


def test_weight_stream_empty_leftover_and_out_of_step() -> None:
    assembler, layer, source, target = small()
    assembler.load(source)
    assembler.layer(layer, source, target)
    del assembler.code[1]
    fails(assembler, r"instruction 1 \(COMPUTE\): the weight stream is empty, constants wanted")
    assembler, layer, source, target = small()
    assembler.load(source)
    assembler.layer(layer, source, target)
    assembler.stream(Stream.TILES, bytes(40), blocks=1)
    fails(assembler, r"instruction 4 \(END\): the weight stream has 2 pieces left, next constants")
    assembler, layer, source, target = small()
    assembler.load(source)
    assembler.stream(Stream.TILES, bytes(4 * (9 + 2 * 9)), groups=9, rows=2, last_rows=2)
    assembler.layer(layer, source, target)
    fails(assembler, r"instruction 3 \(COMPUTE\): the weight stream brings a tile of 2 rows, 4 wanted")


def test_accesses_outside_the_memories() -> None:
    assembler, _, source, _ = small()
    assembler.transfer(Opcode.LOAD, source, Base.SCRATCH, 5000)
    fails(assembler, r"instruction 0 \(LOAD\): bytes .* are not in .* of memory")
    assembler, layer, source, _ = small()
    assembler.load(source)
    far = Image(4, 4, 4, 8190, 0, 1)
    assembler.layer(layer, source, far)
    fails(assembler, r"instruction 2 \(COMPUTE\): unit address 819. is beyond a bank of 8192 units")


def test_addresses_that_split_a_vector() -> None:
    assembler = Assembler(parse_array("8x4"))
    layer = random_layer(np.random.default_rng(0), (1, 1), 8, 4)
    source, target = assembler.image(1, 4, 8), assembler.image(1, 4, 4)
    assembler.load(source)
    shifted = Image(1, 3, 8, source.address + 1, 0, 2)
    assembler.layer(layer, shifted, Image(1, 3, 4, target.address, 0, 2))
    fails(assembler, "unit address 1 is not a multiple of a vector")


def test_residual_without_tables_and_tokens_that_point_forward() -> None:
    assembler, layer, source, target = small(**random_residual(np.random.default_rng(0)))
    assembler.load(source)
    without = Layer(**(vars(layer) | {"tables": None}))
    assembler.layer(without, source, target, residual=source)
    fails(assembler, r"instruction 2 \(COMPUTE\): residual without tables")
    assembler, layer, source, target = small()
    assembler.load(source, waits={"wait_compute": 1})
    fails(assembler, r"instruction 0 \(LOAD\): waits for 1, but only 0 came before")


def test_rectangles_deeper_than_the_accumulator() -> None:
    assembler = Assembler(parse_array("4x4"))
    source, target = assembler.image(24, 24, 4), assembler.image(24, 24, 4)
    assembler.load(source)
    assembler.layer(random_layer(np.random.default_rng(0), (1, 1), 4, 4), source, target)
    assembler.layer(random_layer(np.random.default_rng(0), (3, 3), 4, 4, pads=(1, 1)), source, target)
    fails(assembler, r"instruction 4 \(COMPUTE\): out_rows: 576 pixels in 9 passes exceed the accumulator's depth")


def test_hook_and_end() -> None:
    assembler, layer, source, target = small()
    assembler.load(source)
    assembler.layer(layer, source, target)
    program = assembler.end()
    seen: list[tuple[int, Opcode]] = []
    memory, bases = make_memory(program, {"x": np.zeros((1, 4, 4, 4), np.int8)})
    Interpreter(program, memory, bases, hook=lambda index, opcode, _: seen.append((index, opcode))).run()
    assert seen == list(enumerate([Opcode.LOAD, Opcode.WEIGHTS, Opcode.COMPUTE, Opcode.END]))
