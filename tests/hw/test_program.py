"""Program files."""

import struct
from pathlib import Path

import numpy as np
import pytest
from tilewright.hw.encoding import encode
from tilewright.hw.isa import Base, Opcode
from tilewright.hw.legality import verify_program
from tilewright.hw.program import HostStep, Program, ProgramError

from .example import example


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    program = example()
    verify_program(program)
    path = tmp_path / "example.twp"
    program.save(path)
    assert Program.load(path) == program
    assert Program.from_bytes(program.to_bytes()) == program
    assert [file.name for file in tmp_path.iterdir()] == ["example.twp"]
    assert Program.load(path).steps[1] == HostStep("SOFTMAX", ("y", "c"), ("p",), {"beta": 0.1, "axes": [1, 2]})


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "example.twp"
    example().save(path)
    before = path.read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        example("8x4").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_truncation_and_every_altered_byte_is_found() -> None:
    data = example().to_bytes()
    rng = np.random.default_rng(0)
    for size in {*range(40), *rng.integers(0, len(data), 60).tolist(), len(data) - 1}:
        with pytest.raises(ProgramError) as error:
            Program.from_bytes(data[:size])
        assert "\n" not in str(error.value)
    for at in {*range(60), *rng.integers(0, len(data), 200).tolist(), len(data) - 1}:
        with pytest.raises(ProgramError) as error:
            Program.from_bytes(data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :])
        assert "\n" not in str(error.value)
    with pytest.raises(ProgramError, match="altered: checksum of the file"):
        Program.from_bytes(data + b"\0")


def test_messages(tmp_path: Path) -> None:
    data = example().to_bytes()
    path = tmp_path / "foreign.bin"
    path.write_bytes(b"TFL3" * 10)
    with pytest.raises(ProgramError, match=r"foreign\.bin: not a Tilewright program$"):
        Program.load(path)
    with pytest.raises(ProgramError, match=r"^not a Tilewright program$"):
        Program.from_bytes(b"")
    with pytest.raises(ProgramError, match=r"^the program is truncated$"):
        Program.from_bytes(data[:-1])
    with pytest.raises(ProgramError, match=r"^the program has format version 3; this Tilewright reads version 2$"):
        Program.from_bytes(data[:8] + struct.pack("<I", 3) + data[12:])
    at = data.index(encode(Opcode.END, wait_load=1, wait_compute=1, wait_store=1))
    with pytest.raises(ProgramError, match=r"^the program is altered: checksum of section CODE$"):
        Program.from_bytes(data[:at] + b"\2" + data[at + 1 :])


def test_regions() -> None:
    program = example()
    assert program.region_bytes(Base.PROGRAM) == 5 * 64
    assert program.region_bytes(Base.INPUT) == program.region_bytes(Base.OUTPUT) == 80
    assert program.region_bytes(Base.WEIGHTS) == len(program.weights)
    assert program.region_bytes(Base.SCRATCH) == 64
