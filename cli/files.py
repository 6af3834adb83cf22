"""Output files: whole or not at all, whatever happens on the way."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .errors import CommandError, cannot_write

__all__ = ["Content", "check_writable", "json_bytes", "write_files"]

Content = bytes | Callable[[BinaryIO], object]


def write_files(files: Mapping[Path, Content]) -> None:
    """Write each path's content, or what it writes when called with the open file; missing folders are made.

    Until all of all files is on the disk they have other names, in the same folders; folders that stay empty are
    removed. Raises `CommandError`.
    """
    with ExitStack() as undo:
        staged = []
        for path, content in files.items():
            try:
                if path.exists() and not path.is_file():
                    # A pipe or a terminal, such as /dev/stdout, has no other name.
                    with path.open("wb") as stream:
                        _fill(stream, content)
                    continue
                target = path.resolve()
                missing = [folder for folder in target.parents if not folder.exists()]
                for folder in reversed(missing):
                    folder.mkdir(exist_ok=True)
                    undo.callback(_remove_if_empty, folder)
                temporary = _beside(target)
                undo.callback(temporary.unlink, missing_ok=True)
                with temporary.open("xb") as file:
                    _fill(file, content)
                    file.flush()
                    os.fsync(file.fileno())
                staged.append((path, temporary, target))
            except OSError as error:
                raise cannot_write(path, error) from None
        for path, temporary, target in staged:
            try:
                temporary.replace(target)
            except OSError as error:
                raise cannot_write(path, error) from None


def json_bytes(values: Any) -> bytes:
    """Values as JSON for people and scripts."""
    return (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()


def check_writable(*paths: Path | None) -> None:
    """Refuse output files that could not be written, before long work; None stands for a file not asked for."""
    for path in filter(None, paths):
        try:
            if path.is_dir():
                raise CommandError(f"cannot write {path}: it is a folder")
            if path.exists():
                if not os.access(path, os.W_OK):
                    raise CommandError(f"cannot write {path}: permission denied")
                continue
            folder = next(parent for parent in path.resolve().parents if parent.exists())
            probe = _beside(folder / "probe")
            probe.open("xb").close()
            probe.unlink()
        except OSError as error:
            raise cannot_write(path, error) from None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _fill(file: BinaryIO, content: Content) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content)
