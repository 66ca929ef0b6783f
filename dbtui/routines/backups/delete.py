"""Deleting a backup: its manifest first, so that it stops being one, then its data, file by file.

What lies in a dump's directory without being of the dump stays, and the directory with it.
"""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from dbtui.adapters.streams import fsync_path, storage_errors
from dbtui.errors import DamagedBackupError, RefusedError, StorageError
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.find import find_manifest_path
from dbtui.routines.backups.store import remove_path
from dbtui.routines.backups.stored import read_manifest
from dbtui.routines.context import RoutineContext

#: What pg_dump calls the files in a directory (PostgreSQL 9.1 to 18).
_DUMP_FILE = re.compile(
    r"toc\.dat|\d+\.dat(\.gz|\.lz4|\.zst)?|blobs(_\d+)?\.toc|blob_\d+\.dat(\.gz|\.lz4|\.zst)?", re.ASCII
)


def delete_backup(c: RoutineContext, entry: BackupEntry) -> Routine[str]:
    """Delete one backup and return a line that says what went. Other files are never touched.

    Raises StorageError, RefusedError (a directory that is no dump).
    """
    directory = Path(entry.directory)
    data = Path(entry.data_path) if entry.data_path else None
    if data is not None and data.parent != directory:
        raise RefusedError(f"{data} does not lie in {directory}", "delete it by hand")
    manifest = find_manifest_path(entry) if entry.kind is not EntryKind.FOREIGN else None
    if manifest is None and (data is None or not data.exists()):
        raise StorageError(f"{entry.backup_id} is not there any more", "see `dbtui backup list`")
    doomed = tuple(_files_of(entry, data)) if data is not None else ()
    c.cancellation.check()
    began = time.monotonic()
    yield StepStarted("delete", entry.backup_id)
    if manifest is not None:
        remove_path(manifest)
        fsync_path(directory)
    if data is not None:
        _remove_data(data, doomed)
        fsync_path(directory)
    yield StepFinished("delete", time.monotonic() - began)
    return f"{entry.backup_id} was deleted from {directory}"


def _files_of(entry: BackupEntry, data: Path) -> Iterator[Path]:
    """The files of a backup: those of its manifest, else, in a directory, those that pg_dump names so."""
    if data.is_symlink() or not data.is_dir():
        yield data
        return
    try:
        manifest = read_manifest(entry) if entry.kind is not EntryKind.FOREIGN else None
    except DamagedBackupError:
        manifest = None
    if manifest is not None:
        yield from (data.parent / file.path for file in manifest.files)
        return
    with storage_errors(data):
        names = sorted(path.name for path in data.iterdir())
    if "toc.dat" not in names:
        raise RefusedError(f"{data} is a directory without toc.dat, so not a dump of pg_dump", "delete it by hand")
    yield from (data / name for name in names if _DUMP_FILE.fullmatch(name))


def _remove_data(data: Path, doomed: Iterable[Path]) -> None:
    for path in doomed:
        remove_path(path)
    if data.is_symlink() or not data.is_dir():
        return
    with storage_errors(data):
        left = next(data.iterdir(), None)
        if left is None:
            data.rmdir()
            return
    name = format_untrusted(left.name, 80)
    raise StorageError(f"the backup is deleted, but {data} also holds {name}, which is not of it", "look at it by hand")
