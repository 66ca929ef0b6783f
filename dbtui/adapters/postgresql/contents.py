"""What a backup holds, read without a server: each format has its own reader."""

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.plain_contents import plain_contents, plain_definition, plain_sample
from dbtui.model.backups import BackupContents, StoredBackup, TableName, TableSample


def collect_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Return what a backup holds. Raises DamagedBackupError, StorageError, Cancelled."""
    return plain_contents(backup, cancellation)


def show_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the SQL that creates a table, with its indexes, constraints and rights. Raises UsageError."""
    return plain_definition(backup, table, cancellation)


def collect_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows. Raises UsageError, DamagedBackupError, ToolError."""
    return plain_sample(backup, table, limit, cancellation)
