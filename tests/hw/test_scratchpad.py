"""The scratchpad against four lists of words: every port at once, in random order."""

import random

import pytest
from tilewright.hw.params import BANKS
from tilewright.hw.scratchpad import Scratchpad

from .test_axi import simulate

WORDS = 8  # few: the same word is hit often


def _masked(old: int, new: int, mask: int, units: int, vector: int) -> int:
    width = 8 * vector // units
    kept = sum(((1 << width) - 1) << (n * width) for n in range(units) if not mask >> n & 1)
    return old & kept | new & ~kept


@pytest.mark.parametrize(("vector", "units", "ports"), [(4, 1, 4), (8, 2, 4), (8, 8, 1), (4, 1, 2)])
def test_all_ports_at_random(vector: int, units: int, ports: int) -> None:
    """Words follow their reads after LATENCY, stores and loads wait exactly while a bank is taken, masks hold."""
    rng = random.Random(vector * units)
    dut = Scratchpad(words=WORDS, vector=vector, units=units, ports=ports)
    # None: not known, either never written or written in the cycle of the read.
    banks: list[list[int | None]] = [[None] * WORDS for _ in range(BANKS)]
    counts = dict.fromkeys(("words", "reads", "held reads", "loads", "held loads"), 0)

    def word() -> int:
        return rng.getrandbits(8 * vector)

    async def testbench(ctx):
        load = read = None  # what waits at the streams
        words: dict[int, list[int | None]] = {}  # per cycle, what the ports show
        answers: dict[int, int | None] = {}  # per cycle, what STORE gets
        assert Scratchpad.RESULT_LATENCY == 1
        result, mask, writes = {}, 0, False  # of the cycle before: what is written now
        for cycle in range(1000):
            if cycle in words:
                for port, value in enumerate(words.pop(cycle)):
                    assert value is None or ctx.get(dut.words[port]) == value
                    counts["words"] += value is not None
            answer = answers.pop(cycle, None)
            assert answer is None or ctx.get(dut.read_data) == answer

            taken = rng.sample(range(BANKS), ports)
            enabled = [rng.random() < 0.6 for _ in range(ports)]
            places = [{"bank": bank, "address": rng.randrange(WORDS)} for bank in taken]
            for port, place, on in zip(dut.ports, places, enabled, strict=True):
                # A port that rests may show any place, also one of a bank in use.
                ctx.set(port.en, on)
                ctx.set(port.place, place if on else {"bank": rng.randrange(BANKS), "address": rng.randrange(WORDS)})
            if read is None and rng.random() < 0.7:
                read = {"bank": rng.randrange(BANKS), "address": rng.randrange(WORDS)}
            if load is None and rng.random() < 0.7:
                load = {"bank": rng.randrange(BANKS), "address": rng.randrange(WORDS), "data": word()}
            coming = {"bank": rng.randrange(BANKS), "address": rng.randrange(WORDS), "data": word()}
            coming_mask = rng.getrandbits(units)
            comes = rng.random() < 0.5
            ctx.set(dut.reads.valid, read is not None)
            ctx.set(dut.reads.payload, read or {"bank": rng.randrange(BANKS)})
            ctx.set(dut.loads.valid, load is not None)
            ctx.set(dut.loads.payload, load or {"bank": rng.randrange(BANKS), "data": word()})
            ctx.set(dut.result_en, comes)
            ctx.set(dut.results, coming)
            ctx.set(dut.result_mask, coming_mask)

            busy = {bank for bank, on in zip(taken, enabled, strict=True) if on}
            written = set()
            takes_load = load is not None and not (writes and result["bank"] == load["bank"])
            if load is not None:
                assert ctx.get(dut.loads.ready) == takes_load
            if writes:
                written.add((result["bank"], result["address"]))
            if takes_load:
                written.add((load["bank"], load["address"]))

            def look(place: dict, written=written) -> int | None:
                where = place["bank"], place["address"]
                return None if where in written else banks[where[0]][where[1]]

            words[cycle + Scratchpad.LATENCY] = [
                look(place) if on else None for place, on in zip(places, enabled, strict=True)
            ]
            if read is not None:
                assert ctx.get(dut.reads.ready) == (read["bank"] not in busy)
                counts["held reads"] += read["bank"] in busy
                if read["bank"] not in busy:
                    answers[cycle + Scratchpad.STORE_LATENCY] = look(read)
                    counts["reads"] += answers[cycle + Scratchpad.STORE_LATENCY] is not None
                    read = None
            if writes:
                bank, address = result["bank"], result["address"]
                old = banks[bank][address]
                if old is not None or mask == (1 << units) - 1:
                    banks[bank][address] = _masked(old or 0, result["data"], mask, units, vector)
            counts["held loads"] += load is not None and not takes_load
            if takes_load:
                banks[load["bank"]][load["address"]] = load["data"]
                counts["loads"] += 1
                load = None
            result, mask, writes = coming, coming_mask, comes
            await ctx.tick()

    simulate(dut, [testbench])
    assert min(counts.values()) > 20, counts


def test_everything_in_one_cycle() -> None:
    """Three ports, a store read, a result and a load are served in the same cycle if their banks allow it."""
    dut = Scratchpad(words=WORDS, vector=4, units=1)

    async def testbench(ctx):
        ctx.set(dut.loads.valid, 1)
        for bank in range(BANKS):
            ctx.set(dut.loads.payload, {"bank": bank, "address": 5, "data": 0x11111111 * (bank + 1)})
            assert ctx.get(dut.loads.ready)
            await ctx.tick()
        for port in range(3):
            ctx.set(dut.ports[port].en, 1)
            ctx.set(dut.ports[port].place, {"bank": (port + 1) % 3, "address": 5})
        ctx.set(dut.reads.valid, 1)
        ctx.set(dut.reads.payload, {"bank": 3, "address": 5})
        ctx.set(dut.result_en, 1)
        ctx.set(dut.result_mask, 1)
        ctx.set(dut.results, {"bank": 0, "address": 2, "data": 0xAAAAAAAA})
        ctx.set(dut.loads.payload, {"bank": 1, "address": 2, "data": 0xBBBBBBBB})
        assert ctx.get(dut.reads.ready) and ctx.get(dut.loads.ready)
        await ctx.tick()
        ctx.set(dut.result_en, 0)
        ctx.set(dut.loads.valid, 0)
        ctx.set(dut.reads.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.read_data) == 0x44444444
        for port in range(2):
            ctx.set(dut.ports[port].place, {"bank": port, "address": 2})
        ctx.set(dut.ports[2].en, 0)
        await ctx.tick()
        assert [ctx.get(dut.words[port]) for port in range(3)] == [0x22222222, 0x33333333, 0x11111111]
        await ctx.tick().repeat(2)
        assert [ctx.get(dut.words[port]) for port in range(2)] == [0xAAAAAAAA, 0xBBBBBBBB]

    simulate(dut, [testbench])
