"""The accumulator: partial sums of a rectangle of output pixels, one memory word for all columns."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register

__all__ = ["WAVE", "Accumulator", "SumSignature"]

WAVE = data.StructLayout({
    "result": 1,  # the wave belongs to an output pixel
    "start": 1,  # the first result of a pass
    "first": 1,  # of a block's first pass: overwrite
    "last": 1,  # of a block's last pass: send on
    "maximum": 1,  # combine by maximum instead of addition
    "block_end": 1,  # the block's last result
    "end": 1,  # the instruction's last result
})
"""What the sequencer says of a wave; it arrives at the accumulator `Accumulator.LEAD` cycles before the wave's sums."""


class SumSignature(wiring.Signature):
    """``lanes`` 32-bit sums, taken in the cycle of ``valid``: a vector, or its ``part`` of ``parts`` that follow each other.

    ``block_end`` marks the last of an output block, ``end`` the last of an instruction.
    """

    def __init__(self, lanes: int, parts: int = 1) -> None:
        super().__init__({
            "valid": Out(1),
            "part": Out(range(parts)),
            "data": Out(data.ArrayLayout(signed(32), lanes)),
            "block_end": Out(1),
            "end": Out(1),
        })


class Accumulator(wiring.Component):
    """Combines the sums of a block's passes.

    Entry n belongs to the pass's result n. ``wave`` comes LEAD cycles before its ``sums``; a finished total leaves LATENCY
    cycles after its sums. Passes must start at least REUSE cycles apart.
    """

    LATENCY = 2
    LEAD = 2
    REUSE = 5

    def __init__(self, *, cols: int, depth: int, sum_width: int):
        self._cols = cols
        self._depth = depth
        super().__init__({
            "wave": In(WAVE),
            "sums": In(data.ArrayLayout(signed(sum_width), cols)),
            "totals": Out(SumSignature(cols)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.partial_sums = partial_sums = memory.Memory(
            shape=unsigned(32 * self._cols), depth=self._depth, init=[]
        )
        read = partial_sums.read_port()
        write = partial_sums.write_port()

        following = Signal(range(self._depth))  # entry of the next result, unless a pass starts
        read_wave = Signal(WAVE)  # in step with the memory's answer, which comes late in its cycle
        read_entry = Signal(range(self._depth))
        wave = Signal(WAVE)  # in step with `sums`
        entry = Signal(range(self._depth))
        answer = Signal.like(read.data, reset_less=True)
        m.d.comb += read.addr.eq(Mux(self.wave.start, 0, following))
        m.d.sync += [
            read_wave.eq(self.wave),
            wave.eq(read_wave),
            entry.eq(read_entry),
            answer.eq(read.data),
        ]
        with m.If(self.wave.result):
            m.d.sync += [following.eq(read.addr + 1), read_entry.eq(read.addr)]
        m.d.comb += read.en.eq(self.wave.result)

        finished = self.totals
        earlier = data.View(finished.data.shape(), answer)
        adding = Signal(WAVE)
        adding_entry = Signal.like(entry)
        done = Signal(WAVE)
        m.d.sync += [adding.eq(wave), adding_entry.eq(entry), done.eq(adding), write.addr.eq(adding_entry)]
        totals = data_register(m, finished.data, "total")
        for col, (total, before, now) in enumerate(zip(totals, earlier, self.sums, strict=True)):
            # What does not count is cleared, a register's own way to be a multiplexer: one addition does for all.
            first_term = Signal.like(before, name=f"earlier_{col}", reset_less=True)
            second_term = Signal.like(now, name=f"now_{col}", reset_less=True)
            greater = Signal(name=f"greater_{col}")
            m.d.comb += greater.eq(before > now)
            with m.If(wave.first | (wave.maximum & ~greater)):
                m.d.sync += first_term.eq(0)
            with m.Else():
                m.d.sync += first_term.eq(before)
            with m.If(~wave.first & wave.maximum & greater):
                m.d.sync += second_term.eq(0)
            with m.Else():
                m.d.sync += second_term.eq(now)
            m.d.sync += total.eq(first_term + second_term)
        m.d.comb += [
            write.data.eq(finished.data),
            write.en.eq(done.result & ~done.last),
            finished.valid.eq(done.result & done.last),
            finished.block_end.eq(finished.valid & done.block_end),
            finished.end.eq(finished.valid & done.end),
        ]
        return m
