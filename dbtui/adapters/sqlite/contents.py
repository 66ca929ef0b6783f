"""What a backup holds, read straight from the copy."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import open_untrusted, quote_identifier, sql
from dbtui.adapters.sqlite.counts import collect_sizes, count_one, time_limit
from dbtui.adapters.sqlite.header import HEADER_BYTES, parse_header
from dbtui.adapters.sqlite.schema import MAIN, Declared, Schema, collect_schema
from dbtui.adapters.sqlite.translate import backup_errors, error_name, is_refused_statement, shown
from dbtui.adapters.sqlite.unpacked import readable_file
from dbtui.errors import UsageError
from dbtui.model.backups import BackupContents, BackupTable, StoredBackup, TableName, TableSample
from dbtui.model.connections import EngineName

#: How long a file without a manifest is counted and measured before the rest stays unknown.
_COUNT_SECONDS = 2.0
_SHOWN_CHARACTERS = 1000
_SHOWN_BLOB_BYTES = 32
_ORDINARY, _HIDDEN = 0, 1


@contextmanager
def open_backup(backup: StoredBackup, cancellation: Cancellation) -> Iterator[sqlite3.Connection]:
    """Open a backup for looking. Raises DamagedBackupError, StorageError, Cancelled."""
    with (
        readable_file(backup, cancellation) as path,
        backup_errors(backup.data_path, cancellation),
        open_untrusted(path) as connection,
        cancellation.interrupting(connection.interrupt),
    ):
        yield connection


def collect_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Return what a backup holds. Rows and bytes of a backup with a manifest are left to that."""
    with open_backup(backup, cancellation) as connection:
        schema = collect_schema(connection)
        tables = tuple(BackupTable(MAIN, table.name) for table in schema.tables)
        if backup.manifest is None:
            tables = _measured(connection, schema, tables)
            cancellation.check()
    return BackupContents(
        engine=EngineName.SQLITE,
        database=backup.manifest.database if backup.manifest else Path(backup.data_path).name.partition(".")[0],
        server_version=_library_version(backup, cancellation),
        schemas=(MAIN,),
        tables=tables,
        objects=schema.objects,
        extensions=schema.modules,
        warnings=tuple(warn_of_log(backup)),
    )


def _library_version(backup: StoredBackup, cancellation: Cancellation) -> str:
    with readable_file(backup, cancellation) as path, path.open("rb") as file:
        return parse_header(file.read(HEADER_BYTES), shown(path)).library_version


def _measured(
    connection: sqlite3.Connection, schema: Schema, tables: tuple[BackupTable, ...]
) -> tuple[BackupTable, ...]:
    """Fill in sizes and exact row counts as far as the time for a look goes."""
    sizes = collect_sizes(connection, schema, _COUNT_SECONDS)
    counted: dict[str, int] = {}
    with time_limit(connection, _COUNT_SECONDS):
        try:
            for table in schema.tables:
                rows = count_one(connection, table)
                if rows is not None:
                    counted[table.name] = rows
        except sqlite3.OperationalError as error:
            if error_name(error) != "SQLITE_INTERRUPT":
                raise
    return tuple(
        replace(
            table,
            bytes=sizes.get(table.name),
            rows=counted.get(table.name),
            rows_are="exact" if table.name in counted else "estimate",
        )
        for table in tables
    )


def warn_of_log(backup: StoredBackup) -> Iterator[str]:
    """Yield a sentence when a write-ahead log lies beside the file, as after copying a live database by hand."""
    log = Path(f"{backup.data_path}-wal")
    with contextlib.suppress(OSError):
        if log.stat().st_size:
            yield (
                f"{shown(log.name)} lies beside it and is not read: the newest changes may be missing; "
                f"sqlite3 {shown(log.name.removesuffix('-wal'))} .tables brings them in"
            )


# ---------------------------------------------------------------- one table


def show_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the SQL that makes a table with its indexes and triggers. Raises UsageError when there is none."""
    with open_backup(backup, cancellation) as connection:
        schema = collect_schema(connection)
    found = _find(schema, table)
    parts = [found, *(each for each in schema.declared if each.kind != "table" and _is_on(each, found))]
    return "\n\n".join(f"{part.definition};" for part in parts if part.definition)


def _is_on(each: Declared, table: Declared) -> bool:
    return each.kind in ("index", "trigger") and each.table.lower() == table.name.lower()


def _find(schema: Schema, table: TableName) -> Declared:
    found = schema.find_table(table)
    if found is None:
        raise UsageError(f"the backup has no table {shown(str(table))}", "`dbtui backup show` lists those it has")
    return found


def collect_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows as text. Blobs are shown as x'…', long values are cut.

    Raises UsageError when there is no such table.
    """
    with open_backup(backup, cancellation) as connection:
        name = _find(collect_schema(connection), table).name
        columns = [(str(row["name"]), int(row["hidden"])) for row in _columns(connection, name)]
        visible = [column for column, hidden in columns if hidden != _HIDDEN]
        stored = [column for column, hidden in columns if hidden == _ORDINARY]
        try:
            rows = _read(connection, name, visible, limit)
        except sqlite3.OperationalError as error:
            # A generated column may need a function that its application alone has.
            if not is_refused_statement(error) or stored == visible:
                raise
            visible, rows = stored, _read(connection, name, stored, limit)
    return TableSample(tuple(visible), tuple(rows[:limit]), more=len(rows) > limit)


def _columns(connection: sqlite3.Connection, table: str) -> Sequence[sqlite3.Row]:
    return connection.execute(sql("columns"), {"table": table}).fetchall()


def _read(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], limit: int
) -> list[tuple[str | None, ...]]:
    quoted = (f"{quote_identifier(table)}.{quote_identifier(column)}" for column in columns)
    cut = (
        f"CASE typeof({column}) WHEN 'text' THEN substr({column}, 1, {_SHOWN_CHARACTERS + 1}) "
        f"WHEN 'blob' THEN substr({column}, 1, {_SHOWN_BLOB_BYTES + 1}) ELSE {column} END"
        for column in quoted
    )
    statement = sql("sample").format(columns=", ".join(cut), table=quote_identifier(table))
    cursor = connection.cursor()
    cursor.row_factory = None
    return [tuple(_format_value(value) for value in row) for row in cursor.execute(statement, {"limit": limit + 1})]


def _format_value(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return f"x'{value[:_SHOWN_BLOB_BYTES].hex()}{'…' if len(value) > _SHOWN_BLOB_BYTES else ''}'"
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
