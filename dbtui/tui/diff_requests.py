"""What the backups pane asks the runner to compare."""

from dbtui.jobs import JobRequest
from dbtui.model.backup_differences import BackupDifferences
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.routines import backups


def compare(entry: BackupEntry, other: BackupEntry | ConnectionProfile) -> JobRequest[BackupDifferences]:
    """Compare a backup with another, or with a live database."""
    profile = other if isinstance(other, ConnectionProfile) else None
    return JobRequest(
        routine="compare",
        target=profile.name if profile else entry.backup_id,
        subject=entry.backup_id,
        changes=False,
        start=lambda context: backups.compare_backup(context, entry, other),
    )
