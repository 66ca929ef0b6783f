"""The database files that this run created: nothing else is ever removed."""

import os
import threading
from pathlib import Path

from dbtui.adapters.sqlite.locations import companions
from dbtui.adapters.sqlite.translate import shown
from dbtui.adapters.streams import create_file, storage_errors
from dbtui.errors import RefusedError, ServerError, StorageError

_created: dict[Path, tuple[int, int]] = {}
_lock = threading.Lock()


def create_database_file(path: Path) -> None:
    """Create an empty file that must not exist, of mode 0600. Raises ServerError (code EEXIST), StorageError."""
    try:
        with create_file(path) as file:
            about = os.fstat(file.fileno())
    except StorageError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise ServerError(f"{shown(path)} exists already", "choose another name", code="EEXIST") from error
        raise
    with _lock:
        _created[path] = (about.st_dev, about.st_ino)


def is_created(path: Path) -> bool:
    """Whether the file at `path` is one that this run created and nobody put another in its place."""
    try:
        about = path.lstat()
    except OSError:
        return False
    with _lock:
        return _created.get(path) == (about.st_dev, about.st_ino)


def forget(path: Path) -> None:
    """Leave a file to the operator: it is the result."""
    with _lock:
        _created.pop(path, None)


def remove_created(path: Path) -> None:
    """Remove a file that this run created, with what SQLite laid beside it. No error if it is not there.

    Raises RefusedError for any other file, StorageError.
    """
    if not os.path.lexists(path):
        forget(path)
        return
    if not is_created(path):
        raise RefusedError(f"{shown(path)} was not made by this run and is left alone", "remove it by hand")
    with storage_errors(shown(path)):
        for each in (*companions(path), path):
            each.unlink(missing_ok=True)
    forget(path)
