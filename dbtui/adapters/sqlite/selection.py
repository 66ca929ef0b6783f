"""Choosing tables of a copy, and leaving the others out."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbtui.adapters.sqlite.connect import sql
from dbtui.adapters.sqlite.schema import MAIN, Declared, Schema, collect_schema
from dbtui.adapters.sqlite.translate import is_refused_statement, shown
from dbtui.adapters.streams import create_file
from dbtui.errors import RefusedError
from dbtui.model.backups import DumpOptions


def choose_tables(schema: Schema, options: DumpOptions) -> tuple[tuple[Declared, ...], tuple[str, ...]]:
    """Return the tables that the options choose, and the patterns that match none."""
    tables = schema.tables
    unmatched = [
        pattern
        for pattern in (*options.tables, *options.exclude_tables)
        if not any(matches(pattern, table.name) for table in tables)
    ]
    chosen = tuple(
        table
        for table in tables
        if (not options.tables or any(matches(pattern, table.name) for pattern in options.tables))
        and not any(matches(pattern, table.name) for pattern in options.exclude_tables)
    )
    return chosen, tuple(unmatched)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern, `table` or `main.table` with `*` and `?`, means a table. Case does not count, as in SQLite."""
    parts = ("." if part == "?" else ".*" if part == "*" else re.escape(part) for part in pattern)
    expression = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return any(expression.fullmatch(each) is not None for each in (name, f"{MAIN}.{name}"))


def keep_only(
    connection: sqlite3.Connection, whole: Path, chosen_path: Path, keep: Sequence[str], *, keep_views: bool
) -> None:
    """Write a new database at `chosen_path` with some tables of the copy at `whole`, which is spoilt by that.

    `connection` is to that copy, for writing. Indexes and triggers go with their tables. Raises RefusedError,
    sqlite3.Error, StorageError.
    """
    for name in ("no_journal", "no_sync", "no_secure_delete"):
        connection.execute(sql(name)).fetchall()
    schema = collect_schema(connection)
    if not keep_views:
        for view in schema.of_kind("view"):
            connection.execute(sql("drop_view", view=view.name))
    for table in _dropped(schema, keep):
        _drop(connection, table, whole)
    create_file(chosen_path).close()
    connection.execute(sql("vacuum_into"), {"path": str(chosen_path)})


def _dropped(schema: Schema, keep: Sequence[str]) -> Iterator[Declared]:
    """Virtual tables first: their shadow tables go with them."""
    kept = {name.lower() for name in keep}
    unwanted = [table for table in schema.tables if table.name.lower() not in kept]
    yield from sorted(unwanted, key=lambda table: not table.module)


def _drop(connection: sqlite3.Connection, table: Declared, path: Path) -> None:
    try:
        connection.execute(sql("drop_table", table=table.name))
    except sqlite3.OperationalError as error:
        if table.module and is_refused_statement(error):
            raise RefusedError(
                f"the table {shown(table.name)} of {shown(path.name)} needs the module {table.module}, "
                "which this SQLite lacks, so it cannot be left out",
                "take all tables",
            ) from error
        raise
