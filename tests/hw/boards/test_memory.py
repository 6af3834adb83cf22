"""Memory on the chip against plain bytes: random bursts on both channels, words in between, stalls, and beyond the end."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator
from tilewright.hw.boards.memory import OnChipMemory

OKAY, SLVERR = 0, 2
KIB = 12
PAGE = 4096


class Master:
    """Both halves of an AXI4 master, and the link, each with stalls of its own. They keep to pages of their own."""

    def __init__(self, axi_bits: int, seed: int, stall: float):
        self.dut = OnChipMemory(KIB, axi_bits)
        self.beat = axi_bits // 8
        self.rng = random.Random(seed)
        self.stall = stall
        self.content = bytearray(KIB * 1024)
        self.reads: deque = deque()  # what is still to come on R
        self.read_cycles = 0

    def pauses(self) -> bool:
        return self.rng.random() < self.stall

    def burst(self, page: int) -> tuple[int, int]:
        beats = PAGE // self.beat
        first = self.rng.randrange(beats)
        return page * PAGE + first * self.beat, self.rng.randint(1, min(16, beats - first))

    async def offer(self, ctx, prefix: str, **values: int):
        while self.pauses():
            await ctx.tick()
        for name, value in values.items():
            ctx.set(getattr(self.dut.axi, f"{prefix}{name}"), value)
        ctx.set(getattr(self.dut.axi, f"{prefix}valid"), 1)
        await ctx.tick().until(getattr(self.dut.axi, f"{prefix}ready"))
        ctx.set(getattr(self.dut.axi, f"{prefix}valid"), 0)

    async def address(self, ctx, prefix: str, address: int, beats: int, identifier: int = 0, **values: int):
        fields = {"size": self.beat.bit_length() - 1, "burst": 1, "id": identifier} | values
        await self.offer(ctx, prefix, addr=address, len=beats - 1, **fields)

    async def write(self, ctx, address: int, beats: int, identifier: int = 0, **values: int) -> int:
        """Write random beats with random strobes, and into ``content``; the response."""
        await self.address(ctx, "aw", address, beats, identifier, **values)
        for n in range(beats):
            data, strobes = self.rng.randbytes(self.beat), self.rng.getrandbits(self.beat)
            await self.offer(
                ctx, "w", data=int.from_bytes(data, "little"), strb=strobes, last=int(n == beats - 1)
            )
            for byte in range(self.beat):
                at = address + n * self.beat + byte
                if strobes >> byte & 1 and at < len(self.content) and not values:
                    self.content[at] = data[byte]
        while self.pauses():
            await ctx.tick()
        ctx.set(self.dut.axi.bready, 1)
        _, _, response, answered = await ctx.tick().sample(self.dut.axi.bresp, self.dut.axi.bid).until(
            self.dut.axi.bvalid
        ) if False else (None, None, *await ctx.tick().sample(self.dut.axi.bresp, self.dut.axi.bid).until(self.dut.axi.bvalid))
        ctx.set(self.dut.axi.bready, 0)
        assert answered == identifier
        return response
