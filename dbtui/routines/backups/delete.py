"""Deleting a backup: its manifest first, so that it stops being one, then its data."""

import time
from pathlib import Path

from dbtui.adapters.streams import fsync_path
from dbtui.errors import RefusedError, StorageError
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.routines.backups.find import find_manifest_path
from dbtui.routines.backups.store import remove_path
from dbtui.routines.context import RoutineContext


def delete_backup(c: RoutineContext, entry: BackupEntry) -> Routine[str]:
    """Delete one backup and return a line that says what went. Other files are never touched. Raises StorageError."""
    directory = Path(entry.directory)
    data = Path(entry.data_path) if entry.data_path else None
    if data is not None and data.parent != directory:
        raise RefusedError(f"{data} does not lie in {directory}", "delete it by hand")
    manifest = find_manifest_path(entry) if entry.kind is not EntryKind.FOREIGN else None
    if manifest is None and (data is None or not data.exists()):
        raise StorageError(f"{entry.backup_id} is not there any more", "see `dbtui backup list`")
    c.cancellation.check()
    began = time.monotonic()
    yield StepStarted("delete", entry.backup_id)
    if manifest is not None:
        remove_path(manifest)
        fsync_path(directory)
    if data is not None:
        remove_path(data)
        fsync_path(directory)
    yield StepFinished("delete", time.monotonic() - began)
    return f"{entry.backup_id} was deleted from {directory}"
