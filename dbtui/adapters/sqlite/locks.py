"""Who reads or writes a database file now, as the kernel lists its locks: nobody is asked, so nobody is disturbed.

SQLite's locks are POSIX locks on fixed bytes: of the file in rollback mode (https://sqlite.org/lockingv3.html; the
bytes stand in os.h), of the -shm file with a write-ahead log (https://sqlite.org/walformat.html, section 2.3.1).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbtui.model.text import format_untrusted

_LOCKS, _PROC = Path("/proc/locks"), Path("/proc")
_PENDING = 0x40000000
_RESERVED, _SHARED = _PENDING + 1, _PENDING + 2
_LOG_WRITE, _LOG_CHECKPOINT, _LOG_RECOVER, _LOG_READ = 120, 121, 122, 123
_LOG_READERS = 5
_LINE = re.compile(
    r"\d+: (?:POSIX|OFDLCK)\s+\S+\s+(?P<mode>READ|WRITE)\s+(?P<pid>-?\d+) "
    r"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+):(?P<inode>\d+) (?P<start>\d+) (?P<end>\d+|EOF)"
)


@dataclass(frozen=True, slots=True)
class FileLock:
    """One lock. `end` is the last byte."""

    pid: int
    is_write: bool
    start: int
    end: int

    def covers(self, byte: int) -> bool:
        """Whether a byte is locked."""
        return self.start <= byte <= self.end


def describe_locks(path: Path, *, is_wal: bool) -> str:
    """Return "unlocked", "read by 2 processes", "being written by python3 (4711)"; empty where no kernel tells.

    This process is left out.
    """
    shm = path.with_name(path.name + "-shm")
    found = collect_locks(shm if is_wal else path)
    if found is None:
        return ""
    writers = _writers(found, (_LOG_WRITE, _LOG_RECOVER) if is_wal else (_RESERVED, _PENDING, _SHARED))
    if writers:
        return f"being written by {', '.join(_name(pid) for pid in writers)}"
    if is_wal and (cleaners := _writers(found, (_LOG_CHECKPOINT,))):
        return f"checkpoint by {', '.join(_name(pid) for pid in cleaners)}"
    first, last = (_LOG_READ, _LOG_READ + _LOG_READERS - 1) if is_wal else (_SHARED, _SHARED)
    readers = {lock.pid for lock in found if not lock.is_write and lock.start <= last and lock.end >= first}
    if readers:
        return f"read by {len(readers)} {'process' if len(readers) == 1 else 'processes'}"
    return "unlocked"


def is_writer_waiting(path: Path) -> bool:
    """Whether another process wants to write a file in rollback mode, and waits for its readers."""
    return any(lock.is_write and lock.covers(_PENDING) for lock in collect_locks(path) or ())


def collect_locks(path: Path) -> tuple[FileLock, ...] | None:
    """Return the locks of other processes on a file; None where this system does not list them."""
    try:
        about = path.stat()
    except OSError:
        return ()
    try:
        lines = _LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return tuple(_locks_on(lines, about))


def _locks_on(lines: list[str], about: os.stat_result) -> Iterator[FileLock]:
    device = os.major(about.st_dev), os.minor(about.st_dev)
    for line in lines:
        found = _LINE.match(line)
        if found is None or int(found["inode"]) != about.st_ino or int(found["pid"]) == os.getpid():
            continue
        if (int(found["major"], 16), int(found["minor"], 16)) == device:
            end = 2**63 - 1 if found["end"] == "EOF" else int(found["end"])
            yield FileLock(int(found["pid"]), found["mode"] == "WRITE", int(found["start"]), end)


def _writers(locks: tuple[FileLock, ...], bytes_of_writers: tuple[int, ...]) -> list[int]:
    return sorted({lock.pid for lock in locks if lock.is_write and any(map(lock.covers, bytes_of_writers))})


def _name(pid: int) -> str:
    """Return a process by name; one of another namespace has none here."""
    try:
        command = (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "another process"
    return f"{format_untrusted(command, 60)} ({pid})"
