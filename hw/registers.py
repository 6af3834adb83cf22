"""The register map: one table for the hardware, the C header and the host's driver, and the block that serves it."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from . import isa
from .axi import AXI4LiteSignature
from .counters import COUNTER_BITS, Category
from .tokens import COUNTS

__all__ = [
    "CONTROL",
    "MAGIC",
    "OFFSETS",
    "REGISTERS",
    "STATUS",
    "VERSION",
    "Access",
    "Register",
    "Registers",
    "c_header",
]

MAGIC = int.from_bytes(b"TLWR", "little")
VERSION = 1
"""Of the register map and the instruction set together."""

CONTROL = data.StructLayout({"start": 1, "reset": 1})
STATUS = data.StructLayout({"busy": 1, "done": 1, "error": 1})


class Access(enum.Enum):
    READ = "read"
    WRITE = "write"
    READ_WRITE = "read/write"


@dataclass(frozen=True)
class Register:
    """A 32-bit register at byte ``offset``."""

    name: str
    offset: int
    access: Access
    description: str


def _table() -> tuple[Register, ...]:
    read, write, both = Access.READ, Access.WRITE, Access.READ_WRITE
    rows = [
        (0x000, "MAGIC", read, f"the bytes TLWR: 0x{MAGIC:08x}"),
        (0x004, "VERSION", read, f"{VERSION}: register map and instruction set"),
        (0x008, "FINGERPRINT_LO", read, "fingerprint of the parameters, low half"),
        (0x00C, "FINGERPRINT_HI", read, "fingerprint of the parameters, high half"),
        (
            0x010,
            "CONTROL",
            write,
            "bit 0: start, bit 1: reset (the bus comes to rest first; bases and watchdog keep their values)",
        ),
        (0x014, "STATUS", read, "bit 0: busy, bit 1: done, bit 2: error"),
        (0x018, "ERROR", read, "why it stopped: an error code"),
        (0x01C, "ERROR_PC", read, "number of the instruction that stopped it"),
        (0x020, "ERROR_DETAIL", read, "engines busy, tokens waited for, full queues at the error"),
        (0x024, "WATCHDOG", both, "cycles without progress until it stops, 0 for no limit"),
        (0x028, "PROGRAM_LENGTH", both, "instructions in the program, END among them, 0 for no limit"),
        *(
            (0x030 + 4 * base.value, f"BASE_{base.name}", both, f"base address: {base.name.lower()}")
            for base in isa.Base
        ),
        (0x050, "CYCLES_LO", read, "cycles from start to end, low half; reading it keeps the high half"),
        (0x054, "CYCLES_HI", read, "cycles from start to end, high half as of the last read of the low half"),
        *((0x058 + 4 * c.value, f"COUNTER_{c.name}", read, f"cycles: {c.name.lower()}") for c in Category),
        *(
            (0x070 + 4 * n, f"TOKENS_{name.upper()}", read, f"{name} instructions finished")
            for n, name in enumerate(COUNTS.members)
        ),
        (0x07C, "INSTRUCTIONS", read, "instructions dispatched"),
    ]
    return tuple(Register(name, offset, access, description) for offset, name, access, description in rows)


REGISTERS = _table()
OFFSETS = {register.name: register.offset for register in REGISTERS}


def c_header(fingerprint: int) -> str:
    """A C header of offsets, bits, error codes and constants, for an accelerator of that ``fingerprint``."""
    lines = [
        "/* Registers of a Tilewright accelerator: byte offsets of 32-bit words. */",
        "#ifndef TILEWRIGHT_REGISTERS_H",
        "#define TILEWRIGHT_REGISTERS_H",
        "",
        *(f"#define TILEWRIGHT_{r.name} 0x{r.offset:03x} /* {r.access.value}: {r.description} */" for r in REGISTERS),
        "",
        f"#define TILEWRIGHT_MAGIC_VALUE 0x{MAGIC:08x}",
        f"#define TILEWRIGHT_VERSION_VALUE {VERSION}",
        f"#define TILEWRIGHT_FINGERPRINT_VALUE 0x{fingerprint:016x}ULL",
        "",
        *(
            f"#define TILEWRIGHT_{name}_{bit.upper()} 0x{1 << field.offset:x}"
            for name, layout in (("CONTROL", CONTROL), ("STATUS", STATUS))
            for bit, field in layout
        ),
        "",
        *(f"#define TILEWRIGHT_ERROR_{code.name} {code.value}" for code in isa.ErrorCode),
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


class Registers(wiring.Component):
    """Serve `REGISTERS` on AXI4-Lite. ``start`` and ``reset`` pulse in the cycle before the write is answered.

    An offset that is not in the table, a read of a write-only and a write of a read-only register answer SLVERR. The
    two low address bits do not count. One read or write at a time; a read is answered after 3
    cycles, a write 3 cycles after the later of address and data.
    """

    def __init__(self, fingerprint: int, address_bits: int = 12):
        self._fingerprint = fingerprint
        super().__init__(
            {
                "bus": In(AXI4LiteSignature(32, address_bits)),
                "start": Out(1),
                "reset": Out(1),
                "watchdog": Out(32),
                "program_length": Out(32),
                "bases": Out(data.ArrayLayout(32, isa.BASES)),
                "status": In(STATUS),
                "error": In(isa.ErrorCode),
                "error_pc": In(32),
                "error_detail": In(32),
                "cycles": In(64),
                "counters": In(data.ArrayLayout(COUNTER_BITS, len(Category))),
                "tokens": In(COUNTS),
                "instructions": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._serve_writes(m)
        self._serve_reads(m)
        return m

    def _stored(self) -> dict[str, Value]:
        """The registers that software writes and reads back."""
        bases = {f"BASE_{base.name}": self.bases[base.value] for base in isa.Base}
        return {"WATCHDOG": self.watchdog, "PROGRAM_LENGTH": self.program_length, **bases}

    def _shown(self, cycles_high: Value) -> dict[str, Value]:
        """The registers that software only reads."""
        return {
            "MAGIC": C(MAGIC, 32),
            "VERSION": C(VERSION, 32),
            "FINGERPRINT_LO": C(self._fingerprint & 0xFFFFFFFF, 32),
            "FINGERPRINT_HI": C(self._fingerprint >> 32, 32),
            "STATUS": self.status.as_value(),
            "ERROR": self.error.as_value(),
            "ERROR_PC": self.error_pc,
            "ERROR_DETAIL": self.error_detail,
            "CYCLES_LO": self.cycles[:32],
            "CYCLES_HI": cycles_high,
            **{f"COUNTER_{category.name}": self.counters[category.value] for category in Category},
            **{f"TOKENS_{name.upper()}": self.tokens[name] for name in COUNTS.members},
            "INSTRUCTIONS": self.instructions,
        }

    def _serve_writes(self, m):
        bus = self.bus
        address = Signal.like(bus.awaddr)
        word = Signal.like(bus.wdata)
        strobes = Signal.like(bus.wstrb)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr), bus.awready.eq(0)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [word.eq(bus.wdata), strobes.eq(bus.wstrb), bus.wready.eq(0)]
        with m.FSM(name="writes"):
            with m.State("IDLE"):
                m.d.sync += [bus.awready.eq(1), bus.wready.eq(1)]
                m.next = "COLLECT"
            with m.State("COLLECT"), m.If(~bus.awready & ~bus.wready):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(0)]
                m.next = "ANSWER"
                with m.Switch(address[2:]):
                    for name, register in self._stored().items():
                        with m.Case(OFFSETS[name] >> 2):
                            for byte in range(4):
                                with m.If(strobes[byte]):
                                    m.d.sync += register[8 * byte : 8 * byte + 8].eq(word[8 * byte : 8 * byte + 8])
                    with m.Case(OFFSETS["CONTROL"] >> 2):
                        control = data.View(CONTROL, word[: CONTROL.size])
                        m.d.comb += [
                            self.start.eq(control.start & strobes[0]),
                            self.reset.eq(control.reset & strobes[0]),
                        ]
                    with m.Default():
                        m.d.sync += bus.bresp.eq(2)
            with m.State("ANSWER"), m.If(bus.bready):
                m.d.sync += bus.bvalid.eq(0)
                m.next = "IDLE"

    def _serve_reads(self, m):
        bus = self.bus
        address = Signal.like(bus.araddr)
        cycles_high = Signal(32)
        values = {OFFSETS[name]: value for name, value in (self._stored() | self._shown(cycles_high)).items()}

        # One register says of each word whether it is meant: gates and ORs are less logic than multiplexers, and shorter.
        meant = Signal(len(values))
        m.d.sync += meant.eq(Cat(address[2:] == offset >> 2 for offset in values))
        chosen = (Mux(bit, value, 0) for bit, value in zip(meant, values.values(), strict=True))
        with m.FSM(name="reads"):
            with m.State("IDLE"):
                m.d.comb += bus.arready.eq(1)
                m.d.sync += address.eq(bus.araddr)
                with m.If(bus.arvalid):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.next = "READ"
            with m.State("READ"):
                m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(reduce(or_, chosen)), bus.rresp.eq(Mux(meant.any(), 0, 2))]
                with m.If(meant[list(values).index(OFFSETS["CYCLES_LO"])]):
                    m.d.sync += cycles_high.eq(self.cycles[32:])
                m.next = "ANSWER"
            with m.State("ANSWER"), m.If(bus.rready):
                m.d.sync += bus.rvalid.eq(0)
                m.next = "IDLE"
