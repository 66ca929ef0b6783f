"""Who is at work on a backup's files, told by the kernel: locks on the files themselves, freed with their process.

A restore or a verification holds the manifest that it reads, together with others; who deletes a backup needs it
alone. Locks below the state directory would tell only of this login; these also tell of others on this machine.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbtui.errors import LockedError, StorageError
from dbtui.model.text import format_untrusted

#: What file systems say that know no such locks; there nobody can be kept out.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)
#: Names that lead to nothing that could be held: who works with it says so.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR)


@contextmanager
def held_for_reading(manifest: Path | None) -> Iterator[None]:
    """Keep a backup from being deleted during the block. One without a manifest is not held. Raises LockedError."""
    descriptor = _open(manifest, os.O_RDONLY) if manifest is not None else None
    if descriptor is None:
        yield
        return
    try:
        _lock(descriptor, fcntl.LOCK_SH, f"{format_untrusted(manifest.name if manifest else '')} is being deleted")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def held_for_removal(manifest: Path) -> Iterator[None]:
    """Have a manifest alone during the block. Raises LockedError while a restore or a verification reads it."""
    descriptor = _open(manifest, os.O_RDWR)
    if descriptor is None:
        yield
        return
    try:
        _lock(descriptor, fcntl.LOCK_EX,
              f"{format_untrusted(manifest.name)} is held by a restore, a verification or a deletion")  # fmt: skip
        if not _is_still(descriptor, manifest):
            raise LockedError(f"{format_untrusted(manifest.name)} was just written anew", "look at it again")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def held_directory(directory: Path) -> Iterator[None]:
    """Keep other runs of retention out of a directory during the block. Raises LockedError, StorageError."""
    descriptor = _open(directory, os.O_RDONLY | os.O_DIRECTORY)
    if descriptor is None:
        raise StorageError(f"{directory} cannot be opened", "name the directory that holds the backups")
    try:
        _lock(descriptor, fcntl.LOCK_EX, f"another dbtui backup expire is at work in {directory}")
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds a file now."""
    descriptor = _open(path, os.O_RDWR)
    if descriptor is None:
        return False
    try:
        _lock(descriptor, fcntl.LOCK_EX, "")
    except LockedError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: Path, flags: int) -> int | None:
    """Open what is to be locked, for reading alone where writing is not allowed. None when it is not there.

    Raises StorageError: what cannot be held must not be taken for free.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not flags & os.O_RDWR:
                raise
        return os.open(path, flags & ~os.O_RDWR)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise StorageError(
            f"{format_untrusted(str(path))} cannot be held against other runs: {error.strerror}",
            "mend its permissions; nothing was changed",
        ) from error


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether a name still means the file that was opened: a manifest is only ever replaced by another file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, kind: int, held: str) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(held, "wait until that has ended") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
