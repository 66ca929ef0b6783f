"""Exact row counts: one after another, in one transaction, and beside a dump in the dump's own snapshot."""

import threading
from collections import deque
from collections.abc import Generator, Sequence

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.interrupts import interrupter
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.errors import DbtuiError
from dbtui.model.backups import BackupTable, TableName
from dbtui.model.events import CommandRan, Progressed, Routine
from dbtui.model.text import format_untrusted

_TICK_SECONDS = 0.2


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


class RowCounter:
    """Counts tables in a thread while a dump of the same snapshot runs: each when the dump has come to it.

    That costs least: what the dump reads is in memory just then, and of a table being read both read the same pages.
    `announce` takes the names as pg_dump says them. A context manager: leaving it ends the count.
    """

    def __init__(self, target: PostgresqlTarget, connection: Connection, tables: Sequence[TableName]) -> None:
        self.counts: dict[TableName, int] = {}
        self._target = target
        self._connection = connection
        self._waiting = dict.fromkeys(tables)
        self._spoken = {format_untrusted(str(table)): table for table in tables}
        self._announced: deque[TableName] = deque()
        self._changed = threading.Condition()
        self._everything = False
        self._stopped = False
        self._error: DbtuiError | None = None
        self._thread = threading.Thread(target=self._run, name="counting", daemon=True)

    def announce(self, spoken: str) -> None:
        """Say that the dump has come to a table; a name that is not known is counted at the end."""
        table = self._spoken.get(spoken)
        with self._changed:
            if table in self._waiting and table is not None:
                self._announced.append(table)
                self._changed.notify()

    def finish(self) -> Generator[int, None, dict[TableName, int]]:
        """Count what is left, yielding how many tables are done; return all. Raises what went wrong, Cancelled."""
        with self._changed:
            self._everything = True
            self._changed.notify()
        while self._thread.is_alive():
            self._thread.join(_TICK_SECONDS)
            self._target.cancellation.check()
            yield len(self.counts)
        self.check()
        return self.counts

    def check(self) -> None:
        """Raise what went wrong so far."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while (table := self._next()) is not None:
                self.counts[table] = count_table(self._target, self._connection, table)
        except DbtuiError as error:
            if not self._stopped:
                self._error = error

    def _next(self) -> TableName | None:
        with self._changed:
            while not self._stopped and self._waiting:
                if self._announced:
                    table = self._announced.popleft()
                elif self._everything:
                    table = next(iter(self._waiting))
                else:
                    self._changed.wait()
                    continue
                if table in self._waiting:
                    del self._waiting[table]
                    return table
            return None

    def __enter__(self) -> "RowCounter":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            interrupter(self._connection)()
        self._thread.join()
