"""Somebody who reads all the time while partitions are changed, and how long that made them wait."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.adapters.postgresql_targets import wait_until

#: What is promised: nobody who reads the table waits longer for a change of its partitions.
PROMISED_SECONDS = 0.3


class Bystander:
    """Looks at the table, and each time before it at something that nobody changes.

    On a busy machine both are slow now and then. What the calm looks tell of that is taken off.
    """

    def __init__(self, look: Callable[[], None], look_calmly: Callable[[], None]) -> None:
        self._look = look
        self._look_calmly = look_calmly
        self._over = threading.Event()
        self._waits: list[float] = []
        self._calm: list[float] = []

    @property
    def longest_seconds(self) -> float:
        """The longest look, less the longest of the calm ones."""
        return max(self._waits) - max(self._calm)

    def _run(self) -> None:
        while not self._over.is_set():
            self._calm.append(_seconds_of(self._look_calmly))
            self._waits.append(_seconds_of(self._look))
            self._over.wait(0.005)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            wait_until(lambda: bool(self._waits))
            yield
        finally:
            self._over.set()
            thread.join()


def _seconds_of(look: Callable[[], None]) -> float:
    began = time.monotonic()
    look()
    return time.monotonic() - began


def keeps_promise(measure: Callable[[], float], attempts: int = 3) -> bool:
    """Whether nobody waited longer than promised, in one of a few attempts: a machine may stop everybody for a moment,
    while a lock that is held too long is so each time."""
    return any(measure() < PROMISED_SECONDS for _ in range(attempts))
