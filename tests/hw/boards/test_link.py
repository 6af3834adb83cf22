"""The link's packet engine, byte by byte: every command, damage at every place, repeats, silence, odd timing.

Frames are made here as docs/link.md has them, with Python's own CRC-32.
"""

import random
import struct
import zlib

import pytest
from amaranth.sim import Simulator
from tilewright.hw.boards.link import Link

FLAG, ESCAPE = 0x7E, 0x7D
IDENTITY, READ_REGISTERS, READ_MEMORY, WRITE_REGISTERS, WRITE_MEMORY = 0x00, 0x01, 0x02, 0x11, 0x12
OK, BUS, TIMEOUT, REQUEST = range(4)


def frame(*words: int) -> bytes:
    body = struct.pack(f"<{len(words)}I", *words)
    body += zlib.crc32(body).to_bytes(4, "little")
    inside = b"".join(bytes([ESCAPE, byte ^ 0x20]) if byte in (FLAG, ESCAPE) else bytes([byte]) for byte in body)
    return bytes([FLAG]) + inside + bytes([FLAG])


def request(command: int, sequence: int, address: int, data: list[int] | int) -> bytes:
    """A write of data, or a read of as many words."""
    words, content = (data, []) if isinstance(data, int) else (len(data), data)
    return frame(command | sequence << 8 | words << 16, address, *content)


def unframe(line: bytes) -> list[list[int]]:
    """The frames on a line; every one must be whole."""
    frames = []
    for inside in filter(None, line.split(bytes([FLAG]))):
        body, escaped = bytearray(), False
        for byte in inside:
            if byte == ESCAPE:
                escaped = True
            else:
                body.append(byte ^ 0x20 if escaped else byte)
                escaped = False
        assert zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "little")
        frames.append(list(struct.unpack(f"<{len(body) // 4 - 1}I", body[:-4])))
    return frames


def reply(command: int, sequence: int, data: list[int], status: int = OK) -> list[int]:
    return [command | 0x80 | sequence << 8 | len(data) << 16, *data, status]


class Bench:
    """A link between a line and two stores of words that answer after a while, or from ``mute`` on not at all."""

    def __init__(self, seed: int = 0, **options: int):
        self.rng = random.Random(seed)
        self.link = Link(memory_bytes=4096, clock_hz=8_000_000, **{"slot_words": 16, "patience": 6} | options)
        self.memory: dict[int, int] = {}
        self.registers: dict[int, int] = {4: 0x7E7D007E}
        self.writes: list[tuple[str, int, int]] = []
        self.mute = False
        self.out = bytearray()

    def store(self, name: str):
        port, words = getattr(self.link, name), getattr(self, name)

        async def bench(ctx):
            while True:
                ctx.set(port.requests.ready, 1)
                valid = False
                while not valid:
                    *_, valid, payload = await ctx.tick().sample(port.requests.valid, port.requests.payload)
                ctx.set(port.requests.ready, 0)
                await ctx.tick().repeat(self.rng.randint(1, 4))
                while self.mute:
                    await ctx.tick()
                error = payload.address >= 4096 or (name == "registers" and payload.address not in (4, 8))
                if payload.write and not error:
                    words[payload.address] = payload.data
                    self.writes.append((name, payload.address, payload.data))
                ctx.set(port.reply, {"data": words.get(payload.address, 0), "error": error})
                ctx.set(port.reply_valid, 1)
                await ctx.tick()
                ctx.set(port.reply_valid, 0)

        return bench

    async def listen(self, ctx):
        while True:
            ctx.set(self.link.tx.ready, self.rng.random() < 0.6)
            *_, valid, ready, byte = await ctx.tick().sample(
                self.link.tx.valid, self.link.tx.ready, self.link.tx.payload
            )
            if valid and ready:
                self.out.append(byte)

    async def send(self, ctx, line: bytes, errors: tuple[int, ...] = ()):
        """Bytes at odd times; those at ``errors`` arrive with a broken stop bit."""
        for place, byte in enumerate(line):
            if self.rng.random() < 0.2:
                await ctx.tick().repeat(self.rng.randint(1, 30))
            ctx.set(self.link.rx.payload, {"data": byte, "error": place in errors})
            ctx.set(self.link.rx.valid, 1)
            await ctx.tick().until(self.link.rx.ready)
            ctx.set(self.link.rx.valid, 0)

    async def replies(self, ctx, line: bytes, wait: int = 1500, errors: tuple[int, ...] = ()) -> list[list[int]]:
        """What comes back for these bytes."""
        del self.out[:]
        await self.send(ctx, line, errors)
        await ctx.tick().repeat(wait)
        return unframe(bytes(self.out))

    def run(self, testbench):
        simulator = Simulator(self.link)
        simulator.add_clock(1e-6)
        for bench in (self.store("registers"), self.store("memory"), self.listen):
            simulator.add_testbench(bench, background=True)
        simulator.add_testbench(testbench)
        simulator.run()


@pytest.mark.parametrize("seed", range(3))
def test_commands(seed: int):
    bench = Bench(seed)
    words = [bench.rng.randrange(1 << 32) for _ in range(11)] + [0x7E7E7E7E, 0x7D5E7D7E]

    async def testbench(ctx):
        magic = int.from_bytes(b"TLWL", "little")
        identity = [magic, 1 | 2 << 8 | 16 << 16, 4096, 8_000_000]
        assert await bench.replies(ctx, request(IDENTITY, 0, 0, 4)) == [reply(IDENTITY, 0, identity)]
        assert await bench.replies(ctx, request(WRITE_MEMORY, 1, 64, words)) == [reply(WRITE_MEMORY, 1, [])]
        assert bench.memory == {64 + 4 * n: word for n, word in enumerate(words)}
        assert await bench.replies(ctx, request(READ_MEMORY, 2, 64, 13), 2000) == [reply(READ_MEMORY, 2, words)]
        assert await bench.replies(ctx, request(WRITE_REGISTERS, 3, 8, [5])) == [reply(WRITE_REGISTERS, 3, [])]
        both = reply(READ_REGISTERS, 4, [0x7E7D007E, 5])
        assert await bench.replies(ctx, request(READ_REGISTERS, 4, 4, 2)) == [both]
        assert await bench.replies(ctx, request(READ_MEMORY, 5, 0, 0)) == [reply(READ_MEMORY, 5, [])]

    bench.run(testbench)


def test_errors_of_accesses():
    bench = Bench()

    async def testbench(ctx):
        (answer,) = await bench.replies(ctx, request(READ_MEMORY, 1, 4092, 3))
        assert (answer[0], answer[-1]) == (reply(READ_MEMORY, 1, [0] * 3)[0], BUS)
        assert await bench.replies(ctx, request(WRITE_MEMORY, 2, 4092, [1, 2, 3])) == [reply(WRITE_MEMORY, 2, [], BUS)]
        assert bench.writes == [("memory", 4092, 1)]
        assert await bench.replies(ctx, request(WRITE_REGISTERS, 3, 12, [1])) == [reply(WRITE_REGISTERS, 3, [], BUS)]
        (answer,) = await bench.replies(ctx, request(IDENTITY, 4, 16, 1))
        assert answer[-1] == BUS

    bench.run(testbench)


def test_requests_that_make_no_sense():
    bench = Bench()

    async def testbench(ctx):
        for sequence, command in enumerate((0x03, 0x10, 0x13, 0x04, 0x21, 0x82, 0xFF)):
            answer = await bench.replies(ctx, request(command, sequence, 64, [1]))
            assert answer == [reply(command, sequence, [], REQUEST)]
        header = WRITE_MEMORY | 9 << 8
        for words in (0, 2, 0xFFFF):  # with one word in the frame
            answer = await bench.replies(ctx, frame(header | words << 16, 64, 1))
            assert answer == [reply(WRITE_MEMORY, 9, [], REQUEST)]
        assert await bench.replies(ctx, frame(READ_MEMORY | 1 << 16, 64, 1)) == [reply(READ_MEMORY, 0, [], REQUEST)]
        assert await bench.replies(ctx, frame(header, 64)[:-6]) == []
        assert await bench.replies(ctx, frame(header)) == []  # no address
        assert await bench.replies(ctx, request(WRITE_MEMORY, 9, 0, [1] * 14)) == []  # longer than a slot
        assert not bench.writes
        assert await bench.replies(ctx, request(WRITE_MEMORY, 9, 0, [1] * 13)) == [reply(WRITE_MEMORY, 9, [])]

    bench.run(testbench)


def test_damage_at_every_place():
    """A flipped bit, a lost byte, one too many, a broken stop bit: no answer, no access, and the next frame is whole."""
    bench = Bench()
    whole = request(WRITE_MEMORY, 7, 64, [0x7E001234])
    rng = random.Random(1)

    async def testbench(ctx):
        for place in range(len(whole)):
            after = whole[place + 1 :]
            flipped = whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + after
            lost = whole[:place] + after
            added = whole[:place] + bytes([rng.randrange(256)]) + whole[place:]
            for line in (flipped, lost, added):
                same = line.strip(b"\x7e") == whole.strip(b"\x7e")
                answer = await bench.replies(ctx, line, 300 if same or place == 0 else 60)
                # Without its first flag a frame is whole if the line was quiet; without its last it ends with the next.
                assert answer == [] or (answer == [reply(WRITE_MEMORY, 7, [])] and (same or place == 0))
                assert bench.writes == [("memory", 64, 0x7E001234)] * len(answer)
                await bench.replies(ctx, bytes([FLAG]), 60 if line.endswith(b"\x7e") else 300)
                assert set(bench.writes) <= {("memory", 64, 0x7E001234)}
                bench.writes.clear()
            if 0 < place < len(whole) - 1:
                assert await bench.replies(ctx, whole, 60, errors=(place,)) == []
                assert bench.writes == []
            assert await bench.replies(ctx, whole, 300) == [reply(WRITE_MEMORY, 7, [])]
            assert bench.writes == [("memory", 64, 0x7E001234)]
            bench.writes.clear()

    bench.run(testbench)


def test_noise_never_writes():
    bench = Bench(5)

    async def testbench(ctx):
        await bench.send(ctx, bytes(bench.rng.choice([FLAG, ESCAPE, *range(256)]) for _ in range(700)))
        await bench.replies(ctx, bytes([FLAG]))
        assert not bench.writes
        assert await bench.replies(ctx, request(WRITE_MEMORY, 9, 0, [1])) == [reply(WRITE_MEMORY, 9, [])]

    bench.run(testbench)


def test_a_register_write_that_is_repeated_happens_once():
    bench = Bench()
    start, again = request(WRITE_REGISTERS, 7, 8, [1]), [reply(WRITE_REGISTERS, 7, [])]

    async def testbench(ctx):
        for _ in range(3):
            assert await bench.replies(ctx, start) == again
        assert len(bench.writes) == 1
        await bench.replies(ctx, request(READ_REGISTERS, 8, 8, 1))
        assert await bench.replies(ctx, start) == again  # after another request it is a new one
        assert len(bench.writes) == 2
        assert await bench.replies(ctx, request(WRITE_REGISTERS, 8, 8, [1])) == [reply(WRITE_REGISTERS, 8, [])]
        assert len(bench.writes) == 3
        for _ in range(2):  # the status is repeated as well
            wrong = await bench.replies(ctx, request(WRITE_REGISTERS, 9, 40, [1]))
            assert wrong == [reply(WRITE_REGISTERS, 9, [], BUS)]

    bench.run(testbench)


def test_two_requests_wait_and_a_third_is_lost():
    bench = Bench(patience=11)

    async def testbench(ctx):
        bench.mute = True
        line = b"".join(request(WRITE_MEMORY, n, 64 * n, [n]) for n in range(3))
        answers = await bench.replies(ctx, line, 6000)
        assert [answer[0] >> 8 & 0xFF for answer in answers] == [0, 1]
        bench.mute = False
        assert await bench.replies(ctx, request(WRITE_MEMORY, 3, 0, [3])) == [reply(WRITE_MEMORY, 3, [])]

    bench.run(testbench)


def test_what_never_answers_is_given_up():
    bench = Bench()

    async def testbench(ctx):
        bench.mute = True
        for sequence in range(3):
            answer = await bench.replies(ctx, request(READ_MEMORY, sequence, 0, 3))
            assert answer == [reply(READ_MEMORY, sequence, [0, 0, 0], TIMEOUT)]
            answer = await bench.replies(ctx, request(WRITE_MEMORY, sequence, 0, [1, 2]))
            assert answer == [reply(WRITE_MEMORY, sequence, [], TIMEOUT)]
        bench.mute = False
        await ctx.tick().repeat(20)
        bench.memory[0] = 6
        assert await bench.replies(ctx, request(READ_MEMORY, 7, 0, 1)) == [reply(READ_MEMORY, 7, [6])]

    bench.run(testbench)
