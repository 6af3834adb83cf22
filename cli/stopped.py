"""A run that the hardware did not finish: why, where, and what every engine and queue was waiting for."""

from collections.abc import Iterator

from ..hw.controller import DETAIL, ENGINES
from ..hw.isa import ErrorCode, Opcode
from ..hw.program import Program
from ..hw.tokens import TOKENS
from ..sim.rtl import RtlResult
from .errors import CommandError, Status

__all__ = ["stopped"]

_REASONS = {
    ErrorCode.ILLEGAL_OPCODE: "an instruction with an unknown opcode",
    ErrorCode.ILLEGAL_FIELD: "an instruction with an illegal field",
    ErrorCode.FETCH_BUS: "external memory answered an instruction fetch with an error",
    ErrorCode.LOAD_BUS: "external memory answered a LOAD with an error",
    ErrorCode.WEIGHTS_BUS: "external memory answered a weight load with an error",
    ErrorCode.STORE_BUS: "external memory answered a STORE with an error",
    ErrorCode.NO_PROGRESS: "no engine made progress",
    ErrorCode.PROGRAM_END: "the program ended without END",
}


def stopped(program: Program, run: RtlResult, predicted: int) -> CommandError:
    """The error for a run that stopped with an error code, or was stopped because it took too long."""
    registers = run.registers
    if run.error is ErrorCode.NONE:
        message = f"stopped: not done after {run.counted_cycles:,} cycles, ten times the predicted {predicted:,}"
        at = registers["INSTRUCTIONS"]
    else:
        message = f"stopped: {_REASONS[run.error]} ({run.error.name}) after {run.counted_cycles:,} cycles"
        at = run.error_pc
    return CommandError(message, Status.STOPPED, tuple(_details(program, run, at)))


def _details(program: Program, run: RtlResult, at: int) -> Iterator[str]:
    """Where it was, and the state of queues and tokens, a line each."""
    opcodes = [opcode for opcode, _ in program.decoded()]
    if at < len(opcodes):
        layers = [row.name for row in program.layers if _covers(row.first_instruction, row.last_instruction, at)]
        of_layer = f" of {layers[0]}" if layers else ""
        yield f"  at instruction {at} of {len(opcodes)}: {opcodes[at].name}{of_layer}"
    for token in TOKENS.members:
        total = opcodes.count(Opcode[token.upper()])
        yield f"  {token}: {run.registers[f'TOKENS_{token.upper()}']} of {total} finished"
    if run.error is ErrorCode.NONE:
        return
    detail = DETAIL.from_bits(run.error_detail & ((1 << DETAIL.size) - 1))
    for engine in ENGINES.members:
        if not detail.busy[engine]:
            continue
        wanted = [token for token in TOKENS.members if detail.waiting[engine][token]]
        waits = f"waits for tokens of {' and '.join(wanted)}" if wanted else "busy, waits for no token"
        queue = ", its queue is full" if detail.full[engine] else ""
        yield f"  {engine} engine: {waits}{queue}"
    if wanted := [token for token in TOKENS.members if detail.end[token]]:
        yield f"  END waits for tokens of {' and '.join(wanted)}"


def _covers(first: int | None, last: int | None, at: int) -> bool:
    return first is not None and last is not None and first <= at <= last
