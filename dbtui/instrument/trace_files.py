"""A file of lines that several processes append to: private, bounded, begun anew when it is full."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from dbtui.errors import StorageError, UsageError

#: Less would be begun anew again and again.
LEAST_BYTES = 64 * 1024
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK


class TraceFile:
    """Appends whole lines to `path`, 0600. What no longer fits goes to a new file; the full one stays as `<path>.1`.

    Other processes may append to the same path: whoever writes holds its lock. Not for two threads at once.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Raises UsageError for a size or a path that cannot be, StorageError when the file cannot be opened."""
        if most_bytes < LEAST_BYTES:
            raise UsageError(f"a trace of {most_bytes} bytes is too small", f"give most_bytes of {LEAST_BYTES} or more")
        self.path = path.absolute()
        self._most_bytes = most_bytes
        self._descriptor = -1
        self.lines = 0
        try:
            self._open()
        except OSError as error:
            self.close()
            wrong = f"the trace {path} cannot be written: {error.strerror or error}"
            raise StorageError(
                wrong, "name a file in a directory of this user: record_statements(engine, path)"
            ) from error

    def append(self, text: str) -> None:
        """Write lines. Raises OSError; `lines` has grown by those that are there."""
        data = text.encode()
        count = data.count(b"\n")
        begin = self.lines
        with _Locked(self):
            size = os.fstat(self._descriptor).st_size
            if size and size + len(data) > self._most_bytes:
                self._rotate()
                size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data  # somebody was killed, or found the disk full, in the middle of a line
            while data:
                data = data[os.write(self._descriptor, data) :]
                self.lines = begin + count - min(count, data.count(b"\n"))

    def close(self) -> None:
        """Close it; the next line opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, _OPEN, 0o600)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a pipe that nobody reads
                raise UsageError(f"the trace {self.path} is not a file", "name a file") from error
            raise
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise UsageError(f"the trace {self.path} is not a file", "name a file")
        if status.st_uid == os.geteuid():
            os.fchmod(self._descriptor, 0o600)

    def _rotate(self) -> None:
        """Begin anew under the lock of the full file: who waits for it sees that the path leads elsewhere."""
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self.close()
        self.lock()

    def is_current(self) -> bool:
        """Whether the path still leads to the open file: nobody began it anew or removed it."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)

    def lock(self) -> None:
        """Open the file that the path leads to and lock it. Raises OSError."""
        while True:
            if self._descriptor < 0:
                self._open()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if self.is_current():
                return
            self.close()

    def unlock(self) -> None:
        """Let others write."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


class _Locked:
    def __init__(self, file: TraceFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._file.lock()

    def __exit__(self, *_: object) -> None:
        self._file.unlock()
