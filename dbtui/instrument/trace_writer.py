"""The thread that writes what the application's threads put down for it. They never wait for it.

The queue is bounded: what does not fit is counted. The thread begins with the first statement, rests while there is
none, and collects for a moment before it writes, so that an application in a hurry is not woken for each statement.
"""

import logging
import queue
import threading
from collections import deque
from typing import Protocol

from dbtui.instrument.histogram import Tally
from dbtui.instrument.taps import Sighting
from dbtui.model.queries import StatementEvent

_LOG = logging.getLogger("dbtui.instrument")
_COLLECTING_SECONDS = 0.1
_MOST_AT_ONCE = 1_000


class Target(Protocol):
    """Where statements go."""

    lost: int

    def write(self, seen: list[StatementEvent], dropped: int, /) -> None:
        """Write them, and that `dropped` more did not fit the queue."""

    def close(self) -> None:
        """Let go of what is open."""


class _Mark:
    """Stands in the queue: whoever put it there waits for what is before it to be written."""

    def __init__(self, *, is_last: bool) -> None:
        self.is_last = is_last
        self.reached = threading.Event()


class TraceWriter:
    """A bounded queue and its thread. `put` may be called from any thread, finalizer or signal handler."""

    _waiting: deque[Sighting | _Mark]
    _thread: threading.Thread | None

    def __init__(self, target: Target, most_waiting: int) -> None:
        self._target = target
        self._most, self._half = most_waiting, most_waiting // 2
        self._was_logged = False
        self._begin()

    def _begin(self) -> None:
        self._waiting = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._dropped = Tally()
        self._told = 0
        self._is_resting = False
        self._thread = None

    @property
    def dropped(self) -> int:
        """How many statements did not fit the queue, or could not be written."""
        return self._dropped.total + self._target.lost

    def put(self, seen: Sighting) -> None:
        """Put a statement into the queue, or count it when that is full."""
        waiting = self._waiting
        count = len(waiting)
        if count >= self._most:
            self._dropped.add_one()
            return
        waiting.append(seen)
        if self._thread is None:
            self._start()
        elif self._is_resting or count == self._half:
            self._is_resting = False
            self._bell.put(None)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was put is written; False when that took longer."""
        if self._thread is None or not self._thread.is_alive():
            return not self._waiting
        return self._wait(_Mark(is_last=False), timeout_seconds)

    def close(self, timeout_seconds: float) -> bool:
        """Write what there is and end the thread; False when that took longer."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            self._write()
        elif self._wait(_Mark(is_last=True), timeout_seconds):
            thread.join(timeout_seconds)
        else:
            return False
        self._target.close()
        return True

    def restart_in_child(self) -> None:
        """Begin anew in a forked process: what waits is the parent's to write, and the thread is not here."""
        self._target.close()
        self._target.lost = 0
        self._begin()

    def _wait(self, mark: _Mark, timeout_seconds: float) -> bool:
        self._waiting.append(mark)
        self._bell.put(None)
        return mark.reached.wait(timeout_seconds)

    def _start(self) -> None:
        """Begin the thread. Whoever comes while another does that goes on: its statement is in the queue."""
        if self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="dbtui statements", daemon=True)
                    thread.start()
                    self._thread = thread
            except RuntimeError as error:  # no more threads, or the interpreter ends: `close` writes what waits
                if not self._was_logged:
                    self._was_logged = True
                    _LOG.error("statements are not recorded: %s", error)
            finally:
                self._starting.release()

    # --- in the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._is_resting = True
            if not self._waiting:
                self._bell.get()
            self._is_resting = False
            self._collect()
            if self._write():
                return

    def _collect(self) -> None:
        """Give the application a moment to put down more, unless somebody rings."""
        try:
            self._bell.get(timeout=_COLLECTING_SECONDS)
            while True:
                self._bell.get_nowait()
        except queue.Empty:
            return

    def _write(self) -> bool:
        """Write what waits; True at the mark that ends it."""
        waiting = self._waiting
        batch: list[StatementEvent] = []
        while waiting:
            each = waiting.popleft()
            if isinstance(each, _Mark):
                self._pass_on(batch)
                batch = []
                each.reached.set()
                if each.is_last:
                    return True
            else:
                batch.append(each.event)
                if len(batch) >= _MOST_AT_ONCE:
                    self._pass_on(batch)
                    batch = []
        self._pass_on(batch)
        return False

    def _pass_on(self, batch: list[StatementEvent]) -> None:
        dropped = self._dropped.total
        if batch or dropped > self._told:
            self._target.write(batch, dropped - self._told)
            self._told = dropped
