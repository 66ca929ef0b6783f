"""Exact row counts of tables, all at one moment."""

from collections.abc import Sequence

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.model.backups import BackupTable, TableName
from dbtui.model.events import CommandRan, Progressed, Routine
from dbtui.model.text import format_untrusted


def count_table(target: PostgresqlTarget, on: Connection, table: TableName) -> int:
    """Return how many rows a table holds itself, without those of its children."""
    rows = target.rows(f"SELECT count(*) AS rows FROM ONLY {quote_table(table)}", on=on)  # noqa: S608 - quoted
    count: int = rows[0].rows
    return count


def count_rows(
    target: PostgresqlTarget, database: str, tables: Sequence[TableName]
) -> Routine[tuple[BackupTable, ...]]:
    """Count the rows of each table that exists in a database, exactly, all at one moment."""
    with target.working(database) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        target.collect("lift_timeouts", connection)
        sizes = {TableName(row.schema, row.name): row.size_bytes for row in target.collect("collect_sizes", connection)}
        found = [table for table in tables if table in sizes]
        yield CommandRan(f"SELECT count(*) FROM ONLY … for {len(found)} tables of {format_untrusted(database)}")  # noqa: S608
        counted = []
        for done, table in enumerate(found):
            yield Progressed(done, len(found), "tables", str(table))
            rows = count_table(target, connection, table)
            counted.append(BackupTable(table.schema, table.name, rows, "exact", sizes[table]))
    return tuple(counted)
