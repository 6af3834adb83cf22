"""Which multiplier stands where: a device's blocks go to the post-processor's lanes first, then to the array."""

from amaranth.lib import wiring

from .multiplier import Multiplier, RowMultiplier
from .multiplier_ecp5 import CarryChainMultiplier, Mult18x18d
from .multiplier_gowin import GowinMultiplier
from .multiplier_ice40 import SbMac16

__all__ = ["array_multipliers", "wide_multiplier"]

_BLOCKS = {"ecp5": Mult18x18d, "ice40": SbMac16, "gowin": GowinMultiplier}
_LOGIC = {"ecp5": CarryChainMultiplier, "ice40": RowMultiplier, "gowin": RowMultiplier}


def array_multipliers(target: str, products: int, in_blocks: int) -> list[tuple[wiring.Component, list[int]]]:
    """Multipliers for ``products`` 8 x 8 bit products, of which ``in_blocks``, spread evenly, are in blocks of ``target``.

    With each multiplier come the numbers of its products, 0 to ``products`` - 1.
    """
    if target == "generic":
        return [(Multiplier(), [n]) for n in range(products)]
    chosen = [n for n in range(products) if (n + 1) * in_blocks // products > n * in_blocks // products]
    block = _BLOCKS[target]
    shares = [chosen[n : n + block.PRODUCTS] for n in range(0, len(chosen), block.PRODUCTS)]
    others = sorted(set(range(products)) - set(chosen))
    return [(block(), share) for share in shares] + [(_LOGIC[target](), [n]) for n in others]


def wide_multiplier(target: str, a_bits: int, b_bits: int) -> wiring.Component:
    """A multiplier of one product of up to 18 x 18 bits; on iCE40, whose lanes have no blocks, the synthesizer's."""
    if target in ("ecp5", "gowin"):
        return _BLOCKS[target](a_bits=a_bits, b_bits=b_bits)
    return Multiplier(a_bits=a_bits, b_bits=b_bits)
