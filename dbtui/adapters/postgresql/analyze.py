"""Statistics of a freshly loaded database: without them the planner guesses until autovacuum comes by."""

import queue
import threading
import time

import psycopg2

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.errors import ConnectError, DbtuiError
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted

_LEAST_WORKERS = 2
_TICK_SECONDS = 0.2


def analyze(target: PostgresqlTarget, database: str, jobs: int) -> Routine[None]:
    """Run ANALYZE for every table, several at a time, the largest first.

    Raises ServerError, ConnectError, Cancelled.
    """
    began = time.monotonic()
    yield StepStarted("analyze", database)
    yield CommandRan("ANALYZE")
    with target.working(database, autocommit=True) as watch:
        tables = [row.table_name for row in target.collect("collect_analyzed_tables", watch)]
    work = _Work(tables)
    threads = [
        threading.Thread(target=work.run, args=(target, database), name="analyzing", daemon=True)
        for _ in range(min(max(jobs, _LEAST_WORKERS), len(tables)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_TICK_SECONDS)
            yield Progressed(work.done, len(tables), "tables")
    target.cancellation.check()
    if work.failure is not None:
        raise work.failure
    if work.done < len(tables):
        raise work.refusals[0]
    yield StepFinished("analyze", time.monotonic() - began)


class _Work:
    """Tables to be analyzed, taken one by one by several threads, each with a connection of its own."""

    def __init__(self, tables: list[str]) -> None:
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for table in tables:
            self._waiting.put(table)
        self.done = 0
        self.failure: DbtuiError | None = None
        self.refusals: list[ConnectError] = []

    def run(self, target: PostgresqlTarget, database: str) -> None:
        """Analyze tables until none is left or one failed; a thread that gets no connection leaves them to others."""
        try:
            with target.working(database, autocommit=True) as connection:
                self._analyze_waiting(target, connection)
        except ConnectError as error:
            self.refusals.append(error)
        except DbtuiError as error:
            self._fail(error)
        except psycopg2.Error as error:
            self._fail(DbtuiError(f"gathering statistics failed: {error}"))

    def _analyze_waiting(self, target: PostgresqlTarget, connection: Connection) -> None:
        try:
            while self.failure is None and not target.cancellation.requested:
                target.rows(f"ANALYZE {self._waiting.get_nowait()}", None, connection)
                self.done += 1
        except queue.Empty:
            return
        except ConnectError as error:  # lost, not refused: the table that it was at is not analyzed
            self._fail(error)

    def _fail(self, error: DbtuiError) -> None:
        self.failure = self.failure or error
