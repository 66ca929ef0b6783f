"""Comparing a backup with another or with a live database: from manifests and catalogues, restoring nothing."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dbtui.adapters.adapter import Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.analysis import backups as analysis
from dbtui.analysis.backups.differences import ignores_schemas, is_chosen
from dbtui.errors import Cancelled, ConnectError, RefusedError, ServerError, UsageError
from dbtui.model.backup_differences import (
    COUNT_SECONDS,
    SHRINK_SHARE,
    BackupDifferences,
    DiffSide,
    LiveContents,
)
from dbtui.model.backups import BackupEntry, BackupFormat, BackupTable, EntryKind, Manifest, StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName, ServerInfo
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted
from dbtui.model.shapes import DatabaseShape
from dbtui.model.tables import TableName
from dbtui.model.text import format_bytes
from dbtui.routines.backups.contents import read_contents
from dbtui.routines.backups.remote_find import RemoteBackup
from dbtui.routines.backups.stored import database_of, open_stored
from dbtui.routines.context import RoutineContext

#: A dump without a manifest has to be read to its end; a larger one is refused.
LARGEST_READ_BYTES = 512 << 20
#: Tables that are counted together: losing a group to the limit of time must not cost much.
_GROUP_TABLES, _GROUP_BYTES = 50, 32 << 20
_NO_SHAPE = "does not tell them: it was made before dbtui kept them, or a table changed while it was dumped"


def compare_backup(
    c: RoutineContext,
    entry: BackupEntry | RemoteBackup,
    other: BackupEntry | RemoteBackup | ConnectionProfile,
    *,
    threshold: float = SHRINK_SHARE,
    tables: Sequence[TableName] = (),
    excluded: Sequence[TableName] = (),
    count_seconds: float = COUNT_SECONDS,
) -> Routine[BackupDifferences]:
    """Compare a backup with another, or with the live database of a profile, and judge what was lost in between.

    `tables` and `excluded` are those to compare and to leave out, with `*` and `?`. Of a live database the rows are
    counted for `count_seconds` at most, suspicious and small tables first. Raises DamagedBackupError, StorageError,
    RefusedError, UsageError (a table that neither has), ConnectError, ServerError.
    """
    first = collect_stored_side(c, entry)
    if isinstance(other, BackupEntry | RemoteBackup):
        second = collect_stored_side(c, other)
    else:
        second = yield from _collect_live_side(
            c, other, first, lambda name: is_chosen(name, tables, excluded), threshold, count_seconds
        )
    _check_wanted(tables, (first, second))
    return analysis.assess_differences(first, second, threshold=threshold, tables=tables, excluded=excluded)


def _check_wanted(tables: Sequence[TableName], sides: Sequence[DiffSide]) -> None:
    for wanted in tables:
        if not any(is_chosen(table.table_name, (wanted,)) for side in sides for table in side.tables):
            labels = " nor ".join(side.label for side in sides)
            raise UsageError(f"neither {labels} has a table {wanted}", "see dbtui backup show BACKUP for its tables")


# ---------------------------------------------------------------- a backup


def collect_stored_side(c: RoutineContext, entry: BackupEntry | RemoteBackup) -> DiffSide:
    """Return what a backup tells of itself; one in a remote by its manifest alone.

    Raises DamagedBackupError, StorageError, RefusedError.
    """
    if isinstance(entry, RemoteBackup):
        return _side(entry.entry, entry.manifest, entry.manifest.shape)
    backup = open_stored(entry, c.identity_of) if entry.kind is EntryKind.FOREIGN else open_stored(entry)
    return _of_manifest(c, entry, backup, backup.manifest) if backup.manifest else _of_foreign(c, entry, backup)


def _of_manifest(c: RoutineContext, entry: BackupEntry, backup: StoredBackup, manifest: Manifest) -> DiffSide:
    return _side(entry, manifest, manifest.shape or c.backups(backup.engine).read_shape(backup, c.cancellation))


def _side(entry: BackupEntry, manifest: Manifest, shape: DatabaseShape | None) -> DiffSide:
    rows_known = not manifest.schema_only
    return DiffSide(
        label=entry.backup_id, is_live=False, engine=manifest.engine, flavour=manifest.flavour,
        server_version=manifest.server_version, database=manifest.database, taken_at=entry.began_at,
        tables=manifest.tables if rows_known else tuple(replace(table, rows=None) for table in manifest.tables),
        shape=shape, shape_gap="" if shape else _NO_SHAPE,
        is_partial=bool(manifest.selected_tables or manifest.excluded_tables),
        remarks=() if rows_known else (f"{entry.backup_id} holds definitions without rows",),
    )  # fmt: skip


def _of_foreign(c: RoutineContext, entry: BackupEntry, backup: StoredBackup) -> DiffSide:
    is_read_whole = backup.format is BackupFormat.PLAIN
    if is_read_whole and entry.size_bytes > LARGEST_READ_BYTES:
        raise RefusedError(
            f"{entry.backup_id} has no manifest, and all of its {format_bytes(entry.size_bytes)} would have to be read",
            "compare with a backup that dbtui made; dbtui backup show reads a dump whole",
        )
    contents = read_contents(c, backup)
    shape: DatabaseShape | None = c.backups(backup.engine).read_shape(backup, c.cancellation)
    is_copy = backup.format is BackupFormat.COPY
    return DiffSide(
        label=entry.backup_id, is_live=False, engine=backup.engine, flavour=entry.flavour,
        server_version=contents.server_version, database=contents.database, taken_at=entry.began_at,
        tables=contents.tables, shape=shape, shape_gap="" if shape else "has no manifest that would tell them",
        sizes_are="server" if is_copy else "dump",
        remarks=(f"{entry.backup_id} has no manifest: its time is that of its file, and nobody says it is whole",),
    )  # fmt: skip


# ---------------------------------------------------------------- a live database


def _collect_live_side(
    c: RoutineContext,
    profile: ConnectionProfile,
    before: DiffSide,
    is_wanted: Callable[[TableName], bool],
    threshold: float,
    seconds: float,
) -> Routine[DiffSide]:
    began = time.monotonic()
    yield StepStarted("look", f"ask {profile.name or 'the target'} for its catalogue")
    with c.open_target(profile) as target:
        _check_database(target)
        info = target.info
        found = c.backups(profile.engine).collect_live_contents(target)
    yield StepFinished("look", time.monotonic() - began, f"{len(found.tables)} tables")
    side = _live_side(c, profile, info, found)
    chosen = [table for table in _worth_counting(before, side, found, threshold) if is_wanted(table.table_name)]
    if not chosen or seconds <= 0:
        return side
    counted, problems = yield from _count(c, profile, info, chosen, seconds)
    tables = tuple(_merged(table, counted) for table in side.tables)
    return replace(side, tables=tables, remarks=(*side.remarks, *problems))


def _check_database(target: Target) -> None:
    if not database_of(target.profile, target.info):
        raise UsageError(f"{target.profile.name or 'the URL'} names no database", "put /DATABASE at the end of its URL")


def _live_side(c: RoutineContext, profile: ConnectionProfile, info: ServerInfo, found: LiveContents) -> DiffSide:
    database = database_of(profile, info)
    return DiffSide(
        label=profile.name or database, is_live=True, engine=info.engine, flavour=info.flavour,
        server_version=info.version, database=database, taken_at=c.now(), tables=found.tables,
        shape=None if found.hides else found.shape, shape_gap="may not show them all", is_partial=bool(found.hides),
        remarks=(*([found.hides] if found.hides else []),
                 *(f"{name} is not counted: {reason}" for name, reason in found.uncountable)),
    )  # fmt: skip


def _worth_counting(before: DiffSide, side: DiffSide, found: LiveContents, threshold: float) -> list[BackupTable]:
    """The tables whose exact rows would say something: those under suspicion first, then the smallest."""
    fold = ignores_schemas(before, side)
    useless = {table.name if fold else table.table_name for table in before.tables if table.rows is None}
    barred = {name for name, _ in found.uncountable}
    suspected = set(analysis.suspects(before, side, threshold))
    chosen = [
        table
        for table in side.tables
        if (table.name if fold else table.table_name) not in useless and table.table_name not in barred
    ]
    return sorted(chosen, key=lambda table: (table.table_name not in suspected, table.bytes or 0, table.table_name))


def _merged(table: BackupTable, counted: dict[TableName, int]) -> BackupTable:
    rows = counted.get(table.table_name)
    return table if rows is None else replace(table, rows=rows, rows_are="exact")


def _count(
    c: RoutineContext, profile: ConnectionProfile, info: ServerInfo, tables: Sequence[BackupTable], seconds: float
) -> Routine[tuple[dict[TableName, int], tuple[str, ...]]]:
    """Count until the time is over; return the rows that are known then, and what went wrong."""
    began, counted = time.monotonic(), dict[TableName, int]()
    problems: list[str] = []
    limit = Cancellation()
    yield StepStarted("count rows", f"{len(tables)} tables, for {seconds:g} s at most")
    try:
        with (
            c.cancellation.interrupting(lambda: limit.request(c.cancellation.reason)),
            DEADLINES.limiting(seconds, limit),
            replace(c, cancellation=limit).open_target(profile) as target,
        ):
            for group in _groups(tables):
                yield Progressed(len(counted), len(tables), "tables")
                yield from _count_group(c, target, info, group, counted, problems)
    except Cancelled:
        c.cancellation.check()
    except ConnectError as error:
        c.cancellation.check()
        if not limit.requested:
            problems.append(f"rows are not counted: {error.message}")
    yield StepFinished("count rows", time.monotonic() - began, f"{len(counted)} of {len(tables)} tables")
    return counted, tuple(problems)


def _count_group(
    c: RoutineContext,
    target: Target,
    info: ServerInfo,
    group: Sequence[BackupTable],
    counted: dict[TableName, int],
    problems: list[str],
) -> Routine[None]:
    """Count a group of tables; where one of them cannot be, each by itself."""
    database = _address(target, info)
    try:
        found = yield from c.backups(info.engine).count_rows(target, database, [table.table_name for table in group])
    except ServerError as error:
        if len(group) == 1:
            problems.append(f"{group[0].table_name} is not counted: {error.message}")
            return
        for table in group:
            yield from _count_group(c, target, info, (table,), counted, problems)
        return
    counted |= {table.table_name: table.rows for table in found if table.rows is not None}


def _address(target: Target, info: ServerInfo) -> str:
    """The database as the adapter names it; of a file, empty is its own."""
    return "" if info.engine is EngineName.SQLITE else database_of(target.profile, info)


def _groups(tables: Sequence[BackupTable]) -> Iterator[list[BackupTable]]:
    group: list[BackupTable] = []
    size = 0
    for table in tables:
        if group and (len(group) == _GROUP_TABLES or size + (table.bytes or 0) > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(table)
        size += table.bytes or 0
    if group:
        yield group
