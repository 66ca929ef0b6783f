"""Whether a restore equals its manifest, and whether a backup looks right beside its elders."""

from collections.abc import Iterable, Mapping, Sequence

from dbtui.model.backups import BackupEntry, BackupTable, EntryKind, TableDifference, TableName

#: A backup smaller than this share of the one before it deserves a look.
SUSPICIOUS_SHARE = 0.5


def compare_counts(
    expected: Iterable[BackupTable], found: Iterable[BackupTable], only: Sequence[TableName] = ()
) -> tuple[TableDifference, ...]:
    """Return the tables that are missing, and those whose exact row count is not the one found.

    `only` limits the comparison to some tables (empty: all). Estimates and unknown counts prove nothing and are
    compared for existence alone.
    """
    rows: Mapping[TableName, int | None] = {table.table_name: table.rows for table in found}
    differences = []
    for table in expected:
        if only and table.table_name not in only:
            continue
        if table.table_name not in rows:
            differences.append(TableDifference(table.schema, table.name, table.rows or 0, None))
            continue
        actual = rows[table.table_name]
        if table.rows is None or table.rows_are != "exact" or actual is None:
            continue
        if actual != table.rows:
            differences.append(TableDifference(table.schema, table.name, table.rows, actual))
    return tuple(differences)


def is_of_database(entry: BackupEntry, database: str) -> bool:
    """Whether an entry is a backup of `database`; an empty name means any. Most foreign files tell none."""
    return not database or entry.database == database


def assess_shrinking(entries: Sequence[BackupEntry]) -> dict[str, float]:
    """Return, by backup id, by what fraction a complete backup is smaller than the one before it of its database.

    Only suspicious ones are returned: those that lost half or more. Different formats are not compared.
    """
    before: dict[tuple[object, ...], int] = {}
    shrunk: dict[str, float] = {}
    for entry in sorted(entries, key=lambda one: one.began_at):
        if entry.kind is not EntryKind.COMPLETE:
            continue
        kin = (entry.engine, entry.profile, entry.database, entry.format, entry.compression)
        previous = before.get(kin, 0)
        if entry.size_bytes < previous * SUSPICIOUS_SHARE:
            shrunk[entry.backup_id] = 1 - entry.size_bytes / previous
        before[kin] = entry.size_bytes
    return shrunk
