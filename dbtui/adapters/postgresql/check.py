"""Looks for damage and hostile contents that checksums cannot show. Nothing of a backup is run."""

from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.plain import PlainIndex, scan_backup
from dbtui.model.backups import StoredBackup
from dbtui.model.events import Progressed, Routine, Warned


def check_archive(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    """Return what is wrong with a backup, a sentence each. Raises StorageError, ToolError, Cancelled."""
    return (yield from _check_plain(backup, cancellation))


def _check_plain(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    total = backup.manifest.uncompressed_bytes if backup.manifest else None
    scan = scan_backup(backup, cancellation)
    while True:
        try:
            done = next(scan)
        except StopIteration as end:
            index: PlainIndex = end.value
            break
        yield Progressed(done, total, "bytes")
    name = Path(backup.data_path).name
    for warning in (*index.left_out, *index.describe_risks(name)):
        yield Warned(warning)
    for what in index.reaching:
        yield Warned(f"{name}: {what}; it is restored, and may reach the server's files or programs when it is called")
    return tuple(index.problems)
