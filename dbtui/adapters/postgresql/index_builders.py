"""Indexes of a database that is being filled, built several at a time on connections of their own.

psql builds one after the other. Here they are taken by a few connections, as pg_restore's jobs do, which is safe for a
database that nobody uses before the load is done and that is dropped when the load fails.
"""

import queue
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import errorcodes as codes

from dbtui.adapters.libpq.interrupts import interrupter
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.errors import ConnectError, DbtuiError

MOST_BUILDERS = 8
_LEAST_BUILDERS = 2
_TICK_SECONDS = 0.2
_BUILDS = re.compile(
    rb"\s*(?:CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY\b)"
    rb"|ALTER\s+TABLE\s+ONLY\s+(?:\"(?:[^\"]|\"\")+\"|[^\s\"])+\s+ADD\s+CONSTRAINT\s+(?:\"(?:[^\"]|\"\")+\"|[^\s\"]+)"
    rb"\s+(?:PRIMARY\s+KEY|UNIQUE)\b)",
    re.IGNORECASE,
)


def builds_index(sql: bytes) -> bool:
    """Whether a statement does nothing but build an index, so that others may be built beside it."""
    return _BUILDS.match(sql) is not None


@dataclass(frozen=True, slots=True)
class Build:
    """A statement that builds an index; `explain` says what its failure means."""

    sql: bytes
    shown: str
    explain: Callable[[psycopg2.Error], DbtuiError]


class IndexBuilders:
    """A few connections that take builds from a queue. Use as a context manager: leaving it ends them."""

    def __init__(self, target: PostgresqlTarget, database: str, jobs: int) -> None:
        self._target = target
        self._waiting: queue.SimpleQueue[Build | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._open_builds: list[Build] = []
        self._deadlocked: list[Build] = []
        self._is_drained = True
        self._failure: DbtuiError | None = None
        self._connections = _connect(target, database, max(_LEAST_BUILDERS, min(jobs, MOST_BUILDERS)))
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), name="building", daemon=True)
            for connection in self._connections
        ]
        for thread in self._threads:
            thread.start()

    @property
    def can_build(self) -> bool:
        """Whether the server gave it connections."""
        return bool(self._connections)

    @property
    def is_busy(self) -> bool:
        """Whether anything was added that no `drain` has vouched for, ended or not."""
        return not self._is_drained

    def adopt_settings(self, of: Connection) -> None:
        """Let every builder see names, encodings and tablespaces as this session does. Call when nothing is open."""
        settings = self._target.collect("collect_session_settings", of)
        for connection in self._connections:
            for row in settings:
                self._target.collect("adopt_setting", connection, setting=row.name, value=row.value)
            connection.commit()

    def add(self, build: Build) -> None:
        """Give a build to whichever connection is free next."""
        self._is_drained = False
        with self._changed:
            self._open_builds.append(build)
        self._waiting.put(build)

    def drain(self) -> Iterator[str]:
        """Wait until everything that was added is built, naming what is under way. Raises what failed, Cancelled."""
        while True:
            with self._changed:
                if self._open_builds and self._failure is None:
                    self._changed.wait(_TICK_SECONDS)
                shown = self._open_builds[0].shown if self._open_builds else ""
            self._target.cancellation.check()
            if self._failure is not None:
                raise self._failure
            if not shown:
                break
            yield shown
        again, self._deadlocked = self._deadlocked, []
        for build in again:  # alone, two builds cannot wait for each other
            yield build.shown
            self._build(self._connections[0], build)
        self._is_drained = True

    def _run(self, connection: Connection) -> None:
        while (build := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    self._build_or_defer(connection, build)
                except DbtuiError as error:
                    self._failure = self._failure or error
            with self._changed:
                self._open_builds.remove(build)
                self._changed.notify_all()

    def _build_or_defer(self, connection: Connection, build: Build) -> None:
        try:
            self._build(connection, build)
        except DbtuiError as error:
            if getattr(error.__cause__, "pgcode", None) != codes.DEADLOCK_DETECTED:
                raise
            connection.rollback()
            self._deadlocked.append(build)

    def _build(self, connection: Connection, build: Build) -> None:
        try:
            self._target.collect("prepare_load", connection)
            self._target.collect("share_memory", connection, builders=len(self._connections))
            with connection.cursor() as cursor:
                cursor.execute(build.sql)
            connection.commit()
        except psycopg2.Error as error:
            raise build.explain(error) from error

    def close(self) -> None:
        """Interrupt what is still being built and close the connections."""
        if self._failure is None:
            self._failure = ConnectError("the load ended before its indexes were built")
        for connection in self._connections if self._open_builds else ():
            interrupter(connection)()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> "IndexBuilders":
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.close()


def _connect(target: PostgresqlTarget, database: str, count: int) -> list[Connection]:
    """Open as many connections as the server allows, up to `count`; none when one alone is left to us."""
    made: list[Connection] = []
    try:
        for _ in range(count):
            made.append(target.connect(database))
    except ConnectError:  # the server has no more for us: fewer, or the load's own, must do
        target.cancellation.check()
    return made
