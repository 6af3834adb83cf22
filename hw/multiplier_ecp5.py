"""Multipliers of Lattice ECP5: the block MULT18X18D, and 8 x 8 bits on the carry chains of the logic."""

from amaranth import *
from amaranth.lib import wiring

from .multiplier import multiplier_ports

__all__ = ["CarryChainMultiplier", "Mult18x18d"]

_WIDTH = 18

# What a bit of a chain adds up: LUT4 gives the bits' exclusive or; where that is 0, its low four entries (of A and B, with
# C and D 0) give the carry. Inputs that are not connected are 1.
_SUM = 0x96AA  # A + B (C is 0, D is 1)
_PRODUCTS = 0x7888  # A x B + C x D
_PRODUCT_MINUS = 0x8777  # C x D - A x B, with a carry into the lowest bit
_CARRY_IN_AND = 0x0008  # no sum; a carry into the next bit if A and B
_CARRY_IN_ONE = 0x000F


class Mult18x18d(wiring.Component):
    """A `Multiplier` of up to 18 x 18 bits in a MULT18X18D with its input and output registers.

    Lattice, ECP5 sysDSP Usage Guide (FPGA-TN-02205): primitive MULT18X18D. Operands stand at the upper end of the
    block's, because its low inputs can be tied to 0 without a wire and its high ones not to the sign.
    """

    PRODUCTS = 1

    def __init__(self, *, a_bits: int = 8, b_bits: int = 8) -> None:
        for name, bits in (("a_bits", a_bits), ("b_bits", b_bits)):
            if not 1 <= bits <= _WIDTH:
                raise ValueError(f"{name}: {bits} is not 1 to {_WIDTH}")
        super().__init__(multiplier_ports(a_bits, b_bits, 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b, full = self.a[0], self.b[0], Signal(2 * _WIDTH)
        operands = {"A": Cat(Const(0, _WIDTH - len(a)), a), "B": Cat(Const(0, _WIDTH - len(b)), b), "C": Const(0, _WIDTH)}
        registers = {}
        for register, clock in (("INPUTA", "CLK0"), ("INPUTB", "CLK0"), ("PIPELINE", "NONE"), ("OUTPUT", "CLK0")):
            registers[f"p_REG_{register}_CLK"] = clock
            registers[f"p_REG_{register}_CE"] = "CE0"
            registers[f"p_REG_{register}_RST"] = "RST0"
        m.submodules.block = Instance(
            "MULT18X18D",
            p_CLK0_DIV="ENABLED",
            **registers,
            **{f"i_{name}{n}": bit for name, operand in operands.items() for n, bit in enumerate(operand)},
            i_SIGNEDA=Const(1),
            i_SIGNEDB=Const(1),
            i_SOURCEA=Const(0),
            i_SOURCEB=Const(0),
            i_CLK0=ClockSignal(),
            i_CE0=Const(1),
            i_RST0=Const(0),
            **{f"o_P{n}": bit for n, bit in enumerate(full)},
        )
        m.d.comb += self.product[0].eq(full[2 * _WIDTH - len(a) - len(b) :])
        return m


class CarryChainMultiplier(wiring.Component):
    """An 8 x 8 bit `Multiplier` in 79 LUT4: seven chains of CCU2C, whose first four make and add two rows each.

    The lowest position of a chain gives no sum (its carry input comes from no wire), but takes the carry of the lowest bits
    of two numbers; their sum is an exclusive or beside the chain.
    """

    PRODUCTS = 1

    def __init__(self) -> None:
        super().__init__(multiplier_ports(8, 8, 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.a[0], self.b[0]

        # First cycle: a x two bits of b, 10 bits signed. The highest bit of b counts negative.
        wide = Cat(a, a[-1], a[-1])
        pairs = []
        for bit in range(0, 8, 2):
            low, high = b[bit], b[bit + 1]
            if bit == 6:
                bits = [(_PRODUCT_MINUS, (wide[n - 1], high, wide[n], low)) for n in range(1, 10)]
                total = self._chain(m, f"pair_{bit}", [(_CARRY_IN_ONE, ()), *bits])
            else:
                bits = [(_PRODUCTS, (wide[n], low, wide[n - 1], high)) for n in range(1, 10)]
                total = self._chain(m, f"pair_{bit}", [(0, ()), *bits])
            pair = Signal(signed(10), name=f"pair_{bit}", reset_less=True)
            m.d.sync += pair.eq(Cat(a[0] & low, total[1:]))
            pairs.append(pair)

        # Second cycle.
        halves = [self._add(m, f"half_{n}", pairs[2 * n], pairs[2 * n + 1], 2, 12) for n in range(2)]
        product = Signal(signed(16), reset_less=True)
        m.d.sync += product.eq(self._add(m, "product", halves[0], halves[1], 4, 16))
        m.d.comb += self.product[0].eq(product)
        return m

    def _add(self, m: Module, name: str, low: Value, high: Value, shift: int, width: int) -> Value:
        """``low`` + ``high`` * 2**``shift``, both signed, in ``width`` bits."""
        low_bits = [low[min(n, len(low) - 1)] for n in range(shift, width)]
        high_bits = [high[min(n - shift, len(high) - 1)] for n in range(shift, width)]
        bits = [(_SUM, (x, y, Const(0), Const(1))) for x, y in zip(low_bits[1:], high_bits[1:], strict=True)]
        total = self._chain(m, name, [(_CARRY_IN_AND, (low_bits[0], high_bits[0])), *bits])
        return Cat(low[:shift], low_bits[0] ^ high_bits[0], total[1:])

    @staticmethod
    def _chain(m: Module, name: str, bits: list[tuple[int, tuple[Value, ...]]]) -> Value:
        """Sums of a chain of an even number of positions, each a LUT4 and its inputs A, B, C, D."""
        total = Signal(len(bits), name=f"{name}_sum")
        carry: Value | None = None
        for n in range(0, len(bits), 2):
            ports = {}
            for half in range(2):
                table, inputs = bits[n + half]
                ports[f"p_INIT{half}"] = Const(table, 16)
                ports[f"p_INJECT1_{half}"] = "NO"
                padded = [*inputs, *[Const(1)] * (4 - len(inputs))]
                ports |= {f"i_{pin}{half}": value for pin, value in zip("ABCD", padded, strict=True)}
                ports[f"o_S{half}"] = total[n + half]
            if carry is not None:
                ports["i_CIN"] = carry
            if n + 2 < len(bits):
                carry = Signal(name=f"{name}_carry_{n // 2}")
                ports["o_COUT"] = carry
            m.submodules[f"{name}_{n // 2}"] = Instance("CCU2C", **ports)
        return total
