"""The cycle model against counts by hand. The latencies are named, so the arithmetic can be followed."""

import dataclasses

import numpy as np
import pytest
from tilewright.hw.accumulator import Accumulator
from tilewright.hw.compute import ComputeEngine
from tilewright.hw.feeder import Feeder
from tilewright.hw.isa import Opcode, Pool, Stream
from tilewright.hw.legality import verify_program
from tilewright.hw.params import Parameters, parse_array
from tilewright.hw.pe import ProcessingElement
from tilewright.hw.postprocess import PostProcessor
from tilewright.hw.program import Program
from tilewright.sim.cycles import Prediction, predict
from tilewright.sim.latencies import Latencies, MemoryModel

from .assembler import Assembler, Image, Layer, random_layer

L = Latencies()
RNG = np.random.default_rng(0)
FIRST_BEAT = L.turn + L.request + 20 + L.beat
"""Cycles from a request to the first beat at its client."""

REALIGNED = 3
"""Cycles from the way of a vector out of the ring to its write: two registers, and the write itself."""

FIRST_STORED = L.store_read + L.store_queue + L.store_ring + L.store_out


def predicted(assembler: Assembler, **options: int) -> Prediction:
    program = assembler.end()
    verify_program(program)
    result = predict(program, MemoryModel(**options))
    assert sum(result.counters.values()) == result.total == result.completions[-1]
    return result


def handed_out(index: int, beats: int = 4) -> int:
    """The cycle in which instruction `index` leaves its gate, if nothing holds it up; `beats` per instruction."""
    return L.start + FIRST_BEAT + beats - 1 + L.fifo + L.late + L.dispatch + index * (beats + L.dispatch) + L.gate


def test_end_alone() -> None:
    result = predicted(Assembler(parse_array("16x16")))
    assert result.total == handed_out(0) - L.gate + L.end + L.finish
    assert result.counters["idle"] == result.total
    assert predicted(Assembler(parse_array("16x16")), latency=100).total == result.total + 80


def loaded(array: str, shape: tuple[int, int, int], **options: int) -> int:
    """Cycles from a LOAD's gate to its token."""
    assembler = Assembler(parse_array(array))
    assembler.load(assembler.image(*shape))
    beats = 64 // assembler.params.axi_bytes
    latency = options.get("latency", 20)
    return predicted(assembler, **options).completions[0] - handed_out(0, beats) - latency + 20


def test_load_of_whole_vectors_takes_a_cycle_per_beat() -> None:
    # A request per cycle after the split; the fetch of END's 4 beats is over by then.
    overhead = L.split + FIRST_BEAT + L.fifo + L.late + L.ring + REALIGNED + L.loaded
    assert loaded("16x16", (1, 10, 16)) == overhead + 9
    assert loaded("16x16", (8, 8, 16)) == overhead + 63
    assert loaded("8x8", (8, 8, 8)) == overhead + 63
    assert loaded("16x16", (8, 8, 16), latency=50) == overhead + 63 + 30


def test_load_of_short_pixels_takes_a_cycle_per_vector() -> None:
    # 100 pixels of 3 bytes: 19 beats, but 100 vectors; five of them end in the first beat.
    overhead = L.split + FIRST_BEAT + L.fifo + L.late + L.ring + REALIGNED + L.loaded
    assert loaded("16x16", (10, 10, 3)) == overhead + 99


def test_bandwidth() -> None:
    whole, half = (loaded("16x16", (16, 16, 16), bandwidth=percent) for percent in (100, 50))
    assert half - whole == pytest.approx(255, abs=8)


def computed(array: str, layers: list[tuple[Layer, Image, Image]]) -> tuple[Program, Prediction]:
    """Layers one after the other on images that were loaded before; the weight stream is far ahead."""
    params = dataclasses.replace(parse_array(array), weight_fifo_bytes=1 << 15)
    assembler = Assembler(params)
    everywhere = Image(64, 64, 4, 0, 0, params.units)
    assembler.load(everywhere)
    nothing = {"wait_compute": 0, "wait_store": 0}
    for layer, source, target in layers:
        assembler.layer(layer, source, target, waits=nothing)
    program = assembler.end()
    return program, predict(program)


def compute_tokens(program: Program, result: Prediction) -> list[int]:
    opcodes = [opcode for opcode, _ in program.decoded()]
    return [cycle for opcode, cycle in zip(opcodes, result.completions, strict=True) if opcode is Opcode.COMPUTE]


def test_passes_follow_each_other_without_a_gap() -> None:
    # 2 blocks of 9 passes of 64 steps each.
    layer = random_layer(RNG, (3, 3), 16, 32, pads=(1, 1))
    source, target = Image(8, 8, 16, 0, 0, 1), Image(8, 8, 32, 500, 0, 2)
    program, result = computed("16x16", [(layer, source, target)] * 3)
    first, second, third = compute_tokens(program, result)
    assert second - first == third - second == 2 * 9 * 64
    assert result.counters["active"] == 3 * 2 * 9 * 64
    assert result.counters["wait_weights"] == 1
    assert result.counters["wait_output"] == 0


def test_latency_of_a_computation() -> None:
    layer = random_layer(RNG, (1, 1), 16, 16)
    source, target = Image(8, 8, 16, 0, 0, 1), Image(8, 8, 16, 500, 0, 1)
    program, result = computed("16x16", [(layer, source, target)])
    waited = result.completions[0]  # the LOAD of 4096 pixels takes longer than all weights
    start = waited + L.compute
    array = ComputeEngine.ISSUE + Feeder.LATENCY + 16 + 16 - 2 + ProcessingElement.LATENCY + Accumulator.LATENCY
    latency = array + PostProcessor.latency(residual=True) + L.token
    assert compute_tokens(program, result) == [start + 63 + latency]
    assert result.counters["wait_input"] == waited - handed_out(2)
    # The cycle of the gate is idle, the walker prepares, and the first pass is there a cycle before its first step.
    assert (result.counters["wait_tokens"], result.counters["wait_weights"]) == (L.compute - 2, 1)


def test_a_mean_comes_when_all_columns_are_divided() -> None:
    layer = random_layer(RNG, (1, 1), 16, 8)
    source = Image(8, 8, 16, 0, 0, 2)
    tokens = []
    for size, pool in (
        (8, None),
        (4, {"pool": Pool.MAX, "pool_rows": 2, "pool_cols": 2}),
        (1, {"pool": Pool.AVERAGE, "pool_multiplier": 32769, "pool_shift": 5}),
    ):
        assembler = Assembler(dataclasses.replace(parse_array("16x8"), weight_fifo_bytes=1 << 15))
        assembler.load(Image(8, 8, 16, 0, 0, 2))
        assembler.layer(layer, source, Image(size, size, 8, 500, 0, 2), pool=pool)
        program = assembler.end()
        verify_program(program)
        (token,) = compute_tokens(program, predict(program))
        tokens.append(token)
    assert [token - tokens[0] for token in tokens] == [0, 0, 8 + 2]


@pytest.mark.parametrize(("pixels", "rows", "period"), [(40, 16, 40), (5, 16, 16), (5, 3, 5), (1, 2, Accumulator.REUSE)])
def test_a_pass_takes_its_steps_or_its_weights_or_the_reuse(pixels: int, rows: int, period: int) -> None:
    def done(taps: int) -> int:
        source, target = Image(1, pixels + taps - 1, rows, 0, 0, 1), Image(1, pixels, 16, 500, 0, 1)
        _, result = computed("16x16", [(random_layer(RNG, (1, taps), rows, 16), source, target)])
        return result.completions[2] - result.completions[0]  # the weights slow down the LOAD

    assert done(100) - done(50) == 50 * period


def test_weights_that_come_from_the_bus() -> None:
    # A fully connected layer: 8 blocks of 1 pass of 16 rows, 25 vectors a block, a beat each.
    assembler = Assembler(parse_array("16x16"))
    source, target = assembler.image(1, 1, 16), assembler.image(1, 1, 128)
    assembler.load(source)
    assembler.layer(random_layer(RNG, (1, 1), 16, 128), source, target)
    result = predicted(assembler)
    assert result.completions[1] - (handed_out(1) + L.split + FIRST_BEAT + L.weights) == pytest.approx(8 * 25, abs=8)
    start = result.completions[1] + 1
    assert result.completions[2] == start + L.result(assembler.params)
    assert result.counters["active"] == 8


def test_passes_with_a_shorter_lead_are_kept_apart() -> None:
    source, target = Image(6, 6, 4, 0, 0, 1), Image(6, 6, 4, 500, 0, 1)
    wide = random_layer(RNG, (1, 5), 1, 4, pads=(0, 2), depthwise=True)  # leads 2 and 0
    program, result = computed("4x4", [(wide, source, target)] * 2)
    first, second = compute_tokens(program, result)
    assert second - first == 36 + 36 + 2
    narrow = random_layer(RNG, (1, 3), 1, 4, pads=(0, 1), depthwise=True)  # lead 1, and a smaller group
    program, result = computed("4x4", [(wide, source, target), (narrow, source, target)])
    first, second = compute_tokens(program, result)
    assert second - first == 36 + 4


def test_store() -> None:
    assembler = Assembler(parse_array("16x16"))
    image = assembler.image(8, 8, 16)
    assembler.load(image)
    assembler.store(image)
    result = predicted(assembler)
    assert result.completions[1] - result.completions[0] == FIRST_STORED + 63 + 4 + L.token
    assert predicted(_again(assembler), write_latency=30).total == result.total + 26


def _again(assembler: Assembler) -> Assembler:
    """The same program, without its END."""
    assembler.code.pop()
    return assembler


def test_tables_take_a_cycle_per_pair() -> None:
    def cycles(array: str) -> int:
        assembler = Assembler(parse_array(array))
        assembler.stream(Stream.TABLES, bytes(2048))
        return predicted(assembler).completions[0]

    # 128 beats of 16 bytes bring 256 pairs at 16x16; at 8x8 256 beats of 8.
    overhead = handed_out(0) + L.split + FIRST_BEAT + L.weights
    assert cycles("16x16") == pytest.approx(overhead + 255, abs=3)
    assert cycles("8x8") == pytest.approx(overhead + 4 + 255, abs=3)


def test_a_weight_fifo_that_is_full_stops_the_bus() -> None:
    """The stream of a layer that is not needed yet comes only as far as the FIFO holds it."""
    assembler = Assembler(Parameters(rows=16, cols=16, weight_fifo_bytes=1024))
    source, target = assembler.image(16, 16, 16), assembler.image(16, 16, 16)
    assembler.load(source)
    assembler.layer(random_layer(RNG, (3, 3), 16, 16, pads=(1, 1)), source, target)
    result = predicted(assembler)
    starts = result.completions[0] + L.compute
    assert result.completions[2] == starts + 9 * 256 - 1 + L.result(assembler.params)
    assert result.completions[1] == starts + 7 * 256 + 15  # the last tile enters as the pass before it starts
    assert result.counters["wait_weights"] == 1


def test_programs_that_never_end_are_refused() -> None:
    assembler = Assembler(parse_array("4x4"))
    image = assembler.image(2, 2, 4)
    assembler.load(image)
    assembler.layer(random_layer(RNG, (1, 1), 4, 4), image, image)
    del assembler.code[1]
    with pytest.raises(ValueError, match="does not end"):
        predict(assembler.end())
