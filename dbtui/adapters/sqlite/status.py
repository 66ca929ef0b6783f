"""One look at a database file for the list of connections, and what its file is like."""

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbtui.adapters.sqlite.connect import SqliteTarget, retry_busy, sql
from dbtui.adapters.sqlite.schema import collect_schema
from dbtui.adapters.sqlite.translate import sqlite_errors
from dbtui.model.connections import TargetStatus


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


def collect_status(target: SqliteTarget) -> TargetStatus:
    """Look at the target. A file has no sessions. Raises ConnectError, ServerError, Cancelled."""
    began = time.monotonic()
    reader = target.reader()
    with sqlite_errors(target.path, target.cancellation), target.cancellation.interrupting(reader.interrupt):
        facts = retry_busy(lambda: collect_file_facts(reader, target.path), target.path, target.cancellation)
        schema = retry_busy(lambda: collect_schema(reader), target.path, target.cancellation)
    return TargetStatus(
        profile=target.profile.name,
        taken_at=datetime.now(UTC),
        info=target.info,
        size_bytes=facts.file_bytes + facts.wal_bytes,
        tables=len(schema.tables),
        seconds=time.monotonic() - began,
    )
