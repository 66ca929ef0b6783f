"""Counts rows beside a dump, in the dump's own snapshot, reading what the dump has just read."""

import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Self

from dbtui.adapters.libpq.interrupts import interrupter
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.counts import count_table
from dbtui.adapters.postgresql.tables import CatalogTable
from dbtui.errors import DbtuiError
from dbtui.model.backups import TableName
from dbtui.model.text import format_untrusted

_TICK_SECONDS = 0.2
#: A table up to this size is counted at once: it stays in memory while pg_dump goes through it.
_LARGE_BYTES = 1 << 30
_CHUNK_BLOCKS = 16384
_POLL_SECONDS = 0.5
#: How long a COPY that was announced may take to appear among the server's running ones.
_APPEAR_SECONDS = 2.0
#: Ranges of ctid are read as ranges from this version on, and COPY tells how far it is.
_RANGES_SINCE = 140000


@dataclass
class _Walk:
    """A large table that is counted range by range, behind the dump. `blocks` is how many it had at the beginning."""

    table: CatalogTable
    blocks: int
    announced_at: float
    next_block: int = 0
    rows: int = 0
    was_seen: bool = False


class RowCounter:
    """Counts tables in a thread while a dump of the same snapshot runs: each when the dump has come to it.

    That costs least: what the dump reads is in memory just then. A large table is counted in ranges that follow the
    dump through it; where exactly the dump is need not be known, for any partition into ranges gives the same sum.
    `announce` takes the names as pg_dump says them. A context manager: leaving it ends the count.
    """

    def __init__(self, target: PostgresqlTarget, connection: Connection, tables: Sequence[CatalogTable]) -> None:
        self.counts: dict[TableName, int] = {}
        self._target = target
        self._connection = connection
        self._waiting = {each.table: each for each in tables}
        self._spoken = {format_untrusted(str(each.table)): each for each in tables}
        self._announced: deque[CatalogTable] = deque()
        self._walks: list[_Walk] = []
        self._changed = threading.Condition()
        self._dump_ended = False
        self._stopped = False
        self._error: DbtuiError | None = None
        self._thread = threading.Thread(target=self._run, name="counting", daemon=True)

    def announce(self, spoken: str) -> None:
        """Say that the dump has come to a table; a name that is not known is counted at the end."""
        if (table := self._spoken.get(spoken)) is not None:
            with self._changed:
                self._announced.append(table)
                self._changed.notify()

    def finish(self) -> Generator[int, None, dict[TableName, int]]:
        """Count what is left, yielding how many tables are done; return all. Raises what went wrong, Cancelled."""
        with self._changed:
            self._dump_ended = True
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
            while not self._stopped:
                table = self._next()
                if table is not None:
                    self._begin(table)
                elif self._walks:
                    self._follow()
                elif not self._waiting:
                    return
        except DbtuiError as error:
            if not self._stopped:
                self._error = error

    def _next(self) -> CatalogTable | None:
        """The table to count next; None when there is none now. Waits a moment when there is nothing to do at all."""
        with self._changed:
            if not self._announced and not self._dump_ended and not self._stopped:
                self._changed.wait(_POLL_SECONDS if self._walks else None)
            while self._announced:
                table = self._announced.popleft()
                if self._waiting.pop(table.table, None) is not None:
                    return table
            if self._dump_ended and self._waiting:
                return self._waiting.pop(next(iter(self._waiting)))
            return None

    def _begin(self, table: CatalogTable) -> None:
        if self._target.info.version_number >= _RANGES_SINCE and not self._dump_ended:
            heap = self._target.collect_one("collect_heap", self._connection, table_id=table.table_id)
            if heap.is_heap and heap.size_bytes > _LARGE_BYTES:
                self._walks.append(_Walk(table, heap.blocks, time.monotonic()))
                return
        self.counts[table.table] = count_table(self._target, self._connection, table.table)

    def _follow(self) -> None:
        """Count on in every large table as far as the dump is in it; to the end when it has left it."""
        running = {row.table_id: row for row in self._target.collect("collect_copy_position", self._connection)}
        for walk in list(self._walks):
            row = running.get(walk.table.table_id)
            walk.was_seen = walk.was_seen or row is not None
            has_left = row is None and (walk.was_seen or time.monotonic() > walk.announced_at + _APPEAR_SECONDS)
            until = walk.blocks if self._dump_ended or has_left else self._position(walk, row)
            while walk.next_block + _CHUNK_BLOCKS <= until and not self._stopped:
                self._count_range(walk, walk.next_block + _CHUNK_BLOCKS)
            if until >= walk.blocks and not self._stopped:
                self._count_range(walk, None)
                self._walks.remove(walk)
                self.counts[walk.table.table] = walk.rows

    @staticmethod
    def _position(walk: _Walk, row: object) -> int:
        """About which block the dump is at, one chunk short of the end at most: only its end tells that it is there."""
        if row is None:
            return 0
        tuples, estimate = getattr(row, "tuples_processed", 0), walk.table.rows_estimate or 0
        share = tuples / estimate if estimate else getattr(row, "bytes_processed", 0) / (walk.blocks * 8192)
        return min(int(walk.blocks * share), walk.blocks - 1)

    def _count_range(self, walk: _Walk, until: int | None) -> None:
        sql = f"SELECT count(*) AS rows FROM ONLY {walk.table.sql} WHERE ctid >= '({walk.next_block},0)'"  # noqa: S608
        if until is not None:
            sql += f" AND ctid < '({until},0)'"
            walk.next_block = until
        walk.rows += self._target.rows(sql, on=self._connection)[0].rows

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            interrupter(self._connection)()
        self._thread.join()
