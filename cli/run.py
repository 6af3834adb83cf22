"""`tilewright run`: a network on an accelerator, compared tensor by tensor and counted cycle by cycle."""

from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import click
import numpy as np
import numpy.typing as npt

from ..host.driver import MemoryMap
from ..hw.params import Parameters
from ..hw.presets import Preset, find_preset
from ..hw.program import HostStep, Program
from ..mapper.errors import TooLargeError
from ..mapper.host_steps import read_tensors
from ..mapper.ir import Graph, Quantize, Tensor
from ..sim.rtl import MemoryOptions
from .board import BOARD_MEMORY, DEFAULT_BAUD, check_port, run_on_board
from .errors import CommandError, Status
from .files import Content, check_writable, json_bytes, write_files
from .inputs import Cases, InputSpec, random_cases, read_cases, stack
from .model import check_target, open_model
from .options import NO_TARGET, json_option, model_argument, read_target, target_options
from .progress import Steps
from .report import Report, make_report, print_report
from .session import Case, Session
from .tables import print_text

__all__ = ["input_spec", "input_specs", "run_command"]


@click.command("run", short_help="run it: RTL against golden models, cycles by layer")
@model_argument
@target_options
@click.option(
    "--input",
    "input_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="One case shaped like the model's input, or several along a first axis, as .npy; or a .npz with input_0, "
    "input_1, ... Without it: one seeded random case.",
)
@click.option(
    "--engine",
    type=click.Choice(["rtl", "cycles", "golden", "board"]),
    default="rtl",
    show_default=True,
    help="rtl: the generated Verilog in Verilator; cycles: the cycle model alone; golden: the interpreter alone, or "
    "the operators alone for a network that does not fit; board: "
    "the FPGA at --port.",
)
@click.option("--port", metavar="PORT", help="Serial port of the board, such as /dev/ttyUSB0.")
@click.option(
    "--baud", type=click.IntRange(300, 12_000_000), help=f"Rate of the board's serial port.  [default: {DEFAULT_BAUD}]"
)
@click.option(
    "--output",
    "output_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the answers to FILE (.npz) as output_0, output_1, ...",
)
@json_option
@click.option(
    "--no-fuse", is_flag=True, help="Keep additions and pools apart from the layers before them; compare those in RTL too."
)
@click.option(
    "--latency",
    type=click.IntRange(1, 100_000),
    help="Cycles from a read address to its first beat.  [default: 20, with --board that of the memory on its FPGA]",
)
@click.option(
    "--bandwidth",
    type=click.IntRange(1, 100),
    help="Percent of cycles in which a beat passes.  [default: 100]",
)
@click.option("--axi-bits", type=click.Choice(["32", "64", "128"]), help="Width of the memory port of the target.")
def run_command(
    model: str,
    array: str | None,
    board: str | None,
    config: Path | None,
    input_path: Path | None,
    engine: str,
    port: str | None,
    baud: int | None,
    output_path: Path | None,
    json_path: Path | None,
    no_fuse: bool,
    latency: int | None,
    bandwidth: int | None,
    axi_bits: str | None,
) -> None:
    """Run MODEL on TARGET, and compare every tensor that the program stores: RTL against the interpreter of programs,
    the interpreter against the operators of TensorFlow Lite.

    A program made by `compile` needs no TARGET; if there is one it must be the program's. Building the simulator takes
    about a minute the first time for each target, and no time after that.
    """
    if output_path is not None and engine == "cycles":
        raise CommandError("--output: the engine `cycles` computes no values; use rtl or golden")
    memory = _memory(engine, board, latency, bandwidth)
    check_port(engine, port, baud)
    check_writable(output_path, json_path)
    params = read_target(array, board, config, int(axi_bits) if axi_bits else None)
    opened = open_model(model)
    if isinstance(opened, Program):
        if no_fuse:
            raise CommandError(f"--no-fuse: {model} is a program, compiled already; give the model")
        check_target(model, opened, params)
        params = params or opened.params
    if params is None:
        raise CommandError(NO_TARGET)
    if params.compact and (latency is not None or bandwidth is not None):
        raise CommandError("--latency and --bandwidth: this accelerator has no external memory")
    with Steps() as steps:
        session = _session(opened, params, engine, fuse=not no_fuse, memory=memory, step=steps)
        cases = _cases(session.program, input_path)
        if port is not None:
            answers = run_on_board(session, cases, port, baud or DEFAULT_BAUD, steps)
        else:
            answers = _run(session, engine, cases)
        report = make_report(session, engine, answers)
    files: dict[Path, Content] = {}
    if output_path is not None:
        files[output_path] = _as_npz(session.program, answers, cases.axis)
    if json_path is not None:
        files[json_path] = json_bytes(report.to_json())
    write_files(files)
    print_report(report)
    if board is not None and latency is None:
        _print_size(session.program, find_preset(board))
    if session.on_host is not None:
        print_text(f"Everything ran on the host: {session.on_host}.")
    _judge(report)


def input_specs(program: Program) -> list[InputSpec]:
    """The model's inputs, in its order."""
    tensors = read_tensors(program)
    names = program.model_inputs or [tensor.name for tensor in program.inputs]
    host = [step for step in program.steps if isinstance(step, HostStep)]
    readers = {step.inputs[0]: step.outputs[0] for step in host if step.op == Quantize.KIND}
    return [input_spec(tensors[name], tensors.get(readers.get(name, ""))) for name in names]


def input_spec(tensor: Tensor, quantized: Tensor | None) -> InputSpec:
    """An input; `quantized` is what a QUANTIZE makes of it, if one reads it."""
    reach = None
    if tensor.dtype == "float32" and quantized is not None:
        limits = np.iinfo(quantized.dtype)
        reach = (
            (limits.min - quantized.zero_point) * quantized.scale,
            (limits.max - quantized.zero_point) * quantized.scale,
        )
    return InputSpec(tensor.name, tensor.dtype, tensor.shape, reach)


def _memory(engine: str, board: str | None, latency: int | None, bandwidth: int | None) -> MemoryOptions:
    """The external memory of a simulation: the board's, if there is one, but for what was asked for."""
    if engine == "board" and (latency is not None or bandwidth is not None):
        raise CommandError("--latency and --bandwidth: are of a simulated memory; the engine `board` has its own")
    memory = MemoryOptions() if board is None and engine != "board" else BOARD_MEMORY
    asked = {name: value for name, value in (("latency", latency), ("bandwidth", bandwidth)) if value is not None}
    return replace(memory, **asked)


def _print_size(program: Program, preset: Preset) -> None:
    """Say so if the program needs more external memory than the board's bitstream has."""
    needed, kib = MemoryMap.of(program).end, preset.memory_kib
    if not preset.params.compact and needed > 1024 * kib:
        print_text(f"It needs {-(-needed // 1024)} KiB of external memory; the bitstream of {preset.name} has {kib} KiB.")


def _session(model: Graph | Program, params: Parameters, engine: str, **options: Any) -> Session:
    """A session; of a network that does not fit on chip one on the host alone, if the engine can do without the
    accelerator."""
    try:
        return Session(model, params, **options)
    except TooLargeError as error:
        if engine != "golden":
            raise
        return Session(model, params, **options, on_host=error.reason)


def _cases(program: Program, path: Path | None) -> Cases:
    specs = input_specs(program)
    return random_cases(specs) if path is None else read_cases(path, specs)


def _run(session: Session, engine: str, cases: Cases) -> list[Case]:
    if engine == "cycles":
        return []
    compute = session.rtl if engine == "rtl" else session.golden
    return [compute(case) for case in cases.cases]


def _as_npz(program: Program, answers: list[Case], axis: str) -> Content:
    arrays: dict[str, npt.NDArray[Any]] = {
        f"output_{index}": stack([case.values[name] for case in answers], axis)
        for index, name in enumerate(program.model_outputs)
    }

    def save(file: BinaryIO) -> None:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy takes them for allow_pickle, too

    return save


def _judge(report: Report) -> None:
    """Raise `CommandError` unless everything compared was equal."""
    if report.mismatches:
        details = [
            f"  {comparison}: {name}: {count:,} elements"
            for comparison, tensors in report.mismatched_tensors.items()
            for name, count in tensors.items()
        ]
        raise CommandError(f"mismatch: {report.mismatches:,} elements differ", Status.MISMATCH, details)
    if report.counted_cycles is not None and report.counted_cycles != report.cycles:
        message = f"mismatch: the bench counted {report.cycles} cycles, the accelerator {report.counted_cycles}"
        raise CommandError(message, Status.MISMATCH)
