"""SQLite's own checks of a file, and which of their sentences mean damage."""

import re
import sqlite3
from collections.abc import Callable

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import sql
from dbtui.adapters.sqlite.counts import tolerate
from dbtui.adapters.sqlite.schema import Schema
from dbtui.adapters.sqlite.translate import error_name, is_refused_statement
from dbtui.model.text import format_count, format_untrusted

#: Rows that break a rule of the schema: the application wrote them so, and a copy has to hold them.
_RULES = re.compile(r"(NULL value in|CHECK constraint failed in|non-\w+ value in|(TEXT|NUMERIC|INT|REAL) value in) ")
_LINE = 200
_FIRST_BY_TABLE = (3, 33)


def find_damage(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what quick_check finds wrong with the structure of the file, at most 100 sentences."""
    try:
        return tolerate(connection, lambda: _sentences(connection, sql("quick_check")))
    except sqlite3.DatabaseError as error:
        if not error_name(error).startswith("SQLITE_CORRUPT"):
            raise
        return (format_untrusted(str(error), _LINE),)


def find_index_damage(
    connection: sqlite3.Connection, schema: Schema, cancellation: Cancellation, tell: Callable[[int], None]
) -> tuple[str, ...]:
    """Compare every table with its indexes. `tell` hears how many tables are done.

    A table that needs a module, function or collation which only its application has is passed over.
    """
    found: list[str] = []
    tables = [each for each in schema.declared if each.kind == "table"]
    if sqlite3.sqlite_version_info < _FIRST_BY_TABLE:
        tables = [each for each in tables if not each.module][:1]
    for number, table in enumerate(tables, 1):
        cancellation.check()
        if not table.module:
            try:
                found += _sentences(connection, sql("integrity_check_table", table=table.name))
            except sqlite3.OperationalError as error:
                if not is_refused_statement(error):
                    raise
        tell(number)
    return tuple(found)


def _sentences(connection: sqlite3.Connection, statement: str) -> tuple[str, ...]:
    lines = [str(row[0]) for row in connection.execute(statement).fetchall()]
    return tuple(format_untrusted(line, _LINE) for line in lines if line != "ok" and not _RULES.match(line))


def find_orphans(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return a sentence for each table that has rows whose parent is missing."""
    try:
        rows = connection.execute(sql("foreign_key_check")).fetchall()
    except sqlite3.OperationalError as error:
        if not is_refused_statement(error):
            raise
        return ("foreign keys could not be checked: " + format_untrusted(str(error), _LINE),)
    return tuple(
        f"{format_untrusted(row['name'], 60)} has {format_count(row['rows'])} "
        f"{'row that refers' if row['rows'] == 1 else 'rows that refer'} to rows that do not exist"
        for row in rows
    )
