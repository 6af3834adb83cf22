"""Named accelerators: a board, its device, and the parameters that fit it."""

from dataclasses import dataclass, replace

from .params import Parameters, parse_array

__all__ = ["PRESETS", "Preset", "find_preset"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A board. ``device`` is a name in `hw.synth.device`, ``frequency`` the clock in MHz that place and route aims at."""

    name: str
    board: str
    device: str
    params: Parameters
    frequency: float


def _preset(name: str, board: str, device: str, frequency: float, array: str, **settings: str | int) -> Preset:
    params = replace(parse_array(array), **settings)
    return Preset(name=name, board=board, device=device, params=params, frequency=frequency)


PRESETS = {
    preset.name: preset
    for preset in (
        _preset("ulx3s-85f", "ULX3S 85F", "LFE5U-85F-6BG381C", 80, "16x16", target="ecp5", dsp_blocks=156),
        _preset("ulx3s-85f-fast", "ULX3S 85F", "LFE5U-85F-6BG381C", 110, "16x8", target="ecp5", dsp_blocks=156),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises ``ValueError`` that lists them all."""
    if name not in PRESETS:
        raise ValueError(f"board: {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]
