"""
The file of a SQLite database, watched: an open file can be deleted or replaced under us without SQLite noticing.

What is then written is acknowledged and gone. So the file is looked at before each transaction. It holds what the
service knows of its callers and is readable by its owner alone, and so are the files that SQLite lays beside it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple

OWNER_ALONE: Final = 0o600


class FileChangedError(OSError):
    """The database file is not the one that was opened; the message says in words what happened, without a path."""


class _Identity(NamedTuple):
    """Which file it is, whatever its name."""

    device: int
    inode: int


class DatabaseFile:
    """The file at a path; which one it is, is settled when it is first opened, also for a fork of this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log, self._shared = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
        self._opened: _Identity | None = None

    def open(self) -> None:
        """Before a connection: make the file if there was none yet, and see that its owner alone can read it."""
        if self._opened is not None:
            self.check()  # a new connection must not make a new, empty file in the place of the one that is gone
        else:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ALONE))
            self._opened = _identity(self._path)
        for path in (self._path, self._log, self._shared):
            # Somebody else's file is not ours to change; then it is not ours to write either, and SQLite says so.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if path.stat().st_mode & 0o077:
                    path.chmod(OWNER_ALONE)

    def check(self) -> None:
        """Before a transaction: raises `FileChangedError` when the file at the path is not the one that was opened."""
        found = _identity(self._path)
        if found is None:
            raise FileChangedError("the database file was deleted or moved")
        if found != self._opened:
            raise FileChangedError("the database file was replaced; restart the service to use the new one")

    def log(self) -> tuple[int, int] | None:
        """Which file the write-ahead log is; None when there is none."""
        return _identity(self._log)

    def check_log(self, known: tuple[int, int] | None) -> None:
        """Raises `FileChangedError` when the write-ahead log is not the one that a connection has been writing to."""
        if known is not None and self.log() != known:
            raise FileChangedError("the write-ahead log was deleted or replaced; stop the service to save it")


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _Identity(found.st_dev, found.st_ino)
