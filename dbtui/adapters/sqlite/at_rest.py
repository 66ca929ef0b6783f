"""Looking at a database with a write-ahead log that nobody has open, without leaving a log beside it.

Every reader of such a file makes a -wal and a -shm, and one that may not write leaves them there. So it is read as if
it could not change, without locks. That closes a second descriptor of the file, which would drop all locks that SQLite
holds on it in this process (https://sqlite.org/howtocorrupt.html, section 2.2): it is done only while this process has
no connection to the file, and can open none.
"""

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

ResultT = TypeVar("ResultT")
_OPENING = threading.Lock()
_HEADER_BYTES, _WAL = 100, 2
_BESIDE = ("-wal", "-shm", "-journal")


class TrackedConnection(sqlite3.Connection):
    """A connection that tells which file it has open."""

    identity: tuple[int, int] | None = None

    def close(self) -> None:
        """Close it; the file is not open by it any more."""
        super().close()
        self.identity = None


_open: WeakSet[TrackedConnection] = WeakSet()


def open_tracked(path: Path, uri: str, *, is_counted: bool) -> sqlite3.Connection:
    """Open a connection to the file at `path`; one that takes no locks need not be counted. Raises sqlite3.Error."""
    if not is_counted:
        return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    with _OPENING:
        connection = sqlite3.connect(
            uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False, factory=TrackedConnection
        )
        connection.identity = _identity(path)
        _open.add(connection)
    return connection


def look_at_rest(
    path: Path, open_immutable: Callable[[], sqlite3.Connection], look: Callable[[sqlite3.Connection], ResultT]
) -> ResultT | None:
    """Return what `look` finds, or None when the file has no write-ahead log, is open somewhere or has just changed.

    `look` must be short: nothing else is opened in this process meanwhile.
    """
    with _OPENING:
        before = _state(path)
        if before is None or any(each.identity == before[:2] for each in list(_open)) or not _keeps_log(path):
            return None
        try:
            with contextlib.closing(open_immutable()) as connection:
                found = look(connection)
        except sqlite3.DatabaseError:
            if _state(path) == before:
                raise
            return None
        return found if _state(path) == before else None


def _state(path: Path) -> tuple[int, int, int, int] | None:
    """Return what changes when somebody writes; None when something lies beside it, so that it is in use."""
    if any(path.with_name(path.name + suffix).exists() for suffix in _BESIDE):
        return None
    try:
        about = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(about.st_mode):
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _keeps_log(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        head = os.read(descriptor, _HEADER_BYTES)
    finally:
        os.close(descriptor)
    return head.startswith(b"SQLite format 3\0") and len(head) == _HEADER_BYTES and head[19] == _WAL
