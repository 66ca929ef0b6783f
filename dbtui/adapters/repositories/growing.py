"""How far a program is that says nothing of it: its directory grows."""

import contextlib
import os
import time
from collections.abc import Iterator

from dbtui.model.events import Progressed

_LOOK_SECONDS = 1.0
#: A look may take a tenth of the time between two.
_SHARE = 10


class GrowingDirectory:
    """Measures a directory now and then. `total`: how many bytes it will have, None: not known."""

    def __init__(self, path: str, total: int | None) -> None:
        self._path = path
        self._total = total
        self._next_look = time.monotonic() + _LOOK_SECONDS

    def look(self, line: str | None) -> Progressed | None:
        """Return how far it is, when it is time to look; `line`: what the program said meanwhile."""
        began = time.monotonic()
        if line is not None or began < self._next_look:
            return None
        size = sum(_sizes(self._path))
        self._next_look = time.monotonic() + max(_LOOK_SECONDS, (time.monotonic() - began) * _SHARE)
        total = max(self._total, size) if self._total is not None else None
        return Progressed(size, total, "bytes")


def _sizes(path: str) -> Iterator[int]:
    """The sizes of the files below a directory; what cannot be seen, or goes meanwhile, counts nothing."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
