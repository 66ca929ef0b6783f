"""Looking into a backup without restoring it."""

from dataclasses import replace

from dbtui.model.backups import BackupContents, BackupEntry, BackupTable, Manifest, StoredBackup, TableName, TableSample
from dbtui.model.events import Routine
from dbtui.routines.backups.stored import open_stored
from dbtui.routines.context import RoutineContext

_SEALED = "it is encrypted and no identity was given: this is what its manifest tells"


def collect_contents(c: RoutineContext, entry: BackupEntry) -> Routine[BackupContents]:
    """Return what a backup holds, with the manifest's exact rows and sizes. Raises DamagedBackupError, StorageError."""
    yield from ()
    backup = open_stored(entry, c.identity_of)
    if backup.encryption and backup.identity is None and backup.manifest is not None:
        return replace(known_contents(backup), warnings=(_SEALED,))
    return read_contents(c, backup)


def known_contents(backup: StoredBackup) -> BackupContents:
    """Return what the manifest of a backup tells of its contents, its data unread."""
    manifest = backup.manifest
    if manifest is None:
        return BackupContents(engine=backup.engine)
    return BackupContents(
        engine=manifest.engine,
        database=manifest.database,
        server_version=manifest.server_version,
        tool_version=manifest.tool_version,
        schemas=manifest.schemas,
        tables=manifest.tables,
        extensions=manifest.extensions,
        roles=manifest.roles,
    )


def read_contents(c: RoutineContext, backup: StoredBackup) -> BackupContents:
    """Read what a backup holds and merge in what its manifest knows."""
    found = c.backups(backup.engine).collect_contents(backup, c.cancellation)
    return merge_manifest(found, backup.manifest) if backup.manifest else found


def merge_manifest(found: BackupContents, manifest: Manifest) -> BackupContents:
    """Return the contents with rows and bytes of the manifest; tables that only one of the two knows are warned of."""
    known = {table.table_name: table for table in manifest.tables}
    tables = tuple(_merged(table, known.get(table.table_name)) for table in found.tables)
    there = {table.table_name for table in found.tables}
    lost = [str(name) for name in known if name not in there]
    warnings = [f"{name} is in the manifest and not in the dump" for name in lost]
    return replace(
        found,
        database=found.database or manifest.database,
        server_version=found.server_version or manifest.server_version,
        tool_version=found.tool_version or manifest.tool_version,
        tables=tables,
        schemas=found.schemas or manifest.schemas,
        extensions=found.extensions or manifest.extensions,
        roles=found.roles or manifest.roles,
        warnings=(*found.warnings, *warnings),
    )


def _merged(found: BackupTable, known: BackupTable | None) -> BackupTable:
    if known is None:
        return found
    if known.rows is None:
        return replace(found, bytes=found.bytes if known.bytes is None else known.bytes)
    return replace(
        found, rows=known.rows, rows_are=known.rows_are, bytes=found.bytes if known.bytes is None else known.bytes
    )  # fmt: skip


def show_definition(c: RoutineContext, entry: BackupEntry, table: TableName) -> Routine[str]:
    """Return the SQL that creates a table, read from the backup."""
    yield from ()
    backup = open_stored(entry, c.identity_of)
    return c.backups(backup.engine).show_definition(backup, table, c.cancellation)


def collect_sample(c: RoutineContext, entry: BackupEntry, table: TableName, limit: int = 50) -> Routine[TableSample]:
    """Return a table's first rows, read from the backup."""
    yield from ()
    backup = open_stored(entry, c.identity_of)
    return c.backups(backup.engine).collect_sample(backup, table, limit, c.cancellation)
