"""Files are written whole, and where the user said."""

import os
import stat
from pathlib import Path

import pytest
from tilewright.cli.errors import CommandError
from tilewright.cli.files import check_writable, write_files


def test_write_replaces(tmp_path: Path):
    path = tmp_path / "a.bin"
    for content in (b"first, and longer", b"second"):
        write_files({path: content})
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_write_makes_folders_and_keeps_links(tmp_path: Path):
    target = tmp_path / "deep" / "er" / "a"
    link = tmp_path / "link"
    link.symlink_to(target)
    write_files({link: b"x"})
    assert link.is_symlink()
    assert target.read_bytes() == b"x"


def test_the_users_mask_counts(tmp_path: Path):
    former = os.umask(0o027)
    try:
        write_files({tmp_path / "a": b""})
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_all_files_or_none(tmp_path: Path):
    def broken(file: object) -> None:
        raise OSError("no")

    with pytest.raises(CommandError, match="cannot write"):
        write_files({tmp_path / "a": b"a", tmp_path / "b": broken})
    assert not list(tmp_path.iterdir())


def test_check_writable_leaves_nothing(tmp_path: Path):
    check_writable(None, tmp_path / "new", tmp_path / "deep" / "new", Path("/dev/null"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(CommandError, match="a folder"):
        check_writable(tmp_path)
