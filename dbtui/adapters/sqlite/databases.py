"""Database files as destinations of a restore: what is there, what stands in the way, how many rows arrived."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.background import Background
from dbtui.adapters.sqlite.connect import SqliteTarget, hold_snapshot, sql
from dbtui.adapters.sqlite.counts import count_tables
from dbtui.adapters.sqlite.created import create_database_file, remove_created
from dbtui.adapters.sqlite.facts import TOOL, remark_network
from dbtui.adapters.sqlite.holders import collect_holders, may_see_all
from dbtui.adapters.sqlite.locations import resolve, siblings
from dbtui.adapters.sqlite.schema import collect_schema
from dbtui.adapters.sqlite.status import collect_file_facts
from dbtui.adapters.sqlite.translate import shown, sqlite_errors
from dbtui.model.backups import (
    BackupTable,
    DestinationFacts,
    RestoreFacts,
    StoredBackup,
    TableName,
)
from dbtui.model.events import Progressed, Routine
from dbtui.model.text import format_bytes

_SHOWN = 5


def collect_destination(target: SqliteTarget, database: str) -> DestinationFacts:
    """Look at the file that a restore would fill. `sessions` are the other processes that have it open.

    Raises ConnectError when something is there that is no database.
    """
    path = resolve(target.path, database)
    if not os.path.lexists(path):
        return DestinationFacts(database=database, exists=False)
    with (
        contextlib.closing(target.open_reader(path)) as connection,
        sqlite_errors(path, target.cancellation),
        target.cancellation.interrupting(connection.interrupt),
    ):
        hold_snapshot(connection, path, target.cancellation)
        tables = len(collect_schema(connection).tables)
        facts = collect_file_facts(connection, path)
    return DestinationFacts(
        database=database,
        exists=True,
        tables=tables,
        size_bytes=facts.file_bytes + facts.wal_bytes,
        sessions=collect_holders(path),
    )


def collect_restore_facts(target: SqliteTarget, backup: StoredBackup, database: str) -> RestoreFacts:
    """Look at the destination, its directory and its disk."""
    path = resolve(target.path, database)
    destination = collect_destination(target, database)
    free = _free_bytes(path.parent)
    return RestoreFacts(
        info=target.info,
        destination=replace(destination, sessions=()),  # nobody is disconnected: who has it open is a remark
        taken_names=siblings(target.path, database),
        can_create_database=path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK),
        free_bytes=free,
        tool=TOOL,
        tool_version=target.info.version,
        refusals=tuple(_refuse(path, backup, destination, free)),
        remarks=(*_remark(destination), *remark_network(path)),
    )


def _free_bytes(folder: Path) -> int | None:
    try:
        about = os.statvfs(folder)
    except OSError:
        return None
    return about.f_bavail * about.f_frsize


def _refuse(path: Path, backup: StoredBackup, destination: DestinationFacts, free: int | None) -> Iterator[str]:
    if not path.parent.is_dir():
        yield f"there is no directory {shown(path.parent)}: make it first"
    if not destination.exists:
        return
    if not os.access(path, os.W_OK):
        yield f"{shown(path)} may not be written by this user: run as its owner"
    size, old = _unpacked_bytes(backup), destination.size_bytes
    if size is None or old is None or free is None:
        return
    needed = size + old + max(size, old)
    if free < needed:
        yield (
            f"replacing {shown(path)} needs about {format_bytes(needed)} in its directory for the new data, a copy of "
            f"the old and a journal, and {format_bytes(free)} are free: make room"
        )


def _unpacked_bytes(backup: StoredBackup) -> int | None:
    if backup.manifest is not None and backup.manifest.uncompressed_bytes is not None:
        return backup.manifest.uncompressed_bytes
    if backup.is_packed:
        return None
    with contextlib.suppress(OSError):
        return Path(backup.data_path).stat().st_size
    return None


def _remark(destination: DestinationFacts) -> Iterator[str]:
    for session in destination.sessions[:_SHOWN]:
        yield (
            f"{session.application} (process {session.session_id}, user {session.user}) has the file open: it is not "
            "disconnected and sees the new contents from its next transaction on"
        )
    if len(destination.sessions) > _SHOWN:
        yield f"{len(destination.sessions) - _SHOWN} more processes have the file open"
    if destination.exists and not may_see_all():
        yield "processes of other users that have the file open cannot be seen by this user"


def create_database(target: SqliteTarget, database: str) -> None:
    """Create an empty file. Raises RefusedError, ServerError, StorageError."""
    target.check_writable()
    create_database_file(resolve(target.path, database))


def drop_database(target: SqliteTarget, database: str) -> None:
    """Remove a file that this run created. Raises RefusedError for any other, StorageError."""
    target.check_writable()
    remove_created(resolve(target.path, database))


def count_rows(target: SqliteTarget, database: str, tables: Sequence[TableName]) -> Routine[tuple[BackupTable, ...]]:
    """Count the rows of those of the tables that exist. Raises ConnectError, ServerError, Cancelled."""
    path = resolve(target.path, database)
    done = [0]
    with contextlib.closing(target.open_reader(path)) as connection:
        with sqlite_errors(path, target.cancellation):
            hold_snapshot(connection, path, target.cancellation)
            schema = collect_schema(connection)
        found = [table for name in tables if (table := schema.find_table(name)) is not None]

        def work() -> tuple[BackupTable, ...]:
            with sqlite_errors(path, target.cancellation):
                return count_tables(connection, found, target.cancellation, lambda number: done.__setitem__(0, number))

        with Background(work, connection.interrupt, target.cancellation) as counting:
            counted = yield from counting.wait(lambda: Progressed(done[0], len(found), "tables"))
        with sqlite_errors(path, target.cancellation):
            connection.execute(sql("commit"))
    return counted
