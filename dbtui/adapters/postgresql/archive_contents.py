"""What an archive holds, told from its table of contents; first rows from its data."""

from dataclasses import replace

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.archive import ArchiveEntry
from dbtui.adapters.postgresql.archive_data import entry_data
from dbtui.adapters.postgresql.archive_index import ArchiveIndex, collect_archive_index, entry_stream
from dbtui.adapters.postgresql.copy_text import sample_of_chunks
from dbtui.adapters.postgresql.plain import copy_columns
from dbtui.adapters.postgresql.plain_contents import (
    contents_of,
    definition_of,
    sample_of_inserts,
    table_columns,
    table_key,
)
from dbtui.adapters.postgresql.sql_lexer import Lexer
from dbtui.model.backups import BackupContents, BackupTable, StoredBackup, TableName, TableSample


def archive_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Return what an archive holds; it does not know how many rows. Raises DamagedBackupError, StorageError."""
    index = collect_archive_index(backup, cancellation)
    contents = contents_of(index, backup, index.archive.database)
    with_data = {
        TableName(index.text_of(entry.schema), index.text_of(entry.tag))
        for entry in index.archive.entries
        if entry.kind == b"TABLE DATA"
    }
    known = {table.table_name for table in contents.tables}
    lone = tuple(BackupTable(table.schema, table.name) for table in sorted(with_data - known))
    return replace(contents, tables=contents.tables + lone)


def archive_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the SQL about a table. Raises UsageError when the archive does not hold it."""
    return definition_of(collect_archive_index(backup, cancellation), table)


def archive_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows. Raises UsageError, DamagedBackupError, ToolError."""
    index = collect_archive_index(backup, cancellation)
    entry = _data_entry(index, table)
    if entry is None:
        definition_of(index, table)  # raises when the table is not there at all
        return TableSample((), ())
    chunks = entry_data(backup, index.archive, entry, cancellation)
    if not entry.copy.strip():
        return sample_of_inserts(Lexer(entry_stream(chunks), str(table)), table_columns(index, table), limit)
    columns = tuple(index.text_of(column) for column in copy_columns(entry.copy.strip().removesuffix(b";")))
    return sample_of_chunks(chunks, columns, limit, index.encoding)


def _data_entry(index: ArchiveIndex, table: TableName) -> ArchiveEntry | None:
    key = table_key(index, table)
    entries = (entry for entry in index.archive.entries if entry.kind == b"TABLE DATA")
    return next((entry for entry in entries if (entry.schema, entry.tag) == key), None)
