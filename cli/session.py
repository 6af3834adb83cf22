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
from ..sim.cycles import Prediction, predict
from ..sim.interpreter import Interpreter, InterpreterResult
from ..sim.latencies import MemoryModel
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
    differing elements by comparison and tensor. `ends` is the cycle in which each instruction finished, `rtl` the
    simulation's own account; both are absent if nothing was simulated. `board` is a run on a board.
    """

    values: Mapping[str, Array] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)
    rtl: RtlResult | None = None
    board: Run | None = None

    @property
    def mismatches(self) -> int:
        """Differing elements over all comparisons."""
        return sum(sum(tensors.values()) for tensors in self.differences.values())


class Session:
    """A network on an accelerator, ready to run cases.

    `model` is a graph to compile for `params`, with additions and pools fused if `fuse`, or a program made for them. `memory` is
    the external memory of the simulation and of the prediction. Raises `UnsupportedError` for a network that cannot be
    compiled.
    """

    def __init__(
        self,
        model: Graph | Program,
        params: Parameters,
        *,
        fuse: bool = True,
        memory: MemoryOptions | None = None,
        step: Step = _silent,
    ) -> None:
        self.params = params
        self.memory = memory or MemoryOptions()
        self._step = step
        self.graph = model if isinstance(model, Graph) else None
        step("compiling")
        self.program = compile_model(model, params, fuse=fuse) if isinstance(model, Graph) else model
        self._unfused = self._compile_unfused() if fuse else None
        options = self.memory
        timing = MemoryModel(latency=options.latency, write_latency=options.write_latency, bandwidth=options.bandwidth)
        self.prediction: Prediction = predict(self.program, timing)
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

        def accelerate(values: Mapping[str, Array]) -> dict[str, Array]:
            memory, bases = make_memory(self.program, values)
            self._step("simulating")
            runs.append(self._simulate(verilog, memory.tobytes(), bases))
            left = np.frombuffer(runs[0].memory, np.uint8)
            return {tensor.name: read_tensor(left, bases, tensor) for tensor in self.program.outputs}

        values = run_steps(self.program, inputs, accelerate)
        (run,) = runs
        assert run.trace is not None
        self._step("comparing")
        images = run.trace.images(self.program)
        on_chip = count_differences(expected.images, images, expected.images)
        stored = count_differences(expected.outputs, values, expected.outputs)
        differences = dict(golden.differences) | {"RTL against interpreter": _joined(on_chip, stored)}
        return Case(values, differences, instruction_ends(self.program, run.trace), run)

    def on_board(self, accelerator: Accelerator, inputs: Mapping[str, Array]) -> Case:
        """The answer of an accelerator that has the program loaded, compared with the interpreter."""
        golden, expected = self._golden(inputs)
        runs: list[Run] = []

        def accelerate(values: Mapping[str, Array]) -> Mapping[str, Array]:
            self._step("running on the board")
            runs.append(accelerator.run(values))
            return runs[0].outputs

        values = run_steps(self.program, inputs, accelerate)
        stored = count_differences(expected.outputs, values, expected.outputs)
        differences = dict(golden.differences) | {"board against interpreter": stored}
        return Case(values, differences, board=runs[0])

    def _golden(self, inputs: Mapping[str, Array]) -> tuple[Case, InterpreterResult]:
        self._step("interpreting")
        values, result = _interpret(self.program, inputs)
        differences: dict[str, Mapping[str, int]] = {}
        if self.graph is not None:
            operators = evaluate(self.graph, inputs)
            images = count_differences(operators, result.images, result.images)
            outputs = count_differences(operators, result.outputs, result.outputs)
            differences["interpreter against operators"] = _joined(images, outputs)
            if self._unfused is not None:
                _, unfused = _interpret(self._unfused, inputs)
                swallowed = unfused.images.keys() - result.images.keys()
                missed = count_differences(operators, unfused.images, swallowed)
                differences["unfused, interpreter against operators"] = missed
        return Case(values, differences), result

    def _compile_unfused(self) -> Program | None:
        """A program that stores what fusion swallows; None if nothing is swallowed, or without the memory for it."""
        if self.graph is None or not any(layer.fused_into for layer in self.program.layers):
            return None
        try:
            return compile_model(self.graph, self.params, fuse=False)
        except UnsupportedError:
            return None

    def _simulate(self, verilog: str, memory: bytes, bases: Mapping[Any, int]) -> RtlResult:
        limit = int(_LIMIT * self.prediction.total)
        array = self.params.array

        def progress(fraction: float, what: str) -> None:
            self._step(f"building the simulator for {array} (once; about a minute)", fraction)

        run = simulate(
            memory,
            bases,
            self.params,
            verilog,
            program_length=len(self.program),
            watchdog=max(_WATCHDOG, 10 * self.memory.latency),
            max_cycles=limit,
            options=self.memory,
            trace=True,
            progress=progress,
        )
        if not run.finished or run.error is not ErrorCode.NONE:
            raise stopped(self.program, run, self.prediction.total)
        return run


def _joined(*counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name, added up: a tensor may be stored on chip and in external memory."""
    names = dict.fromkeys(name for count in counts for name in count)
    return {name: sum(count.get(name, 0) for count in counts) for name in names}


def _interpret(program: Program, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], InterpreterResult]:
    results: list[InterpreterResult] = []

    def accelerate(values: Mapping[str, Array]) -> Mapping[str, Array]:
        results.append(Interpreter(program, *make_memory(program, values)).run())
        return results[0].outputs

    return run_steps(program, inputs, accelerate), results[0]
