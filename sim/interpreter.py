"""The golden model of the instruction set: it executes a program on numpy arrays, one instruction after the other.

It was written from `docs/architecture.md` and `hw/isa.py` alone, and decides what the hardware must compute. Whatever
the contract does not define (bytes that nobody wrote, weights that do not fit the passes, two reads of one bank) is an
`InterpreterError` here. `sim/hazards.py` says whether the tokens make the hardware keep the order that is taken here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.encoding import Fields
from ..hw.isa import BASES, POOL_SHIFT, Base, Combine, Mode, Opcode, Pool, Rounding
from ..hw.legality import check_fields, pooled_size, resolve_wait
from ..hw.params import BANKS
from ..hw.program import OnChipImage, Program
from .hazards import row_places, transfer_bytes
from .memory import memory_map, read_tensor
from .weight_stream import WeightStream

__all__ = ["Interpreter", "InterpreterError", "InterpreterResult", "requantize"]

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Hook = Callable[[int, Opcode, "Interpreter"], None]

_COUNTED = (Opcode.LOAD, Opcode.COMPUTE, Opcode.STORE)


class InterpreterError(RuntimeError):
    """The program does something that the contract does not define. One line, with the instruction's number."""


@dataclass(frozen=True)
class InterpreterResult:
    """What a run left: `outputs` by name with dtype and shape, `images` by name as int8 NHWC, all memory."""

    outputs: dict[str, npt.NDArray[Any]]
    images: dict[str, npt.NDArray[np.int8]]
    memory: Bytes
    scratchpad: Bytes


def requantize(x: Ints, multiplier: Ints, shift: Ints, rounding: Rounding) -> Ints:
    """`x` times `multiplier` / 2**`shift`, rounded (architecture: Requantization); `x` int32, `shift` 0 to 62."""
    first = shift if rounding is Rounding.SINGLE else np.minimum(shift, 31)
    y = (x * multiplier + _half(first)) >> first
    second = shift - first
    return np.where(second > 0, (y + _half(second) - (y < 0)) >> second, y)


def _half(shift: Ints) -> Ints:
    return (np.int64(1) << shift) >> 1


class Interpreter:
    """Executes a `program` of one run on external `memory` (uint8, changed in place), with a byte address for every
    base register.

    `hook` is called after every instruction with its number, its opcode and the interpreter. The scratchpad is
    `scratchpad[unit number, byte]`, where unit number = bank * units in a bank + unit address; `written` says which of
    its bytes hold anything.
    """

    def __init__(
        self, program: Program, memory: Bytes, bases: Mapping[Base, int] | None = None, hook: Hook | None = None
    ) -> None:
        if memory.dtype != np.uint8 or memory.ndim != 1:
            raise ValueError(f"memory: expected a vector of uint8, got {memory.dtype} of shape {memory.shape}")
        self.program = program
        self.params = program.params
        self.memory = memory
        self.bases = memory_map(program) if bases is None else dict(bases)
        if len(program.runs) != 1:
            raise ValueError(f"program: {len(program.runs)} runs; each of its parts is interpreted alone")
        if len(self.bases) != BASES:
            raise ValueError(f"bases: expected {BASES} addresses, got {len(self.bases)}")
        self._bank_units = self.params.bank_words * self.params.units
        self.scratchpad: Bytes = np.zeros((BANKS * self._bank_units, self.params.unit), np.uint8)
        self.written: Bools = np.zeros(self.scratchpad.shape, np.bool_)
        self._stream = WeightStream(self.params.cols)
        self._hook = hook

    def run(self) -> InterpreterResult:
        """Execute the whole program. Raises `InterpreterError`."""
        counts = dict.fromkeys(_COUNTED, 0)
        images: dict[str, npt.NDArray[np.int8]] = {}
        actions = {
            Opcode.END: self._end,
            Opcode.LOAD: self._load,
            Opcode.WEIGHTS: self._weights,
            Opcode.COMPUTE: self._compute,
            Opcode.STORE: self._store,
        }
        opcode = None
        for index, (opcode, fields) in enumerate(self.program.decoded()):
            try:
                for engine in _COUNTED:
                    resolve_wait(fields[f"wait_{engine.name.lower()}"], counts[engine])
                check_fields(opcode, fields, self.params)
                actions[opcode](fields)
            except (ValueError, InterpreterError) as error:
                raise InterpreterError(f"instruction {index} ({opcode.name}): {error}") from None
            if opcode in counts:
                counts[opcode] += 1
            for tensor in self.program.tensors:
                if tensor.last_instruction == index:
                    images[tensor.name] = self.image(tensor)
            if self._hook is not None:
                self._hook(index, opcode, self)
            if opcode is Opcode.END:
                break
        if opcode is not Opcode.END:
            raise InterpreterError("the program has no END")
        outputs = {tensor.name: read_tensor(self.memory, self.bases, tensor) for tensor in self.program.outputs}
        return InterpreterResult(outputs, images, self.memory, self.scratchpad.copy())

    def image(self, tensor: OnChipImage) -> npt.NDArray[np.int8]:
        """The tensor (NHWC) as it lies in the scratchpad now. Raises `InterpreterError` if a byte was never written."""
        _, rows, width, channels = tensor.shape
        place = {"bank": tensor.bank, "address": tensor.address, "row_step": tensor.row_step}
        bank, start = row_places(place, np.arange(rows))
        units = -(-channels // self.params.unit)
        offsets = np.arange(width)[:, None] * tensor.x_step + np.arange(units)
        where = self._places(bank[:, None, None], start[:, None, None] + offsets)
        if not self._used(self.written[where], channels).all():
            raise InterpreterError(f"tensor {tensor.name}: not all of it was written")
        return self._used(self.scratchpad[where], channels).view(np.int8).reshape(tensor.shape)

    # --- The scratchpad -----------------------------------------------------------------------------------

    def _places(self, bank: Ints, address: Ints, size: int = 1) -> Ints:
        """Unit numbers of `size` consecutive units, a last axis longer than the addresses if `size` is not 1."""
        address = address % (1 << 16)
        if address.size and address.max() + size > self._bank_units:
            raise InterpreterError(f"unit address {address.max()} is beyond a bank of {self._bank_units} units")
        if size == 1:
            return bank * self._bank_units + address
        if (address % size).any():
            raise InterpreterError(f"unit address {address[address % size != 0][0]} is not a multiple of a vector")
        return (bank * self._bank_units + address)[..., None] + np.arange(size)

    def _used(self, units: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
        """The first `count` bytes of each run of units: [..., units, bytes of a unit] to [..., count]."""
        flat = units.reshape(*units.shape[:-2], units.shape[-2] * units.shape[-1])
        return np.ascontiguousarray(flat[..., :count])

    def _read(self, bank: Ints, address: Ints, size: int, used: int, inside: Bools) -> npt.NDArray[np.int8]:
        """`used` of the `size` bytes at every address where `inside`, [..., used]; 0 elsewhere."""
        units = size // self.params.unit
        places = self._places(bank[inside], address[inside], units).reshape(-1, units)
        if not self._used(self.written[places], used).all():
            bad = places[~self._used(self.written[places], used).all(axis=-1)][0, 0]
            raise InterpreterError(f"reads bank {bad // self._bank_units} unit {bad % self._bank_units}, never written")
        result = np.zeros((*inside.shape, used), np.int8)
        result[inside] = self._used(self.scratchpad[places], used).view(np.int8)
        return result

    # --- Transfers ----------------------------------------------------------------------------------------

    def _external(self, opcode: Opcode, fields: Fields) -> Ints:
        places = self.bases[fields["base"]] + transfer_bytes(opcode, fields)
        if places.min() < 0 or places.max() >= len(self.memory):
            raise InterpreterError(f"bytes {places.min()} to {places.max()} are not in {len(self.memory)} of memory")
        return places

    def _pixels(self, fields: Fields) -> Ints:
        """Unit numbers of a transfer's image: [pixel, unit of its vectors]."""
        vectors = -(-fields["channels"] // self.params.vector)
        bank, start = row_places(fields, np.arange(fields["rows"]))
        offsets = np.arange(fields["width"] * vectors) * self.params.units
        places = self._places(bank[:, None], start[:, None] + offsets, self.params.units)
        return places.reshape(fields["rows"] * fields["width"], vectors * self.params.units)

    def _load(self, fields: Fields) -> None:
        pixels = self.memory[self._external(Opcode.LOAD, fields)].reshape(-1, fields["channels"])
        places = self._pixels(fields)
        words = np.zeros((len(places), places.shape[1] * self.params.unit), np.uint8)
        words[:, : fields["channels"]] = pixels
        self.scratchpad[places] = words.reshape(*places.shape, self.params.unit)
        self.written[places] = True

    def _store(self, fields: Fields) -> None:
        places = self._pixels(fields)
        if not self._used(self.written[places], fields["channels"]).all():
            raise InterpreterError("stores bytes that were never written")
        stream = self._used(self.scratchpad[places], fields["channels"])
        self.memory[self._external(Opcode.STORE, fields)] = stream.ravel()

    def _weights(self, fields: Fields) -> None:
        self._stream.put(fields, self.memory[self._external(Opcode.WEIGHTS, fields)])

    def _end(self, fields: Fields) -> None:
        self._stream.check_end()

    # --- COMPUTE ------------------------------------------------------------------------------------------

    def _compute(self, fields: Fields) -> None:
        passes = {Mode.DENSE: self._dense_pass, Mode.DEPTHWISE: self._depthwise_pass, Mode.PACKED: self._packed_pass}
        sums_of_pass = passes[fields["mode"]]
        if fields["residual"] and fields["mode"] is Mode.DEPTHWISE:
            self._check_residual_banks(fields)
        taps = fields["taps_y"] * fields["taps_x"] * fields["channels"]
        for block in range(fields["blocks"]):
            bias, multiplier, shift = self._stream.take_constants()
            total: npt.NDArray[np.int32] | None = None
            for number in range(taps):
                tap, channel = divmod(number, fields["channels"])
                tap_y, tap_x = divmod(tap, fields["taps_x"])
                last = channel == fields["channels"] - 1
                if fields["mode"] is Mode.PACKED:
                    last = tap_y == fields["taps_y"] - 1
                rows = fields["last_rows"] if last else fields["rows"]
                tile = self._stream.take("tile")
                if len(tile) != rows:
                    raise InterpreterError(f"the weight stream brings a tile of {len(tile)} rows, {rows} wanted")
                weights = tile[::-1].view(np.int8).astype(np.float64)
                sums = sums_of_pass(fields, block, tap_y, tap_x, channel, weights).astype(np.int32)
                if total is not None:
                    sums = np.maximum(total, sums) if fields["combine"] is Combine.MAX else total + sums
                total = sums
            assert total is not None
            biased = (total + bias).astype(np.int32).astype(np.int64)
            self._write_block(fields, block, requantize(biased, multiplier, shift, fields["rounding"]))

    def _axis(self, fields: Fields, tap_y: int, group: int = 0) -> tuple[Ints, Ints, Bools]:
        """Bank, unit address and whether it is inside the image, for the image row of each output row."""
        rows = tap_y * fields["tap_y_rows"] + np.arange(fields["out_rows"]) * fields["stride_y"] + group
        bank, start = row_places(fields, rows)
        line = fields["y"] + rows
        return bank, start, (line >= 0) & (line < fields["height"])

    def _taps(
        self, axis: tuple[Ints, Ints, Bools], columns: Ints, offsets: Ints, size: int, used: int, fields: Fields
    ) -> npt.NDArray[np.int8]:
        """What a tap sees at every output pixel, [out_rows, out_cols, used]: bytes of the image, or `pad` outside."""
        bank, start, inside_rows = axis
        inside = inside_rows[:, None] & ((columns >= 0) & (columns < fields["width"]))
        banks = np.broadcast_to(bank[:, None], inside.shape)
        data = self._read(banks, start[:, None] + offsets, size, used, inside)
        data[~inside] = fields["pad"]
        return data

    def _dense_pass(
        self, fields: Fields, block: int, tap_y: int, tap_x: int, channel: int, weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Sums of a pass, [out_rows, out_cols, cols], exact integers."""
        outputs = np.arange(fields["out_cols"])
        columns = fields["x"] + tap_x * fields["tap_x_cols"] + outputs * fields["stride_x"]
        offsets = outputs * fields["x_step"] + tap_x * fields["tap_x_step"]
        offsets = offsets + channel * (self.params.rows // self.params.unit)
        data = self._taps(self._axis(fields, tap_y), columns, offsets, self.params.rows, len(weights), fields)
        return data.astype(np.float64) @ weights

    def _depthwise_pass(
        self, fields: Fields, block: int, tap_y: int, tap_x: int, channel: int, weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Sums of a pass, [out_rows, out_cols, cols], exact integers: array row r is tap (r / group, r mod group)."""
        cols = self.params.cols
        sums = np.zeros((fields["out_rows"], fields["out_cols"], cols))
        for row in np.flatnonzero(weights.any(axis=1)):
            group, column = divmod(row, fields["group"])
            pixels = np.arange(fields["out_cols"]) * fields["stride_x"] + column
            columns = fields["x"] + tap_x * fields["tap_x_cols"] + pixels
            offsets = pixels * fields["x_step"] + tap_x * fields["tap_x_step"] + block * (cols // self.params.unit)
            sums += self._taps(self._axis(fields, tap_y, group), columns, offsets, cols, cols, fields) * weights[row]
        return sums

    def _packed_pass(
        self, fields: Fields, block: int, chunk: int, segment: int, channel: int, weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Sums of a pass, [out_rows, out_cols, cols]: array row r is the segment's tap chunk * rows + r."""
        unit = self.params.unit
        data = np.zeros((fields["out_rows"], fields["out_cols"], len(weights)))
        for row in np.flatnonzero(weights.any(axis=1)):
            kernel_row, byte = divmod(chunk * fields["rows"] + row, fields["group"])
            columns = (
                fields["x"] + segment * fields["tap_x_cols"] + byte + np.arange(fields["out_cols"]) * fields["x_step"]
            )
            bank, start, inside_rows = self._axis(fields, 0, kernel_row)
            inside = inside_rows[:, None] & ((columns >= 0) & (columns < fields["width"]))
            places = self._places(
                np.where(inside, bank[:, None], 0), np.where(inside, start[:, None] + columns // unit, 0)
            )
            if (inside & ~self.written[places, columns % unit]).any():
                raise InterpreterError(f"kernel row {kernel_row} byte {byte} reads bytes that were never written")
            seen = self.scratchpad.view(np.int8)[places, columns % unit]
            data[..., row] = np.where(inside, seen, fields["pad"])
        return data @ weights

    def _check_residual_banks(self, fields: Fields) -> None:
        """The last pass of a block must leave the residual operand a bank on every row; see Depthwise mode."""
        if fields["rows"] == fields["taps_y"] == fields["taps_x"] == 1:
            return
        rows = np.arange(fields["out_rows"])
        residual = (fields["res_bank"] + rows) % BANKS
        for group in range(fields["rows"] // fields["group"]):
            bank = self._axis(fields, fields["taps_y"] - 1, group)[0]
            if (bank == residual).any():
                row = rows[bank == residual][0]
                raise InterpreterError(f"output row {row}: residual and group {group} both read bank {residual[row]}")

    def _write_block(self, fields: Fields, block: int, values: Ints) -> None:
        """Clamp, add the residual operand, pool, and write; `values` is [out_rows, out_cols, cols]."""
        cols, units = self.params.cols, self.params.cols // self.params.unit
        result = np.clip(values + fields["zero_point"], fields["minimum"], fields["maximum"])
        rows = np.arange(fields["out_rows"])
        offsets = np.arange(fields["out_cols"]) * fields["out_x_step"] + block * units
        if fields["residual"]:
            if self._stream.tables is None:
                raise InterpreterError("residual without tables")
            bank, start = row_places(fields, rows, "res_", "res_row_step")
            everywhere = np.ones(result.shape[:2], np.bool_)
            banks = np.broadcast_to(bank[:, None], everywhere.shape)
            operand = self._read(banks, start[:, None] + offsets, cols, cols, everywhere)
            sums = self._stream.tables[result & 255, 0] + self._stream.tables[operand.view(np.uint8), 1]
            moved = sums + fields["res_offset"] - fields["res_tie"] * (sums < 0)
            result = (moved >> fields["res_shift"]) + fields["res_zero_point"]
            result = np.clip(result, fields["res_minimum"], fields["res_maximum"])
        result = _pooled(fields, result)
        bank, start = row_places(fields, rows[: len(result)], "out_", "out_row_step")
        places = self._places(bank[:, None], start[:, None] + offsets[: result.shape[1]], units)
        self.scratchpad[places] = result.astype(np.int8).view(np.uint8).reshape(*places.shape, self.params.unit)
        self.written[places] = True


def _pooled(fields: Fields, result: Ints) -> Ints:
    """What a COMPUTE writes of a block's results, [rows, columns, cols]."""
    if fields["pool"] is Pool.NONE:
        return result
    if fields["pool"] is Pool.AVERAGE:
        shift = POOL_SHIFT + fields["pool_shift"]
        total = result.sum(axis=(0, 1), keepdims=True)
        return (total * fields["pool_multiplier"] + (1 << shift - 1)) >> shift
    rows, columns = pooled_size(fields)
    high, wide = fields["pool_rows"], fields["pool_cols"]
    windows = result.reshape(rows, high, columns, wide, -1)
    largest: Ints = windows.max(axis=(1, 3))
    return largest
