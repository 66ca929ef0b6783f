"""Putting a backup into its directory so that no crash, full disk or cancel leaves half of one under a final name.

The order is the promise: `<id>.manifest.json.partial` is created and flocked, which takes the id; the data is written
to `<data name>.partial`, made durable and renamed; the directory is made durable; the manifest is written into the file
held since the beginning, made durable and renamed last. A partial whose lock is free was left by a run that died: the
kernel frees the lock with the process, so that no process ids or times have to be believed. The next run that writes
into the directory sweeps it.
"""

import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.streams import create_file, fsync_path, storage_error, storage_errors, write_durably
from dbtui.analysis.backups import parse_backup_id, parse_data_name
from dbtui.errors import StorageError
from dbtui.model.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, Manifest
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.manifest import encode_manifest

_RESERVATION_SUFFIX = MANIFEST_SUFFIX + PARTIAL_SUFFIX
_ATTEMPTS = 1000


def prepare_directory(directory: Path) -> Path:
    """Return the absolute path of a backup directory, created with mode 0700 if it is absent. Raises StorageError."""
    path = directory.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = path.resolve(strict=True)
        about = path.stat()
    except FileExistsError:
        raise StorageError(f"{path} is not a directory", "choose another backup directory") from None
    except (OSError, RuntimeError) as error:
        raise _unusable(path, error) from error
    if _is_open_to_others(about):
        raise StorageError(
            f"{path} can be written by other users, who could put a forged backup there", f"chmod go-w '{path}'"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(f"{path} cannot be written", "choose a directory that you may write to")
    return path


def _is_open_to_others(about: os.stat_result) -> bool:
    """Whether others may rename and replace files there. Our own group may write: umask 002 makes that common."""
    if about.st_mode & stat.S_ISVTX:
        return False
    return bool(about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and about.st_gid != os.getegid()))


def _unusable(path: Path, error: OSError | RuntimeError) -> StorageError:
    if isinstance(error, OSError):
        return storage_error(path, error)
    return StorageError(f"{path} is a symbolic link that leads to itself", "choose another backup directory")


def taken_ids(directory: Path) -> Callable[[str], bool]:
    """Return a test for whether an id is used by anything in a directory now."""
    try:
        with os.scandir(directory) as listing:
            names = {entry.name for entry in listing}
    except OSError:
        names = set()
    stems = {_stem(name) for name in names}
    return lambda backup_id: backup_id in stems


def _stem(name: str) -> str:
    name = name.removesuffix(PARTIAL_SUFFIX).removesuffix(MANIFEST_SUFFIX)
    parsed = parse_data_name(name)
    return parsed.stem if parsed else name


@dataclass
class PendingBackup:
    """A backup that is being written. `partial` is where its data goes, a file or a directory.

    Leaving the block of `pending_backup` without `commit` removes everything that was written.
    """

    directory: Path
    backup_id: str
    data_name: str
    reservation: BinaryIO
    written: list[Path] = field(default_factory=list)
    is_ours: bool = True
    is_being_undone: bool = False

    @property
    def undoing(self) -> str:
        """See Unfinished."""
        return f"removing {format_untrusted(str(self.partial))}"

    @property
    def left(self) -> str:
        """See Unfinished."""
        return f"{format_untrusted(str(self.partial))}: the next backup into that directory removes it"

    @property
    def partial(self) -> Path:
        """Where the data is written."""
        return self.directory / (self.data_name + PARTIAL_SUFFIX)

    @property
    def final(self) -> Path:
        """Where the data is in the end."""
        return self.directory / self.data_name

    @property
    def manifest_path(self) -> Path:
        """Where the manifest is in the end."""
        return self.directory / (self.data_name + MANIFEST_SUFFIX)

    def commit(self, manifest: Manifest, encoded: bytes | None = None) -> None:
        """Rename the data to its final name, then the manifest. Raises StorageError; then nothing stays.

        `encoded`: the manifest as it was elsewhere, to be written as it is.
        """
        _make_private(self.partial)
        with storage_errors(self.final):
            if os.path.lexists(self.final) or os.path.lexists(self.manifest_path):
                raise StorageError(f"{self.final} exists already", "take the backup again")
            self.partial.rename(self.final)
        self.written.append(self.final)
        fsync_path(self.directory)
        reserved = _reservation_path(self.directory, self.backup_id)
        with storage_errors(self.manifest_path):
            write_durably(self.reservation, encoded or encode_manifest(manifest))
            reserved.rename(self.manifest_path)
        self.is_ours = False
        fsync_path(self.directory)

    def discard(self) -> None:
        """Remove everything that was written."""
        self.is_being_undone = True
        for path in (*self.written, self.partial, _reservation_path(self.directory, self.backup_id)):
            remove_path(path)
        self.is_ours = False


@contextmanager
def pending_backup(directory: Path, backup_id: str, suffix: str, next_id: Callable[[], str]) -> Iterator[PendingBackup]:
    """Take an id in a prepared directory and hold it while the block writes the data. Raises StorageError.

    `next_id` is asked for another id when somebody else has this one.
    """
    sweep_orphans(directory)
    backup_id, reservation = _reserve(directory, backup_id, next_id)
    pending = PendingBackup(directory, backup_id, backup_id + suffix, reservation)
    try:
        yield pending
    finally:
        if pending.is_ours:
            pending.discard()
        reservation.close()


def _reservation_path(directory: Path, backup_id: str) -> Path:
    return directory / (backup_id + _RESERVATION_SUFFIX)


def _reserve(directory: Path, backup_id: str, next_id: Callable[[], str]) -> tuple[str, BinaryIO]:
    for _ in range(_ATTEMPTS):
        if not taken_ids(directory)(backup_id):
            file = _locked_new_file(_reservation_path(directory, backup_id))
            if file is not None:
                return backup_id, file
        backup_id = next_id()
    raise StorageError(f"no free name for a backup was found in {directory}", "look what is in the directory")


def _locked_new_file(path: Path) -> BinaryIO | None:
    """Create and lock a file. None when somebody else created it first, or swept it before it was locked."""
    try:
        file = create_file(path)
    except StorageError as error:
        if isinstance(error.__cause__, FileExistsError):
            return None
        raise
    with suppress(BlockingIOError):
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            return file
    file.close()
    return None


# ---------------------------------------------------------------- what a killed run left


def sweep_orphans(directory: Path) -> tuple[str, ...]:
    """Remove partials that nobody writes any more; return their names. Only names that we give are looked at."""
    with storage_errors(directory), os.scandir(directory) as listing:
        partials = [entry.name for entry in listing if entry.name.endswith(PARTIAL_SUFFIX)]
    ours = {name: _stem(name) for name in partials if parse_backup_id(_stem(name))}
    swept = []
    for backup_id in set(ours.values()):
        reservation = _reservation_path(directory, backup_id)
        with _orphaned(reservation) as is_orphaned:
            if not is_orphaned:
                continue
            # The reservation goes last: while it stays, nobody takes the id.
            names = sorted(name for name, owner in ours.items() if owner == backup_id)
            for name in sorted(names, key=lambda name: name.endswith(_RESERVATION_SUFFIX)):
                remove_path(directory / name)
                swept.append(name)
    return tuple(sorted(swept))


@contextmanager
def _orphaned(reservation: Path) -> Iterator[bool]:
    """Tell whether nobody holds a reservation, and hold it during the block if so. An absent one is held by nobody."""
    try:
        descriptor = os.open(reservation, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        yield True
        return
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_free = True
    except OSError:
        is_free = False
    try:
        yield is_free
    finally:
        os.close(descriptor)


def remove_path(path: Path) -> None:
    """Remove a file or a directory with what is in it; symbolic links are not followed. Raises StorageError."""
    with storage_errors(path), suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _make_private(path: Path) -> None:
    """Give files 0600 and directories 0700, and make a directory's own entries durable."""
    with storage_errors(path):
        if not path.is_dir():
            path.chmod(0o600)
            return
        path.chmod(0o700)
        for inner in path.iterdir():
            inner.chmod(0o600)
        fsync_path(path)


def replace_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest anew, whole or not at all. Raises StorageError."""
    fresh = _reservation_path(path.parent, _stem(path.name))
    file = _locked_new_file(fresh)
    if file is None:
        raise StorageError(f"{fresh} is in the way", "another run writes this manifest: try again when it has ended")
    try:
        with storage_errors(path):
            write_durably(file, encode_manifest(manifest))
            fresh.rename(path)
        fsync_path(path.parent)
    finally:
        remove_path(fresh)
        file.close()
