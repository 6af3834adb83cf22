"""What `tilewright run` does, without its command line: compile, compute in every way, compare, count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..host.driver import Accelerator, Run
from ..hw.generate import Generated, generate
from ..hw.isa import ErrorCode
from ..hw.params import Parameters
from ..hw.program import Program
from ..mapper.compile import compile_model
from ..mapper.errors import UnsupportedError
from ..mapper.evaluate import evaluate
from ..mapper.ir import Graph
from ..sim.compact_rtl import simulate_compact
from ..sim.cycles import Prediction, predict
from ..sim.interpreter import Interpreter, InterpreterResult
from ..sim.memory import make_memory, read_tensor
from ..sim.rtl import MemoryOptions, RtlResult, simulate
from .compare import count_differences, instruction_ends
from .host_steps import run_steps
from .stopped import stopped

__all__ = ["Case", "Session", "Step"]

Array = npt.NDArray[Any]
Step = Callable[..., None]
"""Told what happens now: `step(what, fraction=None)`."""

_LIMIT: float = 10
"""A run is stopped after this many times the predicted cycles."""

_WATCHDOG = 100_000


def _silent(what: str, fraction: float | None = None) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Case:
    """What one case gave.

    `values` has every tensor outside the accelerator by name, the model's outputs among them. `differences` counts
    differing elements by comparison and tensor. `runs` has the simulation's own account of each run, `ends` the cycle
    in which each instruction finished, as if each run began when the one before it ended. Without a simulation `runs`
    is None. `board` has the runs on a board.
    """

    values: Mapping[str, Array] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)
    runs: tuple[RtlResult, ...] | None = None
    board: tuple[Run, ...] = ()

    @property
    def cycles(self) -> int:
        """Of all runs, as the bench counted them."""
        return sum(run.cycles for run in self.runs or ())

    @property
    def mismatches(self) -> int:
        """Differing elements over all comparisons."""
        return sum(sum(tensors.values()) for tensors in self.differences.values())


class Session:
    """A network on an accelerator, ready to run cases.

    `model` is a graph to compile for `params`, with additions and pools fused if `fuse`, or a program made for them. `memory` is
    the external memory of the simulation and of the prediction; `on_host` a reason for the
    host to run everything. Raises `UnsupportedError` for a network that cannot be compiled.
    """

    def __init__(
        self,
        model: Graph | Program,
        params: Parameters,
        *,
        fuse: bool = True,
        memory: MemoryOptions | None = None,
        on_host: str | None = None,
        step: Step = _silent,
    ) -> None:
        self.params = params
        self.memory = memory or MemoryOptions()
        self.on_host = on_host
        self._step = step
        self.graph = model if isinstance(model, Graph) else None
        step("compiling")
        if isinstance(model, Graph):
            model = compile_model(model, params, fuse=fuse, on_host=on_host)
        self.program = model
        self._unfused = self._compile_unfused() if fuse else None
        self.prediction: Prediction = predict(self.program, self.memory.model)
        self._generated: Generated | None = None
        self.clock_hz: int | None = None
        """Of the board that cases ran on."""

    @property
    def verilog_sha256(self) -> str | None:
        """Of the text that was simulated; None before a simulation."""
        return None if self._generated is None else self._generated.sha256

    def golden(self, inputs: Mapping[str, Array]) -> Case:
        """The interpreter's answer to a case, compared with the operators."""
        return self._golden(inputs)[0]

    def rtl(self, inputs: Mapping[str, Array]) -> Case:
        """The answer of the generated Verilog in Verilator, compared with the interpreter, and that with the operators.

        Raises `CommandError` with status 5 if the hardware stopped or took too long.
        """
        if self._generated is None:
            self._step(f"generating the Verilog of {self.params.array} (kept for the next time)")
            self._generated = generate(self.params)
        verilog = self._generated.verilog
        golden, expected = self._golden(inputs)
        runs: list[RtlResult] = []
        differences: list[dict[str, int]] = []
        ends: dict[int, int] = {}

        def accelerate(number: int, part: Program, values: Mapping[str, Array]) -> dict[str, Array]:
            memory, bases = make_memory(part, values)
            self._step("simulating" if len(expected) == 1 else f"simulating run {number + 1} of {len(expected)}")
            run = self._simulate(verilog, part, memory.tobytes(), bases)
            assert run.trace is not None
            start, first = sum(former.cycles for former in runs), self.program.runs[number].first
            finished = instruction_ends(part, run.trace) | {len(part) - 1: run.cycles}
            ends.update({first + index: start + cycle for index, cycle in finished.items()})
            runs.append(run)
            left = np.frombuffer(run.memory, np.uint8)
            outputs = {tensor.name: read_tensor(left, bases, tensor) for tensor in part.outputs}
            images = run.trace.images(part)
            on_chip = count_differences(expected[number].images, images, expected[number].images)
            stored = count_differences(expected[number].outputs, outputs, expected[number].outputs)
            differences.append(_joined(on_chip, stored))
            return outputs

        values = run_steps(self.program, inputs, accelerate)
        all_differences = dict(golden.differences) | {"RTL against interpreter": _joined(*differences)}
        return Case(values, all_differences, ends, tuple(runs))

    def on_board(self, accelerator: Accelerator, inputs: Mapping[str, Array]) -> Case:
        """The answer of an accelerator that has the program loaded, compared with the interpreter."""
        golden, expected = self._golden(inputs)
        runs: list[Run] = []
        differences: list[dict[str, int]] = []

        def accelerate(number: int, part: Program, values: Mapping[str, Array]) -> Mapping[str, Array]:
            self._step("running on the board")
            run = accelerator.run(values, number)
            runs.append(run)
            differences.append(count_differences(expected[number].outputs, run.outputs, expected[number].outputs))
            return run.outputs

        values = run_steps(self.program, inputs, accelerate)
        all_differences = dict(golden.differences) | {"board against interpreter": _joined(*differences)}
        return Case(values, all_differences, board=tuple(runs))

    def _golden(self, inputs: Mapping[str, Array]) -> tuple[Case, list[InterpreterResult]]:
        self._step("interpreting")
        values, results = _interpret(self.program, inputs)
        differences: dict[str, Mapping[str, int]] = {}
        if self.graph is not None:
            operators = evaluate(self.graph, inputs)
            counts = [count_differences(operators, result.images, result.images) for result in results]
            counts += [count_differences(operators, result.outputs, result.outputs) for result in results]
            outside = set(values) - {name for result in results for name in result.outputs}
            counts.append(count_differences(operators, values, sorted(outside)))
            differences["interpreter against operators"] = _joined(*counts)
            if self._unfused is not None:
                _, unfused = _interpret(self._unfused, inputs)
                images = {name: image for result in unfused for name, image in result.images.items()}
                swallowed = images.keys() - {name for result in results for name in result.images}
                missed = count_differences(operators, images, swallowed)
                differences["unfused, interpreter against operators"] = missed
        return Case(values, differences), results

    def _compile_unfused(self) -> Program | None:
        """A program that stores what fusion swallows; None if nothing is swallowed, or without the memory for it."""
        if self.graph is None or not any(layer.fused_into and layer.output for layer in self.program.layers):
            return None
        try:
            return compile_model(self.graph, self.params, fuse=False)
        except UnsupportedError:
            return None

    def _simulate(self, verilog: str, part: Program, memory: bytes, bases: Mapping[Any, int]) -> RtlResult:
        predicted = predict(part, self.memory.model).total
        limit = int(_LIMIT * predicted)
        array = self.params.array

        def progress(fraction: float, what: str) -> None:
            self._step(f"building the simulator for {array} (once; about a minute)", fraction)

        if self.params.compact:
            run = simulate_compact(part, memory, bases, verilog, max_cycles=limit, trace=True, progress=progress)
            if not run.finished or run.error is not ErrorCode.NONE:
                raise stopped(part, run, predicted)
            return run
        run = simulate(
            memory,
            bases,
            self.params,
            verilog,
            program_length=len(part),
            watchdog=max(_WATCHDOG, 10 * self.memory.latency),
            max_cycles=limit,
            options=self.memory,
            trace=True,
            progress=progress,
        )
        if not run.finished or run.error is not ErrorCode.NONE:
            raise stopped(part, run, predicted)
        return run


def _joined(*counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name, added up: a tensor may be stored on chip and in external memory."""
    names = dict.fromkeys(name for count in counts for name in count)
    return {name: sum(count.get(name, 0) for count in counts) for name in names}


def _interpret(program: Program, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], list[InterpreterResult]]:
    results: list[InterpreterResult] = []

    def accelerate(number: int, part: Program, values: Mapping[str, Array]) -> Mapping[str, Array]:
        results.append(Interpreter(part, *make_memory(part, values)).run())
        return results[-1].outputs

    return run_steps(program, inputs, accelerate), results
