"""Verilog to bitstream: Yosys, nextpnr for each seed, and the packer, in a folder that goes away again."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from .device import Device
from .netlist import Netlist
from .process import Job, run_jobs
from .report import Place, read_place
from .tools import Tool, find_tool

__all__ = ["Design", "Step", "Synthesis", "SynthesisError", "finish_netlist", "synthesize"]

Step = Callable[[str], None]
"""Told what happens now."""

_STAGES = {
    "Packing": "packing", "Creating initial": "placing", "steplen=": "placing", "at iteration": "placing", "Routing": "routing",
    "overused=": "routing", " | ": "routing", "Router1": "routing", "Router2": "routing", "Program finished": "done",
}  # fmt: skip
"""What the last of these in the end of nextpnr's output says."""


_STEPS = 2000
"""Steps of the placer `static` after which it is given up: it takes less than 700 if it comes to an end."""

_FEW = 100
"""Wires used twice that are soon gone, or never."""


class SynthesisError(RuntimeError):
    """A tool failed, or left less than it should."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Verilog whose module ``top`` is the whole device, its pin and clock constraints in nextpnr's format (or nothing),
    and the clock in MHz to aim at. ``array`` is the array's instance, such as ``dut.compute.array``. ``bitstream`` asks for
    one: without pins there is no use for it."""

    verilog: str
    top: str
    constraints: str = ""
    frequency: float
    array: str
    bitstream: bool = False


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What came of it: each seed's place and route, the best one first; the seeds that came to none; the bitstream, if there
    should be one and no clock is missed; the tools, by name. ``array_lut4`` is the logic of the array, in the netlist, before
    packing."""

    places: Sequence[Place]
    unrouted: Sequence[int]
    array_lut4: int
    bitstream: bytes
    tools: dict[str, Tool]
    sha256: dict[str, str]


def synthesize(design: Design, device: Device, *, seeds: Sequence[int], step: Step = lambda text: None) -> Synthesis:
    """Synthesize, then place and route with each of the ``seeds``, as many side by side as there are processors. A seed that does
    not route is given up; the others go on.

    Raises `SynthesisError`, and `ToolMissingError` for a tool that is not there.
    """
    tools = {name: find_tool(name) for name in (device.tools if design.bitstream else device.tools[:2])}
    with tempfile.TemporaryDirectory(prefix="tilewright-synth-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(design.verilog)
        (folder / "constraints").write_text(design.constraints)
        script = f"read_verilog design.v; {device.synthesize.format(top=design.top)}; write_json netlist.json"
        step("synthesizing (Yosys; a new YoWASP tool takes a minute more, once)")
        _run([Job(command=(tools["yosys"].executable, "-q", "-p", script), folder=folder, log="yosys.log")], ("netlist.json",))
        array_lut4 = finish_netlist(folder / "netlist.json", design.array, device)

        jobs = [_place_job(design, device, tools, folder, seed) for seed in seeds]
        outputs = [(f"report{seed}.json", f"routed{seed}") for seed in seeds]

        unrouted: dict[int, str] = {}

        def hopeless(job: Job) -> bool:
            seed = seeds[jobs.index(job)]
            if why := _stall(job, seed):
                unrouted[seed] = why
            return seed in unrouted

        _run(jobs, *outputs, step=lambda: step(_progress(jobs, seeds, unrouted)), hopeless=hopeless)
        if len(unrouted) == len(seeds):
            raise SynthesisError("; ".join(unrouted.values()))
        places = [read_place(seed, (folder / f"report{seed}.json").read_text(), job.output, device)
                  for seed, job in zip(seeds, jobs, strict=True) if seed not in unrouted]  # fmt: skip
        places.sort(key=lambda place: (-place.margin, place.seed))

        bitstream = b""
        if design.bitstream and places[0].margin >= 1:
            step("packing the bitstream")
            files = {"{routed}": f"routed{places[0].seed}", "{bitstream}": "bitstream"}
            packer, *options = device.pack
            command = (tools[packer].executable, *(files.get(option, option) for option in options))
            _run([Job(command=command, folder=folder, log="pack.log")], ("bitstream",))
            bitstream = (folder / "bitstream").read_bytes()
        sha256 = {"verilog": hashlib.sha256(design.verilog.encode()).hexdigest()}
        if bitstream:
            sha256["bitstream"] = hashlib.sha256(bitstream).hexdigest()
        return Synthesis(
            places=places, unrouted=sorted(unrouted), array_lut4=array_lut4, bitstream=bitstream, tools=tools, sha256=sha256
        )


def _place_job(design: Design, device: Device, tools: dict[str, Tool], folder: Path, seed: int) -> Job:
    files = {"{netlist}": "netlist.json", "{constraints}": "constraints", "{routed}": f"routed{seed}"}
    program, *options = device.place
    for name, file in files.items():
        options = [option.replace(name, file) for option in options]
    options += ["--freq", f"{design.frequency:g}", "--seed", str(seed), "--timing-allow-fail", "--report", f"report{seed}.json"]
    return Job(command=(tools[program].executable, *options), folder=folder, log=f"place{seed}.log")


def _run(
    jobs: Sequence[Job], *outputs: Sequence[str],
    step: Callable[[], None] = lambda: None, hopeless: Callable[[Job], bool] = lambda job: False,
) -> None:  # fmt: skip
    """Run jobs; a tool that dies may say nothing, so its exit status and its output files decide."""
    codes = run_jobs(jobs, workers=os.cpu_count() or 1, tick=step, hopeless=hopeless)
    for job, code, files in zip(jobs, codes, outputs, strict=True):
        tool = Path(job.command[0]).name
        if code is None:
            continue
        if code:
            how = f"was killed by signal {-code}" if code < 0 else f"failed with exit status {code}"
            raise SynthesisError(f"{tool} {how}{_last_error(job.output)}")
        for file in files:
            if not (job.folder / file).is_file() or not (job.folder / file).stat().st_size:
                raise SynthesisError(f"{tool} ended without its output {file}")


def _rounds(overused: int) -> int:
    """Rounds of the router that bring no fewer than ``overused`` wires used twice after which it is given up: those with few
    take a moment each, and often come to an end after a hundred."""
    return 30 if overused > _FEW else 300


def _stall(job: Job, seed: int) -> str:
    """Why not to wait for it, if nextpnr's placer or router goes on without getting on: it would do so for ever."""
    output = job.output_end
    steps = re.findall(r" iter=(\d+) steplen=", output)
    if steps and int(steps[-1]) >= _STEPS:
        return (
            f"seed {seed} is not placed: after {_STEPS:,} steps cells still lie on top of each other; try other seeds, or less "
            "memory or fewer multiplier blocks"
        )
    overused = [int(count) for count in re.findall(r" overused=(\d+)", output)]
    if overused and len(overused) - 1 - overused.index(min(overused)) >= (rounds := _rounds(min(overused))):
        return (
            f"seed {seed} does not route: {min(overused):,} wires are used twice, at best, and {rounds} more rounds made it no "
            "fewer; try other seeds, or fewer features, lanes, pixel buses, multiplier blocks or less memory"
        )
    return ""


def finish_netlist(path: Path, array: str, device: Device) -> int:
    """Make Yosys's netlist, in its own JSON, ready for place and route; returns the lookup tables of the instance ``array``.

    Raises `SynthesisError`.
    """
    try:
        netlist = Netlist(path)
        luts = netlist.luts(array, device.luts)
        if device.family == "ecp5":
            netlist.cut_carry_chains()
            netlist.absorb_output_registers()
            netlist.globalize_resets()
            netlist.place_blocks(array, device.sites)
            netlist.write(path)
    except ValueError as error:
        raise SynthesisError(str(error)) from None
    return luts


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return f": {errors[-1].removeprefix('ERROR:').strip()}" if errors else ""


def _progress(jobs: Sequence[Job], seeds: Sequence[int], unrouted: Container[int]) -> str:
    states = []
    for job, seed in zip(jobs, seeds, strict=True):
        output = job.output_end
        found = [(output.rfind(mark), stage) for mark, stage in _STAGES.items() if mark in output]
        state = max(found)[1] if found else "waiting"
        states.append(f"seed {seed} {'given up' if seed in unrouted else state}")
    return f"place and route: {', '.join(states)}"
