"""The devices: which tools make their bitstreams, with which options, and what the tools' reports call their parts."""

from dataclasses import dataclass

from .floorplan import ecp5_sites

__all__ = ["DEVICES", "Device"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA, and how Yosys, nextpnr and the packer are called for it.

    ``synthesize`` are Yosys commands for the module ``{top}``: products stay out of blocks unless the design itself puts them
    there, and memories get no logic for reading what is being written, because nothing looks at such a word. ``place`` and
    ``pack`` are tool and options, in which ``{netlist}``, ``{constraints}``, ``{routed}`` and ``{bitstream}`` stand for
    files. ``cells`` are the names, in nextpnr's report, of the cells to count: ``lut4``, ``ff``, ``dsp``, ``bram``; ``luts``
    says how many LUTs each cell of Yosys's netlist takes that has any. ``sites`` are rows of places for multiplier blocks, if
    the placer is not to choose them. ``untimed`` says what nextpnr's frequency leaves out.
    """

    name: str
    family: str
    synthesize: str
    place: tuple[str, ...]
    pack: tuple[str, ...]
    constraints_suffix: str
    bitstream_suffix: str
    cells: dict[str, tuple[str, ...]]
    luts: dict[str, int]
    sites: tuple[tuple[str, ...], ...] = ()
    untimed: str = ""

    @property
    def tools(self) -> tuple[str, ...]:
        """The programs that the flow calls."""
        return "yosys", self.place[0], self.pack[0]


_SYNTH_ECP5 = "synth_lattice -family ecp5 -nodsp -no-rw-check -top {top} -run"
# As `synth_ecp5`, but with 600 ps for a wire where that has 300: wires between slices are longer than that.
_MAP_LUTS = "techmap -map +/lattice/latches_map.v; abc9 -W 600; clean"
_SYNTHESIZE_ECP5 = f"{_SYNTH_ECP5} begin:map_luts; {_MAP_LUTS}; {_SYNTH_ECP5} map_cells:"


_SITES = {"85k": ecp5_sites(10, 34, 58, groups=13, middle=7), "25k": ecp5_sites(13, groups=7, middle=3)}


# The placer `static`: with `heap` wires are two thirds longer at 8x8; but it may come to no end where nearly all block RAMs are
# used. The router `router2` lets wires be shared at first, `router1` takes them back one at a time: each comes to an end where
# the other does not (docs/synthesis.md).
def _ecp5(name: str, size: str, package: str, speed: int, *, placer: str = "static", router: str = "router2") -> Device:
    return Device(
        name=name,
        family="ecp5",
        synthesize=_SYNTHESIZE_ECP5,
        place=(
            "nextpnr-ecp5", f"--{size}", "--package", package, "--speed", str(speed), "--json", "{netlist}",
            "--lpf", "{constraints}", "--lpf-allow-unconstrained", "--placer", placer, "--router", router,
            "--textcfg", "{routed}",
        ),
        pack=("ecppack", "--compress", "{routed}", "{bitstream}"),
        constraints_suffix=".lpf",
        bitstream_suffix=".bit",
        cells={"lut4": ("TRELLIS_COMB",), "ff": ("TRELLIS_FF",), "dsp": ("MULT18X18D",), "bram": ("DP16KD",)},
        luts={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        sites=_SITES[size],
        untimed="the path inside a MULT18X18D from its operand to its product registers, and a reset's along its global wire",
    )  # fmt: skip


DEVICES = {
    device.name: device
    for device in (
        _ecp5("LFE5U-85F-6BG381C", "85k", "CABGA381", 6),
        _ecp5("LFE5U-25F-6BG381C", "25k", "CABGA381", 6, router="router1"),
        _ecp5("LFE5U-25F-8MG285C", "25k", "CSFBGA285", 8, placer="heap"),
        Device(
            name="iCE40UP5K-SG48",
            family="ice40",
            # -dsp would turn two 8 x 8 products in a block into one of 16 x 16.
            synthesize="synth_ice40 -device u -no-rw-check -top {top}",
            place=(
                "nextpnr-ice40", "--up5k", "--package", "sg48", "--json", "{netlist}",
                "--pcf", "{constraints}", "--pcf-allow-unconstrained", "--asc", "{routed}",
            ),
            pack=("icepack", "{routed}", "{bitstream}"),
            constraints_suffix=".pcf",
            bitstream_suffix=".bin",
            cells={"lut4": ("ICESTORM_LC",), "ff": (), "dsp": ("ICESTORM_DSP",), "bram": ("ICESTORM_RAM", "ICESTORM_SPRAM")},
            luts={"SB_LUT4": 1},
        ),
        Device(
            name="GW2A-LV18PG256C8/I7",
            family="gowin",
            synthesize="synth_gowin -nodsp -no-rw-check -top {top}",
            place=(
                "nextpnr-himbaechel-gowin", "--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18",
                "--vopt", "cst={constraints}", "--json", "{netlist}", "--write", "{routed}",
            ),
            pack=("gowin_pack", "-d", "GW2A-18", "-o", "{bitstream}", "{routed}"),
            constraints_suffix=".cst",
            bitstream_suffix=".fs",
            cells={
                "lut4": ("LUT4", "ALU"), "ff": ("DFF",), "dsp": ("MULT9X9", "MULT18X18"), "bram": ("BSRAM",),
            },
            luts={"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1},
            untimed="every path through a DSP block: its delays are not in the tool's model",
        ),
    )
}  # fmt: skip
"""Devices by name. Lattice's and Gowin's own part numbers."""
