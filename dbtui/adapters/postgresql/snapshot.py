"""One moment of a database, shared by pg_dump and by our own questions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.facts import collect_lock_holders
from dbtui.adapters.postgresql.tables import CatalogTable, Catalogue, collect_catalogue
from dbtui.errors import ServerError, UsageError
from dbtui.model.backups import DumpOptions

LOCK_WAIT_SECONDS = 15
_LOCKED_AT_ONCE = 500
#: Row security: refuse instead of hiding rows, as pg_dump does. Counting beside a dump must not take its processors.
_SETTINGS = (
    "SET LOCAL lock_timeout = '{seconds}s'; SET LOCAL row_security = off; SET LOCAL max_parallel_workers_per_gather = 0"
)
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot: its name for pg_dump, the session that keeps it, and the tables seen in it."""

    name: str
    connection: Connection
    catalogue: Catalogue
    chosen: tuple[CatalogTable, ...]
    counted: tuple[CatalogTable, ...]  # those that can be read

    @property
    def listed(self) -> tuple[CatalogTable, ...]:
        """The tables that a backup lists: parents only when none of their partitions is chosen."""
        return self.catalogue.listed(self.chosen)


@contextmanager
def open_snapshot(target: PostgresqlTarget, options: DumpOptions) -> Iterator[Snapshot]:
    """Export a snapshot and keep it until the block ends.

    The tables are locked (ACCESS SHARE, as pg_dump does) before the snapshot is taken, not after: a table that is
    truncated or rewritten in between would look empty in it. Raises ServerError when a lock cannot be had.
    """
    known, _ = collect_catalogue(target).choose(options)
    with target.working(target.info.database) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        target.collect("lift_timeouts", connection)
        target.rows(_SETTINGS.format(seconds=LOCK_WAIT_SECONDS), on=connection)
        _lock(target, connection, _with_rows(target, known))
        name = target.collect_one("export_snapshot", connection).name
        catalogue = collect_catalogue(target, connection)
        chosen, _ = catalogue.choose(options)
        if (options.tables or options.exclude_tables) and not chosen:
            raise UsageError("no table is left to dump", "correct the table patterns")
        counted = _with_rows(target, chosen)
        locked = {each.table_id for each in known}
        _lock(target, connection, [each for each in counted if each.table_id not in locked])
        yield Snapshot(name, connection, catalogue, chosen, tuple(counted))


def _with_rows(target: PostgresqlTarget, tables: Sequence[CatalogTable]) -> list[CatalogTable]:
    """The tables that are read. A replica knows no rows of unlogged ones and refuses to look."""
    return [each for each in tables if not each.is_parent and not (each.is_unlogged and target.info.role == "replica")]


def _lock(target: PostgresqlTarget, connection: Connection, tables: Sequence[CatalogTable]) -> None:
    for start in range(0, len(tables), _LOCKED_AT_ONCE):
        names = ", ".join(f"ONLY {each.sql}" for each in tables[start : start + _LOCKED_AT_ONCE])
        try:
            target.rows(f"LOCK TABLE {names} IN ACCESS SHARE MODE", on=connection)
        except ServerError as error:
            if error.code != _LOCK_NOT_AVAILABLE:
                raise
            holders = collect_lock_holders(target, {each.table_id for each in tables})
            raise ServerError(
                f"a table could not be locked for reading within {LOCK_WAIT_SECONDS} s: "
                + ("; ".join(holders) or "another session holds ACCESS EXCLUSIVE on it"),
                "wait for that session, or end it, then try again",
                code=error.code,
            ) from error
