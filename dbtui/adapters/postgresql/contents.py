"""What a backup holds, read without a server: each format has its own reader."""

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql import archive_contents, plain_contents
from dbtui.model.backups import BackupContents, BackupFormat, StoredBackup, TableName, TableSample


def collect_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Return what a backup holds. Raises DamagedBackupError, StorageError, Cancelled."""
    if backup.format is BackupFormat.PLAIN:
        return plain_contents.plain_contents(backup, cancellation)
    return archive_contents.archive_contents(backup, cancellation)


def show_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the SQL that creates a table, with its indexes, constraints and rights. Raises UsageError."""
    if backup.format is BackupFormat.PLAIN:
        return plain_contents.plain_definition(backup, table, cancellation)
    return archive_contents.archive_definition(backup, table, cancellation)


def collect_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows. Raises UsageError, DamagedBackupError, ToolError."""
    if backup.format is BackupFormat.PLAIN:
        return plain_contents.plain_sample(backup, table, limit, cancellation)
    return archive_contents.archive_sample(backup, table, limit, cancellation)
