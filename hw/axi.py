"""AXI4: the buses, how a transfer is cut into bursts, and the read channel that the engines share."""

from amaranth import *
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = [
    "BURST", "BURST_BEATS", "RUNS", "AXI4LiteSignature", "AXI4ReadSignature", "AXI4Signature", "AXI4WriteSignature",
    "BurstSplitter", "ReadChannel", "ReadClientSignature", "join_channels",
]  # fmt: skip

BURST_BEATS = 16
"""Beats in the longest burst that `BurstSplitter` makes."""

BURST = data.StructLayout({"address": 32, "beats": 9})
"""A burst: byte address, a multiple of the beat, and 1 to 256 beats. It never crosses a multiple of 4 KiB."""

RUNS = data.StructLayout({"address": 32, "run_bytes": 28, "runs": 16, "run_pitch": signed(25)})
"""The external side of a transfer: ``runs`` runs of ``run_bytes`` bytes (both 1 ..), the first at ``address``."""


def _address_channel(prefix: str, address_bits: int) -> dict[str, wiring.Member]:
    return {
        f"{prefix}id": Out(1),
        f"{prefix}addr": Out(address_bits),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def _read_members(data_bits: int, address_bits: int) -> dict[str, wiring.Member]:
    return _address_channel("ar", address_bits) | {
        "rid": In(1),
        "rdata": In(data_bits),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_members(data_bits: int, address_bits: int) -> dict[str, wiring.Member]:
    return _address_channel("aw", address_bits) | {
        "wdata": Out(data_bits),
        "wstrb": Out(data_bits // 8),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(1),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class _Bus(wiring.Signature):
    def __init__(self, members, *key):
        self._key = key
        super().__init__(members)

    def __eq__(self, other):
        return type(self) is type(other) and self._key == other._key


class AXI4ReadSignature(_Bus):
    """The read half of an AXI4 master."""

    def __init__(self, data_bits: int, address_bits: int = 32):
        super().__init__(_read_members(data_bits, address_bits), data_bits, address_bits)


class AXI4WriteSignature(_Bus):
    """The write half of an AXI4 master."""

    def __init__(self, data_bits: int, address_bits: int = 32):
        super().__init__(_write_members(data_bits, address_bits), data_bits, address_bits)


class AXI4Signature(_Bus):
    """An AXI4 master with one identifier bit, without lock, cache, protection, quality of service and region."""

    def __init__(self, data_bits: int, address_bits: int = 32):
        members = _write_members(data_bits, address_bits) | _read_members(data_bits, address_bits)
        super().__init__(members, data_bits, address_bits)


class AXI4LiteSignature(_Bus):
    """An AXI4-Lite master, without protection bits."""

    def __init__(self, data_bits: int = 32, address_bits: int = 12):
        members = _write_members(data_bits, address_bits) | _read_members(data_bits, address_bits)
        absent = {f"{channel}{name}" for channel in ("aw", "ar") for name in ("id", "len", "size", "burst")}
        absent |= {"wlast", "bid", "rid", "rlast"}
        super().__init__({name: m for name, m in members.items() if name not in absent}, data_bits, address_bits)


def join_channels(m: Module, bus, *halves) -> None:
    """Connect the read and write halves (`AXI4ReadSignature`, `AXI4WriteSignature`) to the full bus of the same
    names."""
    for half in halves:
        for name, member in half.signature.members.items():
            ours, theirs = getattr(half, name), getattr(bus, name)
            m.d.comb += theirs.eq(ours) if member.flow is Out else ours.eq(theirs)


class ReadClientSignature(_Bus):
    """What a client of `ReadChannel` sees: bursts to request, and their beats in order.

    A beat is there for the one cycle of ``beat_valid`` and cannot be held up: a client requests only what it has room
    for.
    """

    def __init__(self, data_bits: int):
        beat = data.StructLayout({"data": data_bits, "last": 1, "error": 1})
        members = {"requests": Out(stream.Signature(BURST)), "beat": In(beat), "beat_valid": In(1)}
        super().__init__(members, data_bits)


class ReadChannel(wiring.Component):
    """Share AR and R among ``clients`` clients, round robin, with up to ``outstanding`` bursts in flight, in order.

    A request waits in its client's register for its turn, and the next one may go there in the cycle behind that; it is on AR two
    cycles after it was taken, at the earliest. A beat is at its client one cycle after it was on R. RREADY is always high. A
    cycle after ``halt`` it takes no more requests and throws away what still comes; ``quiet`` says that nothing is in flight.
    """

    def __init__(self, clients: int, data_bits: int, outstanding: int = 16):
        self._clients, self._data_bits, self._outstanding = clients, data_bits, outstanding
        super().__init__(
            {
                "clients": In(ReadClientSignature(data_bits)).array(clients),
                "axi": Out(AXI4ReadSignature(data_bits)),
                "halt": In(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi = self.axi
        m.submodules.order = order = fifo.SyncFIFO(width=len(C(self._clients - 1)), depth=self._outstanding)

        # Registers: the clients lie far apart, and what one is told is known late.
        waiting = Signal(self._clients)
        requests = [Signal(BURST, name=f"request_{index}", reset_less=True) for index in range(self._clients)]
        for client, waits, request in zip(self.clients, waiting, requests, strict=True):
            m.d.comb += client.requests.ready.eq(~waits)
            with m.If(~waits):
                m.d.sync += [waits.eq(client.requests.valid), request.eq(client.requests.p)]

        former = Signal(range(self._clients))
        chosen = Signal(range(self._clients))
        with m.Switch(former):
            for index in range(self._clients):
                with m.Case(index):
                    for offset in reversed(range(1, self._clients + 1)):
                        candidate = (index + offset) % self._clients
                        with m.If(waiting[candidate]):
                            m.d.comb += chosen.eq(candidate)

        # What the order's own flag says late, and `halt`, which comes from far away.
        full, filling, blocked, halted = Signal(), Signal(), Signal(), Signal()
        next_full = (full | filling) & ~order.r_en
        m.d.comb += filling.eq((order.level == self._outstanding - 1) & order.w_en)
        m.d.sync += [full.eq(next_full), blocked.eq(next_full | self.halt), halted.eq(self.halt)]
        take = Signal()
        m.d.comb += [
            axi.arsize.eq(exact_log2(self._data_bits // 8)),
            axi.arburst.eq(1),  # INCR
            axi.rready.eq(1),
            take.eq((~axi.arvalid | axi.arready) & ~blocked & waiting.any()),
            order.w_en.eq(take),
            order.w_data.eq(chosen),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(take):
            m.d.sync += [axi.arvalid.eq(1), former.eq(chosen)]
        for index, request in enumerate(requests):
            with m.If(take & (chosen == index)):
                m.d.sync += [waiting[index].eq(0), axi.araddr.eq(request.address), axi.arlen.eq(request.beats - 1)]

        beat = Signal(self.clients[0].beat.shape())
        beat_valid = Signal()
        m.d.sync += [
            beat_valid.eq(axi.rvalid),
            beat.data.eq(axi.rdata),
            beat.last.eq(axi.rlast),
            beat.error.eq(axi.rresp[1]),
        ]
        m.d.comb += order.r_en.eq(beat_valid & beat.last)
        for index, client in enumerate(self.clients):
            m.d.comb += [
                client.beat.eq(beat),
                client.beat_valid.eq(beat_valid & order.r_rdy & (order.r_data == index) & ~halted),
            ]
        m.d.comb += self.quiet.eq(~axi.arvalid & ~order.r_rdy & ~beat_valid)
        return m


class BurstSplitter(wiring.Component):
    """Cut transfers into bursts that end at multiples of `BURST_BEATS` beats, and so never cross 4 KiB.

    ``last`` marks the transfer's last burst. One burst per cycle; the first comes two cycles after the transfer. ``accepted`` is
    the transfer in the cycle after it was accepted.
    """

    def __init__(self, beat_bytes: int):
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "transfers": In(stream.Signature(RUNS)),
                "bursts": Out(stream.Signature(data.StructLayout({"burst": BURST, "last": 1}))),
                "accepted": Out(RUNS),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._beat_bytes)
        window = exact_log2(BURST_BEATS)
        transfer = Signal(RUNS, reset_less=True)
        walking = Signal()
        last_run = Signal()
        m.d.comb += [self.transfers.ready.eq(~walking), last_run.eq(transfer.runs == 1)]

        beat = Signal(32 - low, reset_less=True)  # address in beats
        # Multiples of BURST_BEATS ahead of the run's last beat, and whether there are none.
        windows = Signal(RUNS["run_bytes"].width - low - window + 1, reset_less=True)
        ends = Signal(reset_less=True)
        rest = Signal(range(1, BURST_BEATS + 1), reset_less=True)  # beats of the run from the last of them on
        final = Signal(reset_less=True)
        valid = Signal()
        m.d.comb += [
            self.bursts.p.burst.address.eq(Cat(C(0, low), beat)),
            self.bursts.p.burst.beats.eq(Mux(ends, rest, BURST_BEATS) - beat[:window]),
            self.bursts.p.last.eq(ends & final),
            self.bursts.valid.eq(valid),
            self.accepted.eq(transfer),
            self.busy.eq(walking | valid),
        ]
        last_beat = (transfer.address[: low + window] + transfer.run_bytes - 1)[low:]
        move = ~valid | self.bursts.ready
        begin = walking & (~valid | ends)  # the next run
        m.d.sync += walking.eq(Mux(walking, ~(begin & move & last_run), self.transfers.valid))
        with m.If(move):
            m.d.sync += [
                valid.eq(begin | (valid & ~ends)),
                beat.eq(Cat(C(0, window), beat[window:] + 1)),
                windows.eq(windows - 1),
                ends.eq(windows == 1),
            ]
            with m.If(begin):
                m.d.sync += [
                    beat.eq(transfer.address[low:]),
                    windows.eq(last_beat >> window),
                    ends.eq((last_beat >> window)[: len(windows)] == 0),
                    rest.eq(last_beat[:window] + 1),
                    final.eq(last_run),
                ]
        with m.If(~walking):
            m.d.sync += transfer.eq(self.transfers.payload)
        with m.Elif(begin & move):
            m.d.sync += [transfer.address.eq(transfer.address + transfer.run_pitch), transfer.runs.eq(transfer.runs - 1)]
        return m
