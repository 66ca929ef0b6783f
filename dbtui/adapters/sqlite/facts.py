"""What planning a dump needs to know of a database file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dbtui.adapters.memory_directories import memory_room
from dbtui.adapters.sqlite.connect import SqliteTarget, hold_snapshot, sql
from dbtui.adapters.sqlite.counts import collect_sizes, unknown_modules
from dbtui.adapters.sqlite.network_disks import network_disk
from dbtui.adapters.sqlite.schema import MAIN, Schema, collect_schema
from dbtui.adapters.sqlite.selection import choose_tables
from dbtui.adapters.sqlite.status import FileFacts, collect_file_facts
from dbtui.adapters.sqlite.translate import shown, sqlite_errors
from dbtui.model.backups import DumpFacts, DumpOptions, TableFacts
from dbtui.model.text import format_bytes

TOOL = "sqlite3"
#: Longer than this a look at the sizes of tables does not keep writers of a rollback-journal database waiting.
_SIZES_SECONDS = 2.0
#: Bytes a second that a copy is guessed to take, for a warning alone.
_COPY_RATE = 400e6
_LONG_STALL_SECONDS = 1.0


def collect_dump_facts(target: SqliteTarget, options: DumpOptions) -> DumpFacts:
    """Look at the file. Row numbers are ANALYZE's, sizes are unknown where measuring takes long.

    Raises ConnectError, ServerError, Cancelled.
    """
    with contextlib.closing(target.open_reader(target.path)) as connection:
        with sqlite_errors(target.path, target.cancellation), target.cancellation.interrupting(connection.interrupt):
            hold_snapshot(connection, target.path, target.cancellation)
            file = collect_file_facts(connection, target.path)
            schema = collect_schema(connection)
            chosen, unmatched = choose_tables(schema, options)
            estimates = _row_estimates(connection)
            sizes = collect_sizes(connection, schema, _SIZES_SECONDS)
            remarks = (*_remarks(file), *_module_remarks(connection, schema), *remark_network(target.path))
        target.cancellation.check()
    return DumpFacts(
        info=target.info,
        tool=TOOL,
        tool_path="",
        tool_version=sqlite3.sqlite_version,
        tool_major=sqlite3.sqlite_version_info[0],
        tables=tuple(
            TableFacts(MAIN, table.name, sizes.get(table.name), estimates.get(table.name)) for table in chosen
        ),
        unmatched=unmatched,
        database_bytes=file.database_bytes,
        extensions=schema.modules,
        remarks=remarks,
        memory_bytes=memory_room() if options.encrypt_to else None,
    )


def _row_estimates(connection: sqlite3.Connection) -> dict[str, int]:
    if connection.execute(sql("has_statistics")).fetchone() is None:
        return {}
    rows = connection.execute(sql("row_estimates")).fetchall()
    return {str(row["name"]): int(row["rows"]) for row in rows if row["rows"] is not None}


def _remarks(file: FileFacts) -> Iterator[str]:
    seconds = file.database_bytes / _COPY_RATE
    if not file.is_wal and seconds >= _LONG_STALL_SECONDS:
        yield (
            f"the database has no write-ahead log: whoever writes waits while its {format_bytes(file.database_bytes)} "
            f"are copied, some {seconds:.0f} s"
        )
    if file.is_wal and file.wal_bytes > file.file_bytes:
        yield (
            f"its write-ahead log has {format_bytes(file.wal_bytes)}, more than the database itself: "
            "a reader that never ends may keep it from being emptied"
        )


def remark_network(path: Path) -> Iterator[str]:
    """Yield a warning when the file lies on a network disk."""
    kind = network_disk(path)
    if kind:
        yield f"{shown(path)} lies on a network disk ({kind}), where locks may not keep its users apart"


def _module_remarks(connection: sqlite3.Connection, schema: Schema) -> Iterator[str]:
    missing = set(unknown_modules(connection, schema))
    for table in schema.tables:
        if table.module in missing:
            yield (
                f"{shown(table.name)} needs the module {shown(table.module)}, which is not here: "
                "it is copied as it is and its rows are not counted"
            )
