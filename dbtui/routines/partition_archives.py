"""Archives of single partitions: ordinary backups with one table, proven to hold each of its rows."""

from dataclasses import replace
from pathlib import Path

from dbtui.errors import DbtuiError, MismatchError, RefusedError, UsageError
from dbtui.model.backups import BackupEntry, BackupFormat, BackupTable, CreateResult, DumpOptions
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Routine
from dbtui.model.tables import TableName
from dbtui.routines.backups.create import apply_create, plan_create
from dbtui.routines.backups.find import find_backup
from dbtui.routines.backups.manifest import parse_compression
from dbtui.routines.backups.stored import database_of, read_manifest
from dbtui.routines.backups.verify import SEALED, verify_backup
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_journal import ArchiveProof


def archive_partition(
    c: RoutineContext, profile: ConnectionProfile, table: TableName, directory: str
) -> Routine[ArchiveProof]:
    """Back up exactly one table that is a partition no more, verify the backup, and count the table's rows.

    `directory` empty: the profile's. Raises MismatchError when the backup is not the table, and what backups raise.
    """
    profile = _at_home(profile, table)
    place = Path(directory or profile.backup_dir).expanduser().absolute()
    made = yield from _back_up(c, profile, table, place)
    entry = find_backup(place, made.data_path)
    problem = yield from _check(c, profile, table, entry)
    if problem:
        raise MismatchError(f"the archive of {table} is not proven: {problem}", "nothing was dropped")
    return ArchiveProof(entry.backup_id, str(place), _rows_in(entry, table) or 0)


def prove_archive(
    c: RoutineContext, profile: ConnectionProfile, table: TableName, directory: str, backup_id: str
) -> Routine[str]:
    """Look for the backup that an earlier run made of a table and check it again; return what speaks against it."""
    profile = _at_home(profile, table)
    try:
        entry = find_backup(Path(directory or profile.backup_dir).expanduser().absolute(), backup_id)
        return (yield from _check(c, profile, table, entry))
    except UsageError as error:
        return error.message


def compare_rows(c: RoutineContext, profile: ConnectionProfile, table: TableName, proof: ArchiveProof) -> Routine[str]:
    """Count a table again whose archive was proven a while ago; return what speaks against it."""
    there = (yield from _count(c, _at_home(profile, table), table)).rows
    if there == proof.rows:
        return ""
    return f"{proof.backup_id} holds {proof.rows} rows of {table}, and the table has {there}"


def _back_up(c: RoutineContext, profile: ConnectionProfile, table: TableName, place: Path) -> Routine[CreateResult]:
    options = DumpOptions(
        format=BackupFormat(profile.format),
        compression=parse_compression(profile.compress),
        tables=(_pattern(profile, table),),
    )
    plan = yield from plan_create(c, profile, place, options)
    chosen = [each.table_name for each in plan.facts.tables]
    if plan.facts.unmatched:
        raise RefusedError(f"{table} is not there to be archived", "plan anew")
    if chosen != [table]:
        others = ", ".join(str(each) for each in chosen if each != table)
        raise RefusedError(f"{table} cannot be archived alone: {others} would come along", "nothing was dropped")
    if plan.facts.left_out:
        raise RefusedError(f"{table} cannot be archived whole: {plan.facts.left_out}", "nothing was dropped")
    return (yield from apply_create(c, profile, plan))


def _at_home(profile: ConnectionProfile, table: TableName) -> ConnectionProfile:
    """MySQL's tables need not be in the profile's database, and a backup is one of a database."""
    return replace(profile, database=table.schema) if profile.engine is EngineName.MYSQL else profile


def _pattern(profile: ConnectionProfile, table: TableName) -> str:
    """Name exactly one table where patterns are expected; MySQL's patterns know no quotes, and what they bring beside
    the table is refused.
    """
    if profile.engine is not EngineName.POSTGRESQL:
        return str(table)
    return ".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name))


def _check(c: RoutineContext, profile: ConnectionProfile, table: TableName, entry: BackupEntry) -> Routine[str]:
    """Return what keeps a backup from standing for a table: damage, or another number of rows."""
    try:
        rows = _rows_in(entry, table)
        found = yield from verify_backup(c, entry, None)
    except DbtuiError as error:
        if not isinstance(error, (RefusedError, UsageError)):
            raise
        return str(error)
    if found.problems:
        return "; ".join(found.problems)
    if SEALED in found.remarks:
        return (
            f"{entry.backup_id} is encrypted and no identity opens it here, so nobody has looked whether the rows are "
            "in it: set identity in the configuration, or encrypt_to = [] for this profile"
        )
    if rows is None:
        return f"{entry.backup_id} does not say how many rows of {table} it holds"
    return (yield from compare_rows(c, profile, table, ArchiveProof(entry.backup_id, entry.directory, rows)))


def _rows_in(entry: BackupEntry, table: TableName) -> int | None:
    """The exact rows of a table by a backup's manifest; None when it is not in it, or was not counted."""
    tables = read_manifest(entry).tables
    return next((each.rows for each in tables if each.table_name == table and each.rows_are == "exact"), None)


def _count(c: RoutineContext, profile: ConnectionProfile, table: TableName) -> Routine[BackupTable]:
    with c.open_target(profile) as target:
        counted = yield from c.backups(profile.engine).count_rows(target, database_of(profile, target.info), [table])
    if not counted:
        raise RefusedError(f"{table} is not there any more", "plan anew")
    return counted[0]
