"""Deleting a backup: its manifest first, so that it stops being one, then its data, file by file.

The manifest is renamed, and removed when the data is: what was killed in between can be brought to its end. What lies
in a dump's directory without being of the dump stays, and the directory with it.
"""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from dbtui.adapters.streams import fsync_path, storage_errors
from dbtui.errors import DamagedBackupError, RefusedError, StorageError
from dbtui.model.backups import MANIFEST_SUFFIX, BackupEntry, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.retention import DELETING_SUFFIX
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.catalogue import list_directory
from dbtui.routines.backups.evidence import proofs_path
from dbtui.routines.backups.find import find_manifest_path
from dbtui.routines.backups.holding import held_for_removal, is_held
from dbtui.routines.backups.manifest import data_name, decode_manifest, read_limited
from dbtui.routines.backups.pins import check_not_pinned
from dbtui.routines.backups.store import remove_path
from dbtui.routines.backups.stored import read_manifest
from dbtui.routines.context import RoutineContext

#: What pg_dump calls the files in a directory (PostgreSQL 9.1 to 18).
_DUMP_FILE = re.compile(
    r"toc\.dat|\d+\.dat(\.gz|\.lz4|\.zst)?|blobs(_\d+)?\.toc|blob_\d+\.dat(\.gz|\.lz4|\.zst)?", re.ASCII
)


def delete_backup(c: RoutineContext, entry: BackupEntry) -> Routine[str]:
    """Delete one backup and return a line that says what went. Other files are never touched.

    Raises StorageError, RefusedError (a directory that is no dump, a pinned backup), LockedError (it is being read).
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
    with ExitStack() as stack:
        if manifest is not None:
            stack.enter_context(held_for_removal(manifest))
        check_not_pinned(entry)
        _remove(directory, manifest, data, doomed)
    yield StepFinished("delete", time.monotonic() - began)
    return f"{entry.backup_id} was deleted from {directory}"


def _remove(directory: Path, manifest: Path | None, data: Path | None, doomed: Iterable[Path]) -> None:
    mark = None
    if manifest is not None:
        mark = manifest.with_name(manifest.name.removesuffix(MANIFEST_SUFFIX) + DELETING_SUFFIX)
        with storage_errors(manifest):
            manifest.rename(mark)
        fsync_path(directory)
    _remove_data(directory, data, mark, doomed)


def _remove_data(directory: Path, data: Path | None, mark: Path | None, doomed: Iterable[Path]) -> None:
    """Remove the files, the evidence beside them, and only then the mark that says they are to go."""
    for path in doomed:
        remove_path(path)
    if data is not None and mark is not None:
        remove_path(proofs_path(str(data)))
    if mark is not None:
        remove_path(mark)
    if data is not None:
        _remove_directory(data)
    fsync_path(directory)


# ---------------------------------------------------------------- deletions that were killed


def find_unfinished(directory: Path) -> tuple[Path, ...]:
    """Return the marks of deletions in a directory that nobody is at any more. Raises StorageError."""
    names = [name for name in list_directory(directory).names if name.endswith(DELETING_SUFFIX)]
    return tuple(path for path in (directory / name for name in sorted(names)) if not is_held(path))


def finish_deletion(mark: Path) -> str:
    """Remove what a killed deletion left, and return the name of the data.

    Raises StorageError, LockedError, DamagedBackupError (the mark cannot be read: then the data is to be looked at).
    """
    with held_for_removal(mark):
        try:
            manifest = decode_manifest(read_limited(mark))
        except OSError as error:
            raise StorageError(f"{mark} cannot be read: {error.strerror}") from error
        name = data_name([file.path for file in manifest.files])
        data = mark.parent / name
        if mark.name.removesuffix(DELETING_SUFFIX) not in (name, manifest.backup_id):
            raise RefusedError(f"{mark} is the mark of another backup's deletion", "look at it by hand")
        if data.with_name(name + MANIFEST_SUFFIX).exists():
            raise RefusedError(f"{data} has a manifest again", f"it stays; remove {mark.name} by hand")
        _remove_data(mark.parent, data, mark, [mark.parent / file.path for file in manifest.files])
    return name


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


def _remove_directory(data: Path) -> None:
    if data.is_symlink() or not data.is_dir():
        return
    with storage_errors(data):
        left = next(data.iterdir(), None)
        if left is None:
            data.rmdir()
            return
    name = format_untrusted(left.name, 80)
    raise StorageError(f"the backup is deleted, but {data} also holds {name}, which is not of it", "look at it by hand")
