"""Every file that anybody makes in some directories, held open from its first moment, to see what was ever in it."""

import ctypes
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_CREATE, _MOVED_TO, _ISDIR, _NONBLOCK = 0x100, 0x80, 0x40000000, 0o4000
_HEAD = struct.calcsize("iIII")
_TICK_SECONDS = 0.02


class DiskWatch:
    """Holds what is made below the directories. Ask it when the work has ended."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(_NONBLOCK)
        assert self._inotify >= 0
        self._watched: dict[int, Path] = {}
        self._held: dict[tuple[int, int], tuple[Path, int]] = {}
        self._ended = threading.Event()
        for directory in directories:
            self._watch(directory)
        self._thread = threading.Thread(target=self._run, name="watching the disk", daemon=True)
        self._thread.start()

    def _watch(self, directory: Path) -> None:
        number = self._libc.inotify_add_watch(self._inotify, os.fsencode(directory), _CREATE | _MOVED_TO)
        if number >= 0:  # else it has gone already
            self._watched[number] = directory
            with suppress(OSError):
                for path in directory.iterdir():  # made before it was watched
                    self._take(path)

    def _take(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            self._watch(path)
            return
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            about = os.fstat(descriptor)
            known = self._held.setdefault((about.st_dev, about.st_ino), (path, descriptor))
            if known[1] != descriptor:
                os.close(descriptor)

    def _run(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            self._read()
        self._read()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._inotify, 1 << 16):
                at = 0
                while at < len(data):
                    number, _mask, _cookie, length = struct.unpack_from("iIII", data, at)
                    name = data[at + _HEAD : at + _HEAD + length].rstrip(b"\0")
                    at += _HEAD + length
                    if number in self._watched:
                        self._take(self._watched[number] / os.fsdecode(name))

    def finish(self) -> None:
        """Watch no more."""
        self._ended.set()
        self._thread.join()

    def contents(self) -> Iterator[tuple[Path, bytes]]:
        """Yield every file that was made, also those that are gone, with what is in it."""
        for path, descriptor in self._held.values():
            size = os.fstat(descriptor).st_size
            yield path, os.pread(descriptor, size, 0)

    def close(self) -> None:
        """Let go of everything."""
        self.finish()
        for _path, descriptor in self._held.values():
            os.close(descriptor)
        os.close(self._inotify)


@contextmanager
def watching(*directories: Path) -> Iterator[DiskWatch]:
    """Watch directories during the block."""
    watch = DiskWatch(directories)
    try:
        yield watch
    finally:
        watch.close()
