"""Copying a database page by page through SQLite's online backup API, with progress and without being starved.

The API starts again from the first page whenever somebody else changes the source between two steps, so that a busy
writer keeps it from ever ending (https://sqlite.org/backup.html). Within a read transaction of the source connection
that cannot happen: the steps read its snapshot. That is relied on and watched: should a copy start again all the same,
it is made in one step, which no writer can get between.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dbtui.adapters.background import Background
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import BUSY_PAUSE_SECONDS, BUSY_SECONDS, sql
from dbtui.adapters.sqlite.translate import busy_error
from dbtui.errors import Cancelled
from dbtui.model.events import Progressed, Routine, Warned

PAGES_A_STEP = 4096
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class StartedAgain(Exception):
    """A copy began again from the first page: somebody changed the source under it."""


@dataclass
class CopyWatch:
    """Watches the steps of a copy from inside it. `path` is what a lock would be on.

    `is_complete` says that the destination has committed. `when_locked` is called once, when the first pages are copied
    and the destination's lock is held; what it raises ends the copy and leaves the destination as it was.
    """

    path: Path
    busy_seconds: float = BUSY_SECONDS
    when_locked: Callable[[], None] = lambda: None
    done: int = 0
    total: int = 0
    restarts: int = 0
    is_complete: bool = False
    _remaining: int | None = None
    _waits_since: float | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Have the copy end at its next step."""
        self._stopped.set()

    def step(self, status: int, remaining: int, total: int) -> None:
        """Look at one step, called by SQLite. Raises Cancelled, ServerError (locked too long), StartedAgain."""
        if status == sqlite3.SQLITE_DONE:
            # The destination has committed: from here on nothing may say that it has not.
            self.done, self.total, self.is_complete = total, total, True
            return
        if self._stopped.is_set():
            raise Cancelled("cancelled")
        if status in _BUSY:
            self._wait()
            return
        self._waits_since = None
        if self._remaining is None:
            self.when_locked()
        elif remaining >= self._remaining:  # it may have copied as much again as it had before
            self.restarts += 1
            raise StartedAgain
        self._remaining = remaining
        self.done, self.total = total - remaining, total

    def _wait(self) -> None:
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        if now - self._waits_since >= self.busy_seconds:
            raise busy_error(self.path)


def copy_pages(
    source: sqlite3.Connection,
    destination: sqlite3.Connection,
    watch: CopyWatch,
    cancellation: Cancellation,
    pages: int = PAGES_A_STEP,
) -> Routine[None]:
    """Copy a whole database, telling bytes. The source must hold a read transaction.

    However this ends before its end, the destination is rolled back. Raises sqlite3.Error, ServerError, Cancelled.
    """
    page_size = int(source.execute(sql("page_size")).fetchone()[0])

    def work() -> None:
        source.backup(destination, pages=pages, progress=watch.step, sleep=BUSY_PAUSE_SECONDS)

    def tell() -> Progressed:
        return Progressed(watch.done * page_size, watch.total * page_size or None, "bytes")

    try:
        with Background(work, watch.stop, cancellation) as copying:
            yield from copying.wait(tell)
        yield tell()
    except StartedAgain:
        yield Warned("the copy started again although it holds a snapshot: it is now made in one step")

        def again() -> None:
            source.backup(destination, pages=-1, progress=watch.step, sleep=BUSY_PAUSE_SECONDS)

        with Background(again, watch.stop, cancellation) as copying:
            yield from copying.wait(tell)
