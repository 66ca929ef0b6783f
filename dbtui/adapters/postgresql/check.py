"""Looks for damage and hostile contents that checksums cannot show. Nothing of a backup is run."""

from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import report
from dbtui.adapters.encryption import open_data
from dbtui.adapters.postgresql.archive import MAGIC
from dbtui.adapters.postgresql.archive_check import check_data
from dbtui.adapters.postgresql.archive_index import collect_archive_index
from dbtui.adapters.postgresql.plain import PlainIndex, scan_backup
from dbtui.adapters.streams import storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, StoredBackup
from dbtui.model.events import Routine, Warned

_HEADS = (
    (b"SQLite format 3\0", "a SQLite database"),
    (b"-- MySQL dump", "a dump of MySQL"),
    (b"-- MariaDB dump", "a dump of MariaDB"),
    (b"/*M!999999", "a dump of MariaDB"),
    (b"PGDMP", "an archive of pg_dump in custom format"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"PK\x03\x04", "a zip file"),
)


_PLAIN_HEAD = b"PostgreSQL database "


def check_archive(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    """Return what is wrong with a backup, a sentence each. Raises StorageError, ToolError, Cancelled."""
    try:
        if problem := recognise(backup):
            return (problem,)
        if backup.format is BackupFormat.PLAIN:
            return (yield from _check_plain(backup, cancellation))
        return (yield from _check_archive(backup, cancellation))
    except DamagedBackupError as error:
        return (error.message,)


def recognise(backup: StoredBackup) -> str:
    """Say what the file is when it is plainly something else than its name says. Raises DamagedBackupError."""
    path = Path(backup.data_path)
    if backup.format is BackupFormat.DIRECTORY:
        if not path.is_dir():
            return f"{path.name} is not a directory"
        return "" if (path / "toc.dat").is_file() else f"{path.name} holds no toc.dat: this is no dump of pg_dump"
    if not path.is_file():
        return f"{path.name} is not a file"
    with storage_errors(path), path.open("rb") as file:
        head = file.read(16)
    if not head:
        return f"{path.name} is empty"
    what = next((name for mark, name in _HEADS if head.startswith(mark)), "")
    is_expected = backup.is_packed or (backup.format is BackupFormat.CUSTOM and head.startswith(MAGIC))
    if what and not is_expected:
        return f"{path.name} is {what}, not a {backup.format.value} dump of PostgreSQL"
    if backup.format is BackupFormat.PLAIN:
        with open_data(backup) as stream:
            if _PLAIN_HEAD not in stream.read(4096):
                return f"{path.name} is not a dump made by pg_dump"
    return ""


def _check_plain(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    total = backup.manifest.uncompressed_bytes if backup.manifest else None
    index = yield from report(scan_backup(backup, cancellation), total)
    yield from _warn(index, Path(backup.data_path).name)
    return (*index.problems, *_lost_rows(backup, index))


def _lost_rows(backup: StoredBackup, index: PlainIndex) -> list[str]:
    """Rows that the manifest counted and the dump does not hold."""
    if backup.manifest is None or backup.manifest.schema_only:
        return []
    found = {(index.text_of(key[0]), index.text_of(key[1])): data.bytes for key, data in index.data.items()}
    return [
        f"{table.table_name} has no rows in the dump, and {table.rows} in the manifest"
        for table in backup.manifest.tables
        if table.rows and table.rows_are == "exact" and not found.get((table.schema, table.name), 1)
    ]


def _check_archive(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    index = collect_archive_index(backup, cancellation)
    yield from _warn(index, Path(backup.data_path).name)
    if index.problems:
        return tuple(index.problems)
    return tuple((yield from report(check_data(backup, index, cancellation), None)))


def _warn(index: PlainIndex, name: str) -> "Routine[None]":
    for warning in (*index.left_out, *index.describe_risks(name)):
        yield Warned(warning)
    for what in index.reaching:
        yield Warned(f"{name}: {what}; it is restored, and may reach the server's files or programs when it is called")
