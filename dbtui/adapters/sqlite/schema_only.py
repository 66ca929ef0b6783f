"""A copy of the definitions alone: a new database that is made from them, without any row."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbtui.adapters.sqlite.connect import open_file, sql
from dbtui.adapters.sqlite.schema import Declared, Schema, collect_schema, is_internal
from dbtui.adapters.sqlite.translate import shown
from dbtui.adapters.streams import create_file
from dbtui.errors import ServerError
from dbtui.model.text import format_untrusted


def copy_schema(source: sqlite3.Connection, path: Path, keep: Sequence[str], *, keep_views: bool) -> None:
    """Make a new database at `path` with the definitions of some of the source's tables.

    Raises ServerError naming the definition that this library cannot make again.
    """
    schema = collect_schema(source)
    settings = {key: str(value) for key, value in dict(source.execute(sql("settings")).fetchone()).items()}
    create_file(path).close()
    with contextlib.closing(open_file(path, "rw")) as connection:
        for name in ("no_journal", "no_sync"):
            connection.execute(sql(name)).fetchall()
        connection.executescript(sql("take_settings").format(**settings))
        connection.execute(sql("begin"))
        for each in _wanted(schema, keep, keep_views):
            _make(connection, each)
        connection.execute(sql("commit"))


def _wanted(schema: Schema, keep: Sequence[str], keep_views: bool) -> Iterator[Declared]:
    """Yield tables first, then what stands on them; tables that a module makes for itself are left to it."""
    kept = {name.lower() for name in keep}
    yield from (table for table in schema.tables if table.name.lower() in kept)
    yield from (index for index in schema.of_kind("index") if index.table.lower() in kept)
    if keep_views:
        yield from schema.of_kind("view")
    views = {view.name.lower() for view in schema.of_kind("view")} if keep_views else set()
    yield from (trigger for trigger in schema.of_kind("trigger") if trigger.table.lower() in kept | views)


def _make(connection: sqlite3.Connection, each: Declared) -> None:
    if each.definition is None or is_internal(each.name):
        return
    try:
        connection.execute(each.definition)
    except (sqlite3.Error, sqlite3.Warning) as error:
        said = format_untrusted(str(error), 200)
        raise ServerError(
            f"the {each.kind} {shown(each.name)} cannot be made again from its definition: {said}",
            "take a backup with the rows: that copies it as it is",
        ) from error
