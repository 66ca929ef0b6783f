"""What the tables of a database file look like, read from its definitions: of a live one and of a copy alike."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import SqliteTarget, sql
from dbtui.adapters.sqlite.contents import open_backup
from dbtui.adapters.sqlite.counts import collect_sizes, tolerate
from dbtui.adapters.sqlite.schema import MAIN, Declared, Schema, collect_schema
from dbtui.adapters.sqlite.sql_tokens import tokenise
from dbtui.adapters.sqlite.translate import is_refused_statement
from dbtui.model.backup_differences import LiveContents
from dbtui.model.backups import BackupTable, StoredBackup
from dbtui.model.shapes import ColumnShape, DatabaseShape, NamedShape, SequenceShape, TableShape

_SIZES_SECONDS = 2.0
_ON_DISK_HIDDEN = 1  # a column of a virtual table that nobody sees


def collect_shape(target: SqliteTarget) -> DatabaseShape:
    """Read what every table is made of. Raises ConnectError, ServerError."""
    return target.look(lambda connection: _shape_of(connection, collect_schema(connection)))


def collect_live_contents(target: SqliteTarget) -> LiveContents:
    """Read every table with its shape; and its size, if that takes no longer than two seconds. Rows are not counted."""

    def ask(connection: sqlite3.Connection) -> LiveContents:
        schema = collect_schema(connection)
        sizes = collect_sizes(connection, schema, _SIZES_SECONDS)
        return LiveContents(
            tables=tuple(BackupTable(MAIN, each.name, bytes=sizes.get(each.name)) for each in schema.tables),
            shape=_shape_of(connection, schema),
        )

    return target.look(ask)


def read_shape(backup: StoredBackup, cancellation: Cancellation) -> DatabaseShape | None:
    """Read the shape of a copy; None for one that is packed, which would have to be unpacked whole."""
    if backup.is_packed:
        return None
    with open_backup(backup, cancellation) as connection:
        return _shape_of(connection, collect_schema(connection))


def _shape_of(connection: sqlite3.Connection, schema: Schema) -> DatabaseShape:
    return DatabaseShape(
        tuple(_table(connection, schema, each) for each in schema.tables), tuple(_sequences(connection))
    )


def _table(connection: sqlite3.Connection, schema: Schema, table: Declared) -> TableShape:
    columns: tuple[ColumnShape, ...] = ()
    constraints: tuple[NamedShape, ...] = ()
    try:
        columns, constraints = tolerate(connection, lambda: _parts(connection, table.name))
    except sqlite3.OperationalError as error:
        if not is_refused_statement(error):  # else a module or function is missing here: the definition is left
            raise
    indexes = tuple(
        NamedShape(each.name, _normalised(each.definition))
        for each in schema.of_kind("index")
        if each.table.lower() == table.name.lower()
    )
    return TableShape(MAIN, table.name, columns, indexes, constraints, _normalised(table.definition))


def _parts(
    connection: sqlite3.Connection, table: str
) -> tuple[tuple[ColumnShape, ...], tuple[NamedShape, ...]]:  # fmt: skip
    rows = connection.execute(sql("columns"), {"table": table}).fetchall()
    columns = tuple(_column(row) for row in rows if row["hidden"] != _ON_DISK_HIDDEN)
    keys = sorted((int(row["pk"]), str(row["name"])) for row in rows if row["pk"])
    primary = [NamedShape("primary key", f"({', '.join(name for _, name in keys)})")] if keys else []
    return columns, (*primary, *_unique(connection, table), *_foreign_keys(connection, table))


def _column(row: sqlite3.Row) -> ColumnShape:
    default = "generated" if row["hidden"] else str(row["dflt_value"] or "")
    return ColumnShape(str(row["name"]), str(row["type"]), not row["is_required"], default)


def _unique(connection: sqlite3.Connection, table: str) -> Iterator[NamedShape]:
    for row in connection.execute(sql("index_list"), {"table": table}).fetchall():
        if row["origin"] != "u":
            continue
        columns = connection.execute(sql("index_columns"), {"index": row["name"]}).fetchall()
        shown = ", ".join("an expression" if each["name"] is None else str(each["name"]) for each in columns)
        yield NamedShape(f"unique ({shown})", f"unique ({shown})")


def _foreign_keys(connection: sqlite3.Connection, table: str) -> Iterator[NamedShape]:
    rows = connection.execute(sql("foreign_keys"), {"table": table}).fetchall()
    for _, parts in groupby(rows, lambda row: int(row["id"])):
        columns = list(parts)
        own = ", ".join(str(each["own"]) for each in columns)
        theirs = ", ".join(str(each["theirs"]) for each in columns if each["theirs"] is not None)
        rule = f"on update {columns[0]['on_update']} on delete {columns[0]['on_delete']}".lower()
        parent = f"{columns[0]['parent']} ({theirs})" if theirs else str(columns[0]["parent"])
        yield NamedShape(f"foreign key ({own})", f"foreign key ({own}) references {parent} {rule}")


def _sequences(connection: sqlite3.Connection) -> Iterator[SequenceShape]:
    with suppress(sqlite3.OperationalError):  # there is no such table before the first AUTOINCREMENT
        for row in connection.execute(sql("sequences")).fetchall():
            yield SequenceShape(MAIN, str(row["name"]), "autoincrement", int(row["seq"] or 0))


def _normalised(definition: str | None) -> str:
    """A definition without its spaces and comments, which change nothing."""
    return " ".join(token.text for token in tokenise(definition or ""))
