"""Watches the disk that a dump is written to, so that it is never filled to the last byte."""

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path

from dbtui.adapters.streams import storage_error, storage_errors
from dbtui.errors import StorageError
from dbtui.model.text import format_bytes

_RESERVE_BYTES = 256 << 20
_RESERVE_SHARE = 0.02
_LOOK_SECONDS = 1.0


class SpaceWatch:
    """Looks at the free space once a second. It keeps 256 MiB free, on a small disk the fiftieth part of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_look = 0.0

    def check(self) -> None:
        """Raise StorageError when the disk is nearly full."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        with storage_errors(self._path):
            disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < min(_RESERVE_BYTES, disk.f_blocks * disk.f_frsize * _RESERVE_SHARE):
            raise StorageError(
                f"the disk that holds {self._path} is nearly full: {format_bytes(free)} are left",
                "free some space or choose another directory",
            )

    def check_messages(self, messages: Iterable[str]) -> None:
        """Raise StorageError when a tool said that the disk is full."""
        if any(os.strerror(errno.ENOSPC) in message for message in messages):
            raise storage_error(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
