"""Limits of time for what blocks: one thread watches over all of them and stops what takes too long."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dbtui.adapters.cancellation import Cancellation


class Deadlines:
    """Requests the cancellation of whatever outlives its limit. May be used from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._limits: dict[int, tuple[float, Cancellation]] = {}
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextmanager
    def limiting(self, seconds: float, cancellation: Cancellation) -> Iterator[None]:
        """Request `cancellation` if the block takes longer than `seconds`."""
        ends_at = time.monotonic() + seconds
        with self._changed:
            number = next(self._numbers)
            self._limits[number] = ends_at, cancellation
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="deadlines", daemon=True)
                self._thread.start()
            elif ends_at < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._limits.pop(number, None)

    def _serve(self) -> None:
        while True:
            for cancellation in self._wait_for_overdue():
                cancellation.request("no answer in time")

    def _wait_for_overdue(self) -> list[Cancellation]:
        with self._changed:
            while True:
                now = time.monotonic()
                overdue = [number for number, (ends_at, _) in self._limits.items() if ends_at <= now]
                if overdue:
                    return [self._limits.pop(number)[1] for number in overdue]
                self._wakes_at = min((ends_at for ends_at, _ in self._limits.values()), default=now + 3600)
                self._changed.wait(self._wakes_at - now)


DEADLINES = Deadlines()
