"""Looking for damage and hostile contents in a backup. Nothing of it is run."""

import sqlite3
from collections.abc import Callable

from dbtui.adapters.background import Background
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import open_untrusted
from dbtui.adapters.sqlite.contents import warn_of_log
from dbtui.adapters.sqlite.counts import time_limit
from dbtui.adapters.sqlite.hostile import find_hostile
from dbtui.adapters.sqlite.integrity import find_damage, find_index_damage, find_orphans
from dbtui.adapters.sqlite.schema import Schema, collect_schema
from dbtui.adapters.sqlite.translate import backup_errors, error_name
from dbtui.adapters.sqlite.unpacked import readable_file
from dbtui.errors import Cancelled
from dbtui.model.backups import StoredBackup
from dbtui.model.events import Progressed, Routine, Warned

_ORPHANS_SECONDS = 30.0


def check_archive(backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    """Check header, definitions, structure, and every table against its indexes. Returns what is wrong.

    Rows without their parent are a warning: the application may have written them so. Raises DamagedBackupError,
    StorageError, Cancelled.
    """
    yield from unpack(backup, cancellation)
    for warning in warn_of_log(backup):
        yield Warned(warning)
    with readable_file(backup, cancellation) as path, backup_errors(backup.data_path, cancellation):
        with open_untrusted(path) as connection:
            schema = collect_schema(connection)
            hostile = tuple(find_hostile((each.kind, each.name, each.definition) for each in schema.declared))
            if hostile:
                return hostile
            damage = yield from _in_background(connection, lambda: find_damage(connection), cancellation)
            if damage:
                return damage
        # A connection of its own: the one above may have been given collations that compare otherwise.
        with open_untrusted(path) as connection:
            return (yield from _check_rows(connection, schema, cancellation))


def unpack(backup: StoredBackup, cancellation: Cancellation) -> Routine[None]:
    """Unpack a packed backup and tell how far that is. The copy stays for whoever asks for it next."""
    seen: list[int] = [0, 0]
    stopped: list[bool] = []

    def tell(done: int, limit: int) -> None:
        if stopped:
            raise Cancelled("cancelled")
        seen[:] = done, limit

    def work() -> None:
        with readable_file(backup, cancellation, tell):
            return

    with Background(work, lambda: stopped.append(True), cancellation) as unpacking:
        yield from unpacking.wait(lambda: Progressed(seen[0], seen[1] or None, "bytes", "unpacking"))


def _check_rows(connection: sqlite3.Connection, schema: Schema, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
    done: list[int] = [0]
    total = sum(1 for each in schema.declared if each.kind == "table")

    def work() -> tuple[str, ...]:
        return find_index_damage(connection, schema, cancellation, lambda number: done.__setitem__(0, number))

    damage = yield from _in_background(connection, work, cancellation, lambda: Progressed(done[0], total, "tables"))
    if not damage:
        for orphans in (yield from _in_background(connection, lambda: _limited(connection), cancellation)):
            yield Warned(orphans)
    return damage


def _limited(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        with time_limit(connection, _ORPHANS_SECONDS):
            return find_orphans(connection)
    except sqlite3.OperationalError as error:
        if error_name(error) != "SQLITE_INTERRUPT":
            raise
        return ("foreign keys were not all checked: that takes too long without indexes on them",)


def _in_background(
    connection: sqlite3.Connection,
    work: Callable[[], tuple[str, ...]],
    cancellation: Cancellation,
    tell: Callable[[], Progressed] = lambda: Progressed(0, None, "pages"),
) -> Routine[tuple[str, ...]]:
    with Background(work, connection.interrupt, cancellation) as checking:
        return (yield from checking.wait(tell))
