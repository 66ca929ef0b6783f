"""The journals of captures: written before a server is changed, removed when it is again as it was.

A capture holds its server's lock, and so does its guard: a journal whose lock is free is of a capture that nobody looks
after any more.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from dbtui.adapters.streams import fsync_path, storage_errors
from dbtui.errors import LockedError, StorageError
from dbtui.model.captures import CaptureJournal, StaleCapture
from dbtui.model.text import format_untrusted

VERSION = 1
_BEGAN, _LEFT = "began", "left"
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class JournalFile:
    """One capture's journal: JSON lines, the first of which says how to put everything back."""

    path: Path

    @classmethod
    def create(cls, directory: Path, journal: CaptureJournal) -> "JournalFile":
        """Write down, durably, what a capture is about to change. Raises StorageError."""
        with storage_errors(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = cls(directory / f"{journal.capture_id}{_SUFFIX}")
        try:
            made.note(_BEGAN, journal=msgspec.to_builtins(journal))
            fsync_path(directory)
        except StorageError as error:
            if not isinstance(error.__cause__, FileExistsError):  # ours, and nothing has been changed yet
                with suppress(OSError):
                    made.path.unlink(missing_ok=True)
            raise
        return made

    def note(self, event: str, **fields: Any) -> None:
        """Write a line, durably. Raises StorageError."""
        line = json.dumps(
            {"version": VERSION, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "event": event, **fields}
        )
        creating = os.O_CREAT | os.O_EXCL if event == _BEGAN else 0
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | creating
        with storage_errors(self.path):
            descriptor = os.open(self.path, flags, 0o600)
            try:
                data = f"{line}\n".encode()
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def note_left(self, left: tuple[str, ...]) -> None:
        """Write that nothing of ours is on any more, and what somebody else has changed: it waits to be told."""
        self.note(_LEFT, left=list(left))

    def read(self) -> StaleCapture:
        """Return what it says; a journal that cannot be read is one that says so."""
        try:
            lines = [json.loads(line) for line in self.path.read_bytes().splitlines() if line.endswith(b"}")]
            journal = msgspec.convert(lines[0]["journal"], CaptureJournal)
        except (OSError, ValueError, LookupError, TypeError, msgspec.ValidationError) as error:
            return StaleCapture(path=str(self.path), problem=format_untrusted(f"{type(error).__name__}: {error}", 200))
        left = next((entry["left"] for entry in lines if entry.get("event") == _LEFT), None)
        problems = [str(entry["problem"]) for entry in lines if entry.get("problem")]
        return StaleCapture(
            path=str(self.path),
            journal=journal,
            left=tuple(str(each) for each in left or ()),
            is_restored=left is not None,
            last_words=problems[-1] if problems else "",
        )

    def remove(self) -> None:
        """Remove it: everything is as it was. Raises StorageError."""
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)
        fsync_path(self.path.parent)


def lock_server(directory: Path, server: str) -> int:
    """Return a descriptor that holds the lock of a server's captures until it is closed, here and in children.

    Raises LockedError, StorageError.
    """
    path = directory / f"{hashlib.sha256(server.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.lock"
    with storage_errors(path):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 100, 0).decode("utf-8", "replace").strip()
        os.close(descriptor)
        raise LockedError(f"a capture of this server runs already ({holder})", "wait until it has ended") from None
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"the lock {path} cannot be taken: {error.strerror}") from error
    with suppress(OSError):  # only who holds it is not told then, as when the disk is full
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
    return descriptor


@contextmanager
def locked_server(directory: Path, server: str) -> Iterator[int]:
    """Hold the lock of a server's captures for a block; a child that inherits the descriptor holds it further on."""
    descriptor = lock_server(directory, server)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def list_stale_captures(directory: Path) -> tuple[StaleCapture, ...]:
    """Return the captures that nobody looks after any more, the oldest first. `directory`: of the journals.

    Raises StorageError.
    """
    try:
        paths = sorted(directory.glob(f"*{_SUFFIX}"))
    except OSError as error:
        raise StorageError(f"{directory} cannot be read: {error.strerror}", "correct its permissions") from error
    return tuple(stale for path in paths if (stale := _look(directory, JournalFile(path))) is not None)


def _look(directory: Path, file: JournalFile) -> StaleCapture | None:
    """Return a journal, unless its capture runs, or has ended just now."""
    found = file.read()
    if found.journal is None:
        return found if file.path.exists() else None
    with suppress(LockedError), locked_server(directory, found.journal.server):
        return file.read() if file.path.exists() else None
    return None
