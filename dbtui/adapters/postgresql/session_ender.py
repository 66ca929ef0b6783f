"""Ends the sessions in databases that are being renamed, for as long as the rename waits for that."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.errors import DbtuiError

_PAUSE_SECONDS = 0.02


class SessionEnder:
    """A thread that ends every session in some databases, again and again. A context manager: leaving it stops it.

    ALTER DATABASE … RENAME locks the database, so that nobody new gets in, and then waits five seconds at most for the
    sessions that are in: time enough, if somebody ends them.
    """

    def __init__(self, target: PostgresqlTarget, place: str, databases: Sequence[str]) -> None:
        self.ended: set[int] = set()
        self._target = target
        self._databases = list(databases)
        self._connection: Connection = target.connect(place, autocommit=True, shielded=True)
        self._stop = threading.Event()
        self._error: DbtuiError | None = None
        self._thread = threading.Thread(target=self._run, name="ending sessions", daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                rows = self._target.collect("terminate_sessions_of", self._connection, databases=self._databases)
                self.ended.update(row.process_id for row in rows)
                self._stop.wait(_PAUSE_SECONDS)
        except DbtuiError as error:
            self._error = error

    @contextmanager
    def preferred(self) -> Iterator[None]:
        """When the block fails because sessions could not be ended, say that: it is the cause."""
        try:
            yield
        except DbtuiError as error:
            if self._error is not None:
                raise self._error from error
            raise

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()
