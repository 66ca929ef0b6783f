"""Loading a backup into a database made for it, comparing what arrived, and leaving nothing behind when it fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dbtui.adapters.adapter import Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.analysis.backups import compare_counts
from dbtui.errors import DbtuiError, RefusedError, ServerError
from dbtui.model.backups import BackupContents, BackupTable, LoadRequest, StoredBackup, TableDifference, TableName
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.stored import server_name
from dbtui.routines.context import RoutineContext

#: "there is such a database already", by SQLSTATE, MySQL number or errno name: then it is not ours to drop.
_EXISTS_CODES = ("42P04", "1007", "EEXIST")


@dataclass
class FreshDatabase:
    """A database that this run makes. While `is_ours`, it is dropped when the block of `fresh_database` ends.

    `server` is where it is; empty for a file, whose name says that.
    """

    name: str
    server: str = ""
    is_ours: bool = False
    is_being_undone: bool = False

    @property
    def undoing(self) -> str:
        """See Unfinished."""
        return f"{'dropping' if self.server else 'removing'} {self._place}"

    @property
    def left(self) -> str:
        """See Unfinished."""
        what, verb = ("database", "drop") if self.server else ("file", "remove")
        return f"the {what} {self._place}: {verb} it by hand if it is still there"

    @property
    def _place(self) -> str:
        name = format_untrusted(self.name)
        return f"{name} on {self.server}" if self.server else name


@contextmanager
def fresh_database(c: RoutineContext, profile: ConnectionProfile, name: str) -> Iterator[FreshDatabase]:
    """Drop the database at the end if it is still ours, over a new connection that no cancel interrupts.

    Open the target that fills it inside the block, so that its connections are gone by then.
    """
    fresh = FreshDatabase(name, "" if profile.engine is EngineName.SQLITE else format_untrusted(server_name(profile)))
    c.unfinished.append(fresh)
    try:
        yield fresh
    except BaseException as error:
        if fresh.is_ours:
            _drop_after(c, profile, fresh, error)
        raise
    if fresh.is_ours:
        _drop(c, profile, fresh)


def _drop(c: RoutineContext, profile: ConnectionProfile, fresh: FreshDatabase) -> None:
    fresh.is_being_undone = True
    undisturbed = replace(c, cancellation=Cancellation())
    with undisturbed.open_target(profile) as target:
        undisturbed.backups(profile.engine).drop_database(target, fresh.name)
    fresh.is_ours = False


def _drop_after(c: RoutineContext, profile: ConnectionProfile, fresh: FreshDatabase, error: BaseException) -> None:
    """Drop after a failure; if that fails too, the first error says so besides."""
    try:
        _drop(c, profile, fresh)
    except DbtuiError as second:
        left = f"the new database {fresh.name} could not be dropped ({second.message}): drop it by hand"
        if isinstance(error, DbtuiError):
            error.message = f"{error.message}; {left}"
        else:
            raise ServerError(left) from error


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What arrived: the counted tables, and those whose rows are not the expected ones."""

    counted: tuple[BackupTable, ...]
    differences: tuple[TableDifference, ...]


def load_and_compare(
    c: RoutineContext, target: Target, fresh: FreshDatabase, request: LoadRequest, like: str = ""
) -> Routine[LoadOutcome]:
    """Create the fresh database, load the backup, count, compare. Raises ServerError, ToolError, Cancelled."""
    adapter = c.backups(target.profile.engine)
    yield from _create(c, target, fresh, request.contents, like)
    began = time.monotonic()
    yield StepStarted("load", f"{request.backup.backup_id} into {fresh.name}")
    yield from adapter.load(target, request)
    yield StepFinished("load", time.monotonic() - began)
    expected = expected_tables(request.backup, request.contents, request.tables)
    began = time.monotonic()
    yield StepStarted("count rows", fresh.name)
    counted = yield from adapter.count_rows(target, fresh.name, [table.table_name for table in expected])
    yield StepFinished("count rows", time.monotonic() - began, f"{len(counted)} tables")
    return LoadOutcome(counted, compare_counts(_folded(target, expected), _folded(target, counted)))


def _create(
    c: RoutineContext, target: Target, fresh: FreshDatabase, contents: BackupContents, like: str
) -> Routine[None]:
    adapter = c.backups(target.profile.engine)
    if adapter.collect_destination(target, fresh.name).exists:
        raise RefusedError(f"{fresh.name} exists already", "choose another name with --into")
    c.cancellation.check()
    yield StepStarted("create", fresh.name)
    began = time.monotonic()
    fresh.is_ours = True
    try:
        adapter.create_database(target, fresh.name, like, contents)
    except RefusedError:
        fresh.is_ours = False
        raise
    except ServerError as error:
        fresh.is_ours = error.code not in _EXISTS_CODES
        raise
    yield StepFinished("create", time.monotonic() - began)


def expected_tables(
    backup: StoredBackup, contents: BackupContents, only: tuple[TableName, ...] = ()
) -> tuple[BackupTable, ...]:
    """Return the tables, with their rows, that a restore of a backup must give: the manifest's, else the dump's own."""
    tables = backup.manifest.tables if backup.manifest else contents.tables
    if backup.manifest and backup.manifest.schema_only:
        tables = tuple(replace(table, rows=None) for table in tables)
    return tuple(table for table in tables if not only or table.table_name in only)


def _folded(target: Target, tables: tuple[BackupTable, ...]) -> tuple[BackupTable, ...]:
    """Leave the schema out of the comparison for MySQL: there it is the database, whose name a restore may change."""
    if target.profile.engine is not EngineName.MYSQL:
        return tables
    return tuple(replace(table, schema="") for table in tables)


def describe_differences(differences: tuple[TableDifference, ...]) -> tuple[str, ...]:
    """Return a sentence for each table that is not as its manifest says."""
    return tuple(
        f"{TableName(one.schema, one.name)} is missing"
        if one.found is None
        else f"{TableName(one.schema, one.name)} has {one.found} rows instead of {one.expected}"
        for one in differences
    )
