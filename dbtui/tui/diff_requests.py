"""What the backups pane asks the runner to compare."""

from dbtui.jobs import JobRequest
from dbtui.model.backup_differences import BackupDifferences
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.routines import backups
from dbtui.routines.backups.remote_find import RemoteBackup
from dbtui.routines.context import RoutineContext
from dbtui.tui.far_requests import find_far


def compare(entry: BackupEntry, other: BackupEntry | ConnectionProfile) -> JobRequest[BackupDifferences]:
    """Compare a backup with another, or with a live database; of those in a remote the manifest is asked."""
    profile = other if isinstance(other, ConnectionProfile) else None

    def start(context: RoutineContext) -> Routine[BackupDifferences]:
        first = yield from _side(context, entry)
        second = other if isinstance(other, ConnectionProfile) else (yield from _side(context, other))
        return (yield from backups.compare_backup(context, first, second))

    return JobRequest(
        routine="compare",
        target=profile.name if profile else entry.backup_id,
        subject=entry.backup_id,
        changes=False,
        start=start,
    )


def _side(context: RoutineContext, entry: BackupEntry) -> Routine[BackupEntry | RemoteBackup]:
    if not entry.remote:
        return entry
    return (yield from find_far(context, entry))
