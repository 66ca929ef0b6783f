"""Hashing behind a tool that writes its files itself: right behind it, while what it wrote is still in memory.

That way not one byte of the dump passes through Python, and when the tool is done the checksums nearly are.
"""

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from dbtui.adapters.streams import (
    CHUNK_BYTES,
    TAIL_BYTES,
    WRITEBACK_BYTES,
    WrittenFile,
    start_writeback,
    storage_errors,
)
from dbtui.model.backups import BackupFile

_PAUSE_SECONDS = 0.02
_SCAN_SECONDS = 0.05
_SCAN_SECONDS_PER_FILE = 50e-6


class _Digest(Protocol):
    def update(self, data: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass
class _Followed:
    """One growing file: how much of it was hashed, pushed to the disk, and there when it was last looked at."""

    digest: _Digest = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    written_back: int = 0

    seen_bytes: int = 0

    def read_on(self, descriptor: int, buffer: bytearray) -> int:
        """Hash the next chunk; return its length, 0 at the present end of the file."""
        count = os.preadv(descriptor, [buffer], self.size_bytes)
        if count:
            self.digest.update(memoryview(buffer)[:count])
            self.size_bytes += count
            if self.size_bytes - self.written_back >= WRITEBACK_BYTES:
                start_writeback(descriptor, self.written_back, self.size_bytes - self.written_back)
                self.written_back = self.size_bytes
        return count


class _Follower:
    """A thread that follows until told that nothing more will be written. A context manager: leaving ends it."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._dropped = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def _follow(self) -> None:
        raise AssertionError("a follower follows something")

    def _run(self) -> None:
        try:
            self._follow()
        except OSError as error:
            self._error = error

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._dropped = True
        self._ended.set()
        self._thread.join()


class FileFollower(_Follower):
    """Follows one file that grows at its end. `descriptor` stays the caller's, to be closed after this."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._path = path
        self._file = _Followed()

    @property
    def size_bytes(self) -> int:
        """How much was written so far."""
        with storage_errors(self._path):
            return os.fstat(self._descriptor).st_size

    def finish(self) -> WrittenFile:
        """Hash the rest of a file that grows no more and make it durable. Raises StorageError."""
        with storage_errors(self._path):
            self._ended.set()
            os.fsync(self._descriptor)  # the thread hashes what is left meanwhile
            self._end()
            size = os.fstat(self._descriptor).st_size
            tail = os.pread(self._descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
        return WrittenFile(self._file.size_bytes, self._file.digest.hexdigest(), size, tail)

    def _follow(self) -> None:
        buffer = bytearray(CHUNK_BYTES)
        while not self._dropped:
            ended = self._ended.is_set()
            # Small pieces would wake this thread too often: it lets a chunk gather, until the end.
            waiting = os.fstat(self._descriptor).st_size - self._file.size_bytes
            if ended or waiting >= CHUNK_BYTES:
                if not self._file.read_on(self._descriptor, buffer) and ended:
                    return
            else:
                self._ended.wait(_PAUSE_SECONDS)


class DirectoryFollower(_Follower):
    """Follows every file of a directory, each of which grows at its end, except those in `rewritten`."""

    def __init__(self, path: Path, rewritten: frozenset[str]) -> None:
        super().__init__()
        self._path = path
        self._rewritten = rewritten
        self._files: dict[str, _Followed] = {}
        self.size_bytes = 0

    def finish(self) -> tuple[BackupFile, ...]:
        """Hash what is left of files that grow no more; return all, by name. Raises StorageError."""
        with storage_errors(self._path):
            self._end()
            self._rewritten = frozenset()
            self._scan(bytearray(CHUNK_BYTES))
        return tuple(
            BackupFile(name, file.size_bytes, file.digest.hexdigest()) for name, file in sorted(self._files.items())
        )

    def _follow(self) -> None:
        buffer = bytearray(CHUNK_BYTES)
        while not self._ended.is_set():
            self._scan(buffer)
            # A directory of many thousand files is looked at less often.
            self._ended.wait(max(_SCAN_SECONDS, len(self._files) * _SCAN_SECONDS_PER_FILE))

    def _scan(self, buffer: bytearray) -> None:
        total = 0
        for entry in os.scandir(self._path):
            size = entry.stat(follow_symlinks=False).st_size
            total += size
            if entry.name in self._rewritten or not entry.is_file(follow_symlinks=False):
                continue
            file = self._files.setdefault(entry.name, _Followed())
            # A file that has stopped growing is read to its end, one that grows in whole chunks only.
            until = size if size == file.seen_bytes or self._ended.is_set() else size - CHUNK_BYTES
            file.seen_bytes = size
            if until > file.size_bytes:
                self._read(entry.path, file, until, buffer)
        self.size_bytes = total

    def _read(self, path: str, file: _Followed, until: int, buffer: bytearray) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while file.size_bytes < until and not self._dropped and file.read_on(descriptor, buffer):
                pass
        finally:
            os.close(descriptor)
