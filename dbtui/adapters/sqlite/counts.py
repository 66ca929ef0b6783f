"""How many rows and bytes tables have."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import sql
from dbtui.adapters.sqlite.schema import MAIN, Declared, Schema
from dbtui.adapters.sqlite.translate import error_name, is_refused_statement
from dbtui.model.backups import BackupTable

_UNKNOWN_COLLATION = re.compile(r"no such collation sequence: (.*)", re.DOTALL)
ResultT = TypeVar("ResultT")
_STEPS_BETWEEN_LOOKS = 20_000


def count_tables(
    connection: sqlite3.Connection,
    tables: Sequence[Declared],
    cancellation: Cancellation,
    tell: Callable[[int], None] = lambda _done: None,
) -> tuple[BackupTable, ...]:
    """Count the rows of each table exactly. Those that only their application can open have None.

    `tell` hears how many tables are done.
    """
    counted = []
    for number, table in enumerate(tables, 1):
        cancellation.check()
        rows = count_one(connection, table)
        counted.append(BackupTable(MAIN, table.name, rows, "estimate" if rows is None else "exact"))
        tell(number)
    return tuple(counted)


def count_one(connection: sqlite3.Connection, table: Declared) -> int | None:
    """Count the rows of a table; None when a module, function or collation is missing here."""
    try:
        return int(tolerate(connection, lambda: connection.execute(sql("count_rows", table=table.name)).fetchone()[0]))
    except sqlite3.OperationalError as error:
        if not is_refused_statement(error):
            raise
        return None


def tolerate(connection: sqlite3.Connection, work: Callable[[], ResultT]) -> ResultT:
    """Do `work`, giving the connection the collations it asks for: an application may have its own.

    They compare bytes, so nothing that depends on an order may be asked in this way.
    """
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            unknown = _UNKNOWN_COLLATION.fullmatch(str(error))
            if unknown is None:
                raise
            connection.create_collation(unknown[1], _compare_bytes)


def _compare_bytes(left: str, right: str) -> int:
    return (left > right) - (left < right)


def unknown_modules(connection: sqlite3.Connection, schema: Schema) -> tuple[str, ...]:
    """Return the modules of virtual tables that this library lacks."""
    known = {str(row["name"]).lower() for row in connection.execute(sql("modules"))}
    return tuple(module for module in schema.modules if module not in known)


@contextmanager
def time_limit(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Interrupt statements of the block that run when its time is over."""
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def collect_sizes(connection: sqlite3.Connection, schema: Schema, seconds: float) -> dict[str, int]:
    """Return the bytes of each table with its indexes and shadow tables; {} if that takes too long here."""
    try:
        with time_limit(connection, seconds):
            rows = connection.execute(sql("sizes")).fetchall()
    except sqlite3.OperationalError as error:
        if error_name(error) == "SQLITE_INTERRUPT" or is_refused_statement(error):
            return {}
        raise
    owners = {each.name: each.table for each in schema.declared}
    for table in schema.tables:
        shadows = set(schema.shadows_of(table))
        owners |= {each.name: table.name for each in schema.declared if each.table.lower() in shadows}
    sizes: dict[str, int] = {}
    for row in rows:
        owner = owners.get(str(row["name"]))
        if owner is not None:
            sizes[owner] = sizes.get(owner, 0) + int(row["bytes"])
    return sizes
