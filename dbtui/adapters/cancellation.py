"""Cancelling from another thread: a flag cannot interrupt a blocked call, so whatever blocks says how to stop it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dbtui.errors import Cancelled


class Cancellation:
    """One run's wish to stop. `request` may be called from any thread or signal handler, any number of times."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._requested = threading.Event()
        self._reason = ""
        self._interrupts: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self._requested.is_set()

    @property
    def reason(self) -> str:
        """Who or what asked: "Ctrl-C", "SIGTERM", "operator"."""
        return self._reason

    def request(self, reason: str = "operator") -> None:
        """Ask to stop and interrupt whatever blocks now. Interrupts must not block for long or raise."""
        with self._lock:
            if not self._requested.is_set():
                self._reason = reason
                self._requested.set()
            interrupts = list(self._interrupts)
        for interrupt in reversed(interrupts):
            interrupt()

    def check(self) -> None:
        """Raise Cancelled if a stop was requested."""
        if self._requested.is_set():
            raise Cancelled(f"cancelled ({self._reason})")

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return at once, with True, when a stop is requested."""
        return self._requested.wait(seconds)

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Have `interrupt` called (from the requesting thread) if a stop is requested while the block runs.

        Raises Cancelled at once if a stop was requested before.
        """
        with self._lock:
            self.check()
            self._interrupts.append(interrupt)
        try:
            yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)

    @contextmanager
    def governing(self) -> Iterator[None]:
        """Be what `current_cancellation` returns while the block runs."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)


_current: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current_cancellation() -> Cancellation:
    """Return the wish to stop of the run that called, for code that is not handed it; outside of runs a new one."""
    return _current.get() or Cancellation()
