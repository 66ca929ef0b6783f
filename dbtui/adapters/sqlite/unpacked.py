"""A backup as a file that SQLite can open: itself, or a private copy unpacked for a short while.

What was encrypted is unpacked into memory alone.

Looking at tables one by one would unpack a backup each time, so the copy stays for a minute after its last use. It lies
in a directory of mode 0700 whose lock is held as long as this process lives; what a killed process left is removed
before the next copy is made.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import open_data
from dbtui.adapters.memory_directories import forget_memory_folder, note_memory_folder, open_memory_directory
from dbtui.adapters.sqlite.header import HEADER_BYTES, check_size, parse_header
from dbtui.adapters.sqlite.translate import shown
from dbtui.adapters.streams import CHUNK_BYTES, create_file, storage_errors, write_all
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.errors import DamagedBackupError, StorageError
from dbtui.model.backups import StoredBackup
from dbtui.model.connections import Secret
from dbtui.model.text import format_bytes

_PREFIX = "dbtui-unpacked-"
_KEPT_SECONDS = 60.0
_SPARE_BYTES = 64 << 20
_HEAD_BYTES = 4096
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
Key = tuple[str, int, int, int, Secret | None]


@dataclass(eq=False)
class _Copy:
    """An unpacked backup and how many use it now. One that was encrypted lies in memory, in `kept_in`."""

    folder: Path
    lock: BinaryIO
    kept_in: ServerDirectory | None = None
    users: int = 0
    timer: threading.Timer | None = field(default=None)

    @property
    def path(self) -> Path:
        return self.folder / "backup.sqlite"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.close()
        if self.kept_in is not None:
            forget_memory_folder(self.folder)
            self.kept_in.close()


_copies: dict[Key, _Copy] = {}
_lock = threading.Lock()


@contextmanager
def readable_file(
    backup: StoredBackup, cancellation: Cancellation, tell: Callable[[int, int], None] = lambda _done, _all: None
) -> Iterator[Path]:
    """Give the path of the backup's database file, unpacked if need be. `tell` hears the bytes that are unpacked.

    Its header and size have been looked at. Raises DamagedBackupError, StorageError, Cancelled.
    """
    path = Path(backup.data_path)
    if not backup.is_packed:
        _check_plain(path)
        yield path
        return
    key = (*_identify(path), backup.identity)
    copy = _borrow(key, backup, cancellation, tell)
    try:
        yield copy.path
    finally:
        _give_back(key, copy)


def _check_plain(path: Path) -> None:
    with storage_errors(shown(path)):
        if not path.is_file():
            raise StorageError(f"{shown(path)} is not a regular file", "name a backup's data file")
        with path.open("rb") as file:
            header = parse_header(file.read(_HEAD_BYTES), shown(path))
            check_size(header, os.fstat(file.fileno()).st_size, shown(path))
    _refuse_hot_journal(path)


def _refuse_hot_journal(path: Path) -> None:
    """Refuse a file copied in the middle of a transaction: half of it is in the file, the way back beside it.

    A journal that was ended is empty or begins with zeros (https://sqlite.org/fileformat2.html, "Rollback Journal").
    """
    journal = Path(f"{path}-journal")
    with storage_errors(shown(journal)), suppress(FileNotFoundError), journal.open("rb") as file:
        if file.read(len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC:
            raise DamagedBackupError(
                f"{shown(journal.name)} lies beside it: {shown(path.name)} was copied in the middle of a transaction",
                f"open it once with sqlite3 {shown(path.name)} .tables, which rolls that back, or back up the original",
            )


def _identify(path: Path) -> tuple[str, int, int, int]:
    with storage_errors(shown(path)):
        about = path.stat()
    return str(path), about.st_ino, about.st_size, about.st_mtime_ns


def _borrow(key: Key, backup: StoredBackup, cancellation: Cancellation, tell: Callable[[int, int], None]) -> _Copy:
    while not _lock.acquire(timeout=0.1):  # another thread unpacks now, perhaps this very backup
        cancellation.check()
    try:
        copy = _copies.get(key)
        if copy is None:
            copy = _unpack(backup, cancellation, tell)
            _copies[key] = copy
        if copy.timer is not None:
            copy.timer.cancel()
            copy.timer = None
        copy.users += 1
        return copy
    finally:
        _lock.release()


def _give_back(key: Key, copy: _Copy) -> None:
    with _lock:
        copy.users -= 1
        if not copy.users:
            copy.timer = threading.Timer(_KEPT_SECONDS, _expire, (key, copy))
            copy.timer.daemon = True
            copy.timer.start()


def _expire(key: Key, copy: _Copy) -> None:
    with _lock:
        if not copy.users and _copies.get(key) is copy:
            del _copies[key]
            copy.remove()


@atexit.register
def remove_copies() -> None:
    """Remove every copy that nobody uses now."""
    with _lock:
        for key, copy in list(_copies.items()):
            if not copy.users:
                if copy.timer is not None:
                    copy.timer.cancel()
                del _copies[key]
                copy.remove()


def _unpack(backup: StoredBackup, cancellation: Cancellation, tell: Callable[[int, int], None]) -> _Copy:
    path, name = Path(backup.data_path), shown(backup.data_path)
    with open_data(backup) as source:
        head = source.read(_HEAD_BYTES)
        header = parse_header(head, name)
        expected = _expected_bytes(backup, header.size_bytes)
        copy = _new_copy_in_memory(expected) if backup.encryption else _new_copy(path.parent, expected)
        try:
            limit = expected or _free_bytes(copy.folder) - _SPARE_BYTES
            _pour(source, head, copy.path, limit, name, cancellation, tell)
            check_size(header, copy.path.stat().st_size, name)
        except BaseException:
            copy.remove()
            raise
    return copy


def _expected_bytes(backup: StoredBackup, header_bytes: int | None) -> int | None:
    known = backup.manifest.uncompressed_bytes if backup.manifest else None
    return known or header_bytes


def _pour(
    source: BinaryIO,
    head: bytes,
    path: Path,
    limit: int,
    name: str,
    cancellation: Cancellation,
    tell: Callable[[int, int], None],
) -> None:
    """Write head and rest to a new file; never more than `limit` bytes, whatever the packed data unfolds to."""
    done, chunk = 0, head
    with storage_errors(shown(path)), create_file(path) as target:
        while chunk:
            cancellation.check()
            done += len(chunk)
            if done > limit:
                raise DamagedBackupError(
                    f"{name} is altered: it unpacks to more than the {limit} bytes it may have", "use another backup"
                )
            write_all(target, chunk)
            tell(done, limit)
            chunk = source.read(CHUNK_BYTES)


def _new_copy(beside: Path, expected: int | None) -> _Copy:
    """Make an empty private directory where there is room: among temporary files, else beside the backup."""
    needed = (expected or HEADER_BYTES) + _SPARE_BYTES
    for base in (Path(tempfile.gettempdir()), beside):
        if _free_bytes(base) >= needed and os.access(base, os.W_OK):
            _sweep(base)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            lock = create_file(folder / "lock")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _Copy(folder, lock)
    raise StorageError(
        f"{format_bytes(needed)} are needed to unpack the backup for a look, and there is no such room in "
        f"{shown(tempfile.gettempdir())}",
        "make room, or point TMPDIR to another disk",
    )


def _new_copy_in_memory(expected: int | None) -> _Copy:
    """The same, where nothing reaches a disk."""
    directory = open_memory_directory(expected or HEADER_BYTES)
    try:
        folder = directory.add_subdirectory("data", None)
        note_memory_folder(folder)
        return _Copy(folder, create_file(folder / "lock"), directory)
    except BaseException:
        directory.close()
        raise


def _free_bytes(folder: Path) -> int:
    about = os.statvfs(folder)
    return about.f_bavail * about.f_frsize


def _sweep(base: Path) -> None:
    """Remove what killed processes of this user left: directories of ours whose lock is free."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            with (folder / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
