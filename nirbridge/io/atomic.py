"""Atomic writes: a file appears complete under its name, or the old one stays as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nirbridge.errors import UsageError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that takes its place when the block ends well.

    The caller writes to the yielded path (an empty file with the same ending). If the block
    raises, Ctrl-C included, the temporary file is removed and an old ``path`` stays untouched.
    The new file has mode 0666 & ~umask and is on the disk before it is renamed; a symbolic link
    is followed, so that it keeps pointing at the file that was written.

    Raises `UsageError` (NB710) where the folder does not exist or cannot be written.
    """
    goal = Path(os.path.realpath(path))
    if goal.is_dir():
        raise UsageError(f"{path}: is a folder, expected a file name", code="NB710", fix="name a file in it")
    try:
        # A dot in front keeps half-written files out of the way of patterns like *.nir.
        handle, name = tempfile.mkstemp(prefix=f".{goal.stem[:64]}-", suffix=goal.suffix, dir=goal.parent)
    except OSError as cause:
        raise UsageError(
            f"{path}: cannot write here ({cause.strerror})",
            code="NB710",
            fix="create the folder, or name another",
        ) from cause
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        temporary.replace(goal)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    with suppress(OSError):  # a folder cannot be synced on every system
        _sync(goal.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically (see `atomic_path`)."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` atomically as UTF-8 with ``\\n`` line ends (see `atomic_path`)."""
    write_bytes(path, content.encode("utf-8"))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """This process's umask; reading it means setting it for a moment."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
