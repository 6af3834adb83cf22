"""Programs as text: a line per instruction, and notes that say which layer and tensor it belongs to."""

from collections.abc import Iterator

from .encoding import Fields
from .isa import CONSTANT_VECTORS, POOL_SHIFT, Combine, Mode, Opcode, Pool, Rounding, Stream
from .program import HostStep, Program

__all__ = ["describe", "disassemble"]

_TOKENS = {Opcode.LOAD: "L", Opcode.COMPUTE: "C", Opcode.STORE: "S"}


def describe(opcode: Opcode, fields: Fields) -> str:
    """What an instruction does, without its tokens; addresses in units, `@` stands before bank and address."""
    match opcode:
        case Opcode.LOAD:
            return f"{_external(fields)} -> {_image(fields)}"
        case Opcode.STORE:
            return f"{_image(fields)} -> {_external(fields)}"
        case Opcode.WEIGHTS:
            return f"{fields['base'].name.lower()}+{fields['offset']:#x} {fields['bytes']} bytes, {_stream(fields)}"
        case Opcode.COMPUTE:
            return _compute(fields)
    return ""


def disassemble(program: Program) -> str:
    """A listing of the whole program. Raises `ProgramError` for an instruction that cannot be decoded.

    Columns: number; the token that the instruction gives (L, C or S and its count); opcode; the tokens that it waits
    for; what it does. Notes stand before each run of several, before the first instruction of a layer and behind the
    last one of a tensor.
    """
    size = f"{len(program)} instructions, {len(program.weights)} bytes of weights"
    lines = [f"; {program.model or 'program'} for {program.params.array}, {size}"]
    for kind, tensors in (("in ", program.inputs), ("out", program.outputs)):
        for tensor in tensors:
            place = f"{tensor.base.name.lower()}+{tensor.offset:#x}"
            lines.append(f"; {kind} {tensor.name} {_shape(tensor.shape)} {tensor.dtype} {place}")
    parts = iter(zip(program.runs, program.parts, strict=True))
    for step in program.steps:
        if isinstance(step, HostStep):
            lines.append(f"; host {step.op} {', '.join(step.inputs)} -> {', '.join(step.outputs)}")
            continue
        run, part = next(parts)
        if len(program.runs) > 1:
            names = (", ".join(tensor.name for tensor in tensors) for tensors in (part.inputs, part.outputs))
            lines.append(f"; run {' -> '.join(names)}")
        lines += _listing(part, run.first)
    return "\n".join(lines) + "\n"


def _listing(program: Program, first: int) -> Iterator[str]:
    """The lines of a program of one run, whose instructions count from `first` on."""
    counts = dict.fromkeys(_TOKENS, 0)
    for index, (opcode, fields) in enumerate(program.decoded()):
        for row in program.layers:
            if row.first_instruction == index and row.fused_into is None:
                yield f"; {row.op} {row.name}"
        token = ""
        if opcode in counts:
            counts[opcode] += 1
            token = f"{_TOKENS[opcode]}{counts[opcode]}"
        names = ((letter, fields[f"wait_{counted.name.lower()}"]) for counted, letter in _TOKENS.items())
        waits = " ".join(f"{letter}{count}" for letter, count in names if count)
        yield f"{first + index:5} {token:5} {opcode.name:8}{waits:18}{describe(opcode, fields)}".rstrip()
        for tensor in program.tensors:
            if tensor.last_instruction == index:
                place = f"@{tensor.bank}:{tensor.address} row {tensor.row_step} x {tensor.x_step}"
                yield f"; = {tensor.name} {_shape(tensor.shape)} {place}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _external(fields: Fields) -> str:
    runs = f"{fields['runs']} x {fields['run_bytes']} bytes, pitch {fields['run_pitch']}"
    return f"{fields['base'].name.lower()}+{fields['offset']:#x} {runs}"


def _image(fields: Fields) -> str:
    shape = f"{fields['rows']}x{fields['width']}x{fields['channels']}"
    return f"@{fields['bank']}:{fields['address']} row {fields['row_step']} {shape}"


def _stream(fields: Fields) -> str:
    if fields["stream"] is Stream.TABLES:
        return "residual tables"
    rows = f"{fields['tiles'] - 1} x {fields['rows']} + " if fields["tiles"] > 1 else ""
    tiles = f"{fields['groups']} x ({rows}{fields['last_rows']}) rows"
    return f"{fields['blocks']} blocks of {CONSTANT_VECTORS} constants, {tiles}"


def _compute(fields: Fields) -> str:
    f = fields
    passes = f"{f['taps_y']}x{f['taps_x']}x{f['channels']}"
    kind = f["mode"].name.lower()
    if f["mode"] is not Mode.DENSE:
        kind += f" group {f['group']}"
    if f["mode"] is Mode.DEPTHWISE:
        kind += f" period {f['period']}"
    rows = f"rows {f['rows']}" if f["rows"] == f["last_rows"] else f"rows {f['rows']}/{f['last_rows']}"
    parts = [
        f"{kind} {f['out_rows']}x{f['out_cols']} blocks {f['blocks']} passes {passes} {rows}",
        f"stride {f['stride_y']},{f['stride_x']} tap {f['tap_y_rows']},{f['tap_x_cols']}",
        f"in @{f['bank']}:{f['address']} row {f['row_step']} x {f['x_step']} tap {f['tap_x_step']}",
        f"at {f['y']},{f['x']} of {f['height']}x{f['width']} pad {f['pad']}",
        f"out @{f['out_bank']}:{f['out_address']} row {f['out_row_step']} x {f['out_x_step']}",
        f"zero {f['zero_point']} {f['minimum']}..{f['maximum']}",
    ]
    if f["combine"] is Combine.MAX:
        parts.append("max")
    if f["rounding"] is Rounding.SINGLE:
        parts.append("single")
    if f["residual"]:
        parts.append(
            f"residual @{f['res_bank']}:{f['res_address']} row {f['res_row_step']} offset {f['res_offset']}"
            f" shift {f['res_shift']} tie {f['res_tie']} zero {f['res_zero_point']} {f['res_minimum']}..{f['res_maximum']}"
        )
    if f["pool"] is Pool.MAX:
        parts.append(f"max pool {f['pool_rows']}x{f['pool_cols']}")
    elif f["pool"] is Pool.AVERAGE:
        parts.append(f"average pool multiplier {f['pool_multiplier']} shift {POOL_SHIFT + f['pool_shift']}")
    return "; ".join(parts)
