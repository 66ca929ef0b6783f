"""Fewer collections of garbage while millions of small values are made that hold no circles."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Values that are made and not let go before the collector looks for circles among them; Python's own is 700.
_THRESHOLDS = (100_000, 20, 50)

_lock = threading.Lock()
_count = 0
_before = gc.get_threshold()


@contextmanager
def collecting_less() -> Iterator[None]:
    """Let the collector run rarely while the block runs, in whatever thread, and as before after it."""
    global _count, _before
    with _lock:
        if not _count:
            _before = gc.get_threshold()
            if _before[0]:  # else somebody has switched it off
                gc.set_threshold(*_THRESHOLDS)
        _count += 1
    try:
        yield
    finally:
        with _lock:
            _count -= 1
            if not _count:
                gc.set_threshold(*_before)
