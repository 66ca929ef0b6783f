"""One look at a database file for the list of connections, and what its file is like."""

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbtui.adapters.sqlite import integrity
from dbtui.adapters.sqlite.at_rest import TrackedConnection
from dbtui.adapters.sqlite.connect import SqliteTarget, sql
from dbtui.adapters.sqlite.locks import describe_locks, is_writer_waiting
from dbtui.adapters.sqlite.schema import collect_schema
from dbtui.errors import ServerError
from dbtui.model.connections import FileStatus, TargetStatus

#: How long a lock is waited for: the next look is soon.
_PATIENCE_SECONDS = 0.5
#: Checking a file reads all of it.
_CHECKED_BYTES, _CHECK_SECONDS = 100_000_000, 60.0
_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a database file is like. `wal_bytes` is the log that lies beside it."""

    page_size: int
    page_count: int
    journal_mode: str
    file_bytes: int
    wal_bytes: int

    @property
    def is_wal(self) -> bool:
        """Whether writers append to a log, so that readers and they do not wait for each other."""
        return self.journal_mode == "wal"

    @property
    def database_bytes(self) -> int:
        """The size of the database, wherever its pages are now: that of a copy."""
        return self.page_size * self.page_count


def collect_file_facts(connection: sqlite3.Connection, path: Path) -> FileFacts:
    """Ask SQLite and the file system. Raises sqlite3.Error."""
    page_size, page_count, journal_mode = (
        connection.execute(sql(name)).fetchone()[0] for name in ("page_size", "page_count", "journal_mode")
    )  # fmt: skip
    return FileFacts(
        page_size=int(page_size),
        page_count=int(page_count),
        journal_mode=str(journal_mode).lower(),
        file_bytes=_size(path),
        wal_bytes=_size(path.with_name(path.name + "-wal")),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found in the file."""

    journal_mode: str
    tables: int


@dataclass(frozen=True, slots=True)
class _Checked:
    """What quick_check said, and of which state of the file."""

    state: tuple[int, ...]
    checked_at: float
    said: str


def collect_status(target: SqliteTarget) -> TargetStatus:
    """Look at the target. A file has no sessions; it is read without writing anything or leaving anything beside it.

    What a lock keeps from being read is None, with a gap. Raises ConnectError, ServerError, Cancelled.
    """
    began, taken_at = time.monotonic(), datetime.now(UTC)
    gaps: tuple[str, ...] = ()
    looked: _Look | None = None
    try:
        looked = target.look(_look, _PATIENCE_SECONDS)
    except ServerError as error:
        if error.code != "SQLITE_BUSY":
            raise
        gaps = (f"tables and journal mode are not known: {error.message}",)
    is_wal = looked.journal_mode == "wal" if looked else False
    log = _size(target.path.with_name(target.path.name + "-wal"))
    return TargetStatus(
        profile=target.profile.name,
        taken_at=taken_at,
        info=target.info,
        size_bytes=_size(target.path) + log,
        tables=looked.tables if looked else None,
        file=FileStatus(
            wal_bytes=log if is_wal else None,
            journal_mode=looked.journal_mode if looked else "",
            lock_state=describe_locks(target.path, is_wal=is_wal),
            integrity=_check(target, is_wal=is_wal) if looked else "",
        ),
        seconds=time.monotonic() - began,
        gaps=gaps,
    )


def _look(connection: sqlite3.Connection) -> _Look:
    mode = str(connection.execute(sql("journal_mode")).fetchone()[0]).lower()
    is_at_rest = not isinstance(connection, TrackedConnection)  # then it says nothing of a log, which it keeps
    return _Look("wal" if is_at_rest else mode, len(collect_schema(connection).tables))


def _check(target: SqliteTarget, *, is_wal: bool) -> str:
    """Return "ok" or the first damage found; empty when the file is too large, or a writer had to be let through.

    It is looked at again when it has changed, but not more often than once a minute.
    """
    state = _state(target.path)
    known = target.checked
    if isinstance(known, _Checked) and (known.state == state or time.monotonic() - known.checked_at < _CHECK_SECONDS):
        return known.said
    if sum(state[:2]) > _CHECKED_BYTES:
        return ""
    said = _quick_check(target, is_wal=is_wal)
    target.checked = _Checked(state, time.monotonic(), said)
    return said


def _quick_check(target: SqliteTarget, *, is_wal: bool) -> str:
    def check(connection: sqlite3.Connection) -> str:
        if not is_wal:  # there a reader keeps a writer waiting
            connection.set_progress_handler(lambda: is_writer_waiting(target.path), _STEPS)
        try:
            damage = integrity.find_damage(connection)
        finally:
            connection.set_progress_handler(None, 0)
        return damage[0] if damage else "ok"

    try:
        return target.look(check, _PATIENCE_SECONDS)
    except ServerError as error:
        if error.code not in ("SQLITE_BUSY", "SQLITE_INTERRUPT"):
            raise
        return ""


def _state(path: Path) -> tuple[int, ...]:
    """Return the sizes of file and log, and what else changes when somebody writes."""
    found = []
    for each in (path, path.with_name(path.name + "-wal")):
        try:
            about = each.stat()
            found.append((about.st_size, about.st_mtime_ns, about.st_ino))
        except OSError:
            found.append((0, 0, 0))
    return tuple(value for values in zip(*found, strict=True) for value in values)
