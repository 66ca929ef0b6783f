"""Durations counted per bucket: exact under threads, with no lock on the way of whoever adds one."""

import threading
from bisect import bisect_left
from collections import deque

from dbtui.model.pools import BUCKETS_SECONDS, Timing

_FOLD_AT = 256


class Histogram:
    """How many durations there were, and how long in all.

    What is added is put on a deque, which is atomic, and folded into the counts later, by one thread at a time and by
    nobody who would have to wait. So adding is safe everywhere: also in a finalizer that the garbage collector runs
    in the middle of a fold.
    """

    __slots__ = ("_counts", "_folding", "_samples", "_seconds")

    def __init__(self) -> None:
        self._samples: deque[float] = deque()
        self._folding = threading.Lock()
        self._counts = [0] * (len(BUCKETS_SECONDS) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        samples = self._samples
        samples.append(seconds)
        if len(samples) >= _FOLD_AT and self._folding.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._folding.release()

    def read(self) -> Timing:
        """Return what was counted so far. Not for finalizers and signal handlers: it may wait for another thread."""
        with self._folding:
            self._fold()
            return Timing(sum(self._counts), self._seconds, tuple(self._counts))

    def _fold(self) -> None:
        """Move the samples that are there now into the counts; only whoever holds the lock takes any away."""
        samples, counts = self._samples, self._counts
        for _ in range(len(samples)):
            seconds = samples.popleft()
            counts[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            self._seconds += seconds


class Tally(Histogram):
    """Counts how often something happened, in the same way."""

    __slots__ = ()

    def add_one(self) -> None:
        """Count once more."""
        self.add(0.0)

    @property
    def total(self) -> int:
        """How often it happened so far."""
        return self.read().count
