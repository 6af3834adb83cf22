"""Named accelerators: a board, its device, and the parameters that fit it."""

from dataclasses import dataclass, replace

from .params import Parameters, parse_array

__all__ = ["PRESETS", "Preset", "find_preset"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A board and what is on it.

    ``board`` is a name in `hw.boards.catalog`, ``device`` one in `hw.synth.device`. ``frequency`` is the clock in MHz that
    the PLL makes and place and route aims at, ``memory_kib`` the external memory in block RAM, of the bitstream, or the
    compact accelerator's for its program.
    """

    name: str
    board: str
    device: str
    params: Parameters
    frequency: float
    memory_kib: int


def _preset(
    name: str, board: str, device: str, frequency: float, memory_kib: int, array: str, **settings: str | int
) -> Preset:
    params = replace(parse_array(array), **settings)
    return Preset(name=name, board=board, device=device, params=params, frequency=frequency, memory_kib=memory_kib)


PRESETS = {
    preset.name: preset
    for preset in (
        # Less activation memory than there could be: what is far apart is slow, and hard to route.
        _preset(
            "ulx3s-85f", "ulx3s-85f", "LFE5U-85F-6BG381C", 60, 128, "16x16", target="ecp5", dsp_blocks=156,
            activation_kib=32, axi_bits=64, lanes=4, pixel_buses=3, packed=False, pooling=False,
        ),
        _preset(
            "ulx3s-85f-fast", "ulx3s-85f", "LFE5U-85F-6BG381C", 75, 128, "16x8", target="ecp5", dsp_blocks=144,
            activation_kib=32, lanes=4, pixel_buses=3, packed=False, pooling=False,
        ),
        _preset(
            "ulx3s-25f", "ulx3s-25f", "LFE5U-25F-6BG381C", 80, 40, "4x4", target="ecp5", dsp_blocks=28, activation_kib=32
        ),
        _preset(
            "ulx3s-85f-8x8", "ulx3s-85f", "LFE5U-85F-6BG381C", 70, 128, "8x8", target="ecp5", dsp_blocks=97, activation_kib=32
        ),
        _preset(
            "orangecrab-25f", "orangecrab-25f", "LFE5U-25F-8MG285C", 80, 56, "8x8", target="ecp5", dsp_blocks=28,
            memory="bram", activation_kib=28, accumulator_depth=128, lanes=4, packed=False, residual=False, pooling=False,
        ),
        _preset(
            "tang-primer-20k", "tang-primer-20k", "GW2A-LV18PG256C8/I7", 60, 40, "8x8", target="gowin", dsp_blocks=40,
            memory="bram", activation_kib=24, accumulator_depth=128, lanes=2, packed=False, residual=False, pooling=False,
        ),
        _preset(
            "icebreaker", "icebreaker", "iCE40UP5K-SG48", 24, 64, "4x4", target="ice40", dsp_blocks=8, memory="spram",
            activation_kib=64, accumulator_depth=128, packed=False, residual=False, pooling=False,
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises ``ValueError`` that lists them all."""
    if name not in PRESETS:
        raise ValueError(f"board: {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]
