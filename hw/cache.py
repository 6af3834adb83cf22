"""What takes long to make is kept in the user's cache folder: written whole, by one process at a time."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "making", "write_whole"]


def cache_folder() -> Path:
    """The platform's user cache folder, or TILEWRIGHT_CACHE."""
    return Path(os.environ.get("TILEWRIGHT_CACHE") or platformdirs.user_cache_dir("tilewright"))


@contextlib.contextmanager
def making(path: Path) -> Iterator[None]:
    """Hold the right to make ``path``; whoever wants the same waits here, and then finds it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back with the file, however the process ends
        yield


def write_whole(path: Path, text: str) -> Path:
    """Write a file under another name and rename it, so that nobody ever sees half of it. An ``OSError`` names ``path``."""
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except BaseException as error:
        Path(scratch).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = str(path)
        raise
    return path
