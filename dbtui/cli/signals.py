"""Ctrl-C, SIGTERM and SIGHUP end a command: at once while nothing runs, else when its job has undone what it began."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dbtui.errors import Cancelled
from dbtui.jobs import Job
from dbtui.model.events import Warned

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


class EndSignals:
    """What the signals that end a program mean now.

    A SIGHUP that was ignored at the start stays ignored: that is what nohup is for. A SIGINT is taken even so, as the
    servers' own tools take it: a script's background jobs have it ignored, and must still be stopped cleanly by it.
    """

    def __init__(self) -> None:
        self._job: Job[Any] | None = None
        self._guarding = False
        self._reason = ""
        self._is_stopping = False
        self._previous: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Take the signals over; only the main thread can."""
        for number in _NAMES.keys() - self._previous.keys():
            previous = signal.getsignal(number)
            if previous is not signal.SIG_IGN or number is not signal.SIGHUP:
                self._previous[number] = signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Give the signals back, for somebody who takes them over in their own way."""
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        self._previous.clear()

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Within the block a signal does not end this program: it cancels the job given to `watch`."""
        self._guarding, self._job, self._reason, self._is_stopping = True, None, "", False
        try:
            yield
        finally:
            self._guarding, self._job = False, None

    def watch(self, job: Job[Any]) -> None:
        """Cancel this job when a signal comes, or has come since the block began; the job may be at work already."""
        self._job = job
        if self._reason:
            self._stop(job)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        name = _NAMES[signal.Signals(number)]
        if not self._guarding:
            raise Cancelled(f"interrupted ({name})")
        self._reason = self._reason or name
        if self._job is None:
            return  # `watch` will find the reason
        if self._is_stopping:
            self._job.updates.put(Warned(f"{name}: already stopping; please wait"))
        else:
            self._stop(self._job)

    def _stop(self, job: Job[Any]) -> None:
        self._is_stopping = True
        job.updates.put(Warned(f"{self._reason}: stopping, and undoing what was begun"))
        # An interrupt may have to reach a server that answers slowly, so it has a thread of its own.
        threading.Thread(target=job.cancel, args=(self._reason,), name="cancel", daemon=True).start()
