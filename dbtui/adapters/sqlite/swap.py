"""Putting new contents into a live database file, without ever taking the file away from who has it open.

The new pages go in through SQLite's backup API, in one transaction of the live file: readers of a write-ahead-log
database keep their snapshot, those of a rollback-journal database wait, and whatever ends this halfway, also the power,
leaves the old contents. What was there is copied aside first, and nobody may write between the two copies: a
rollback-journal file stays locked throughout, and with a write-ahead log a commit in between is noticed by SQLite's
data version as soon as the write lock is held again, and everything begins anew.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.background import Background
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.connect import (
    SqliteTarget,
    hold_snapshot,
    open_file,
    open_reader,
    open_untrusted,
    recover,
    retry_busy,
    sql,
)
from dbtui.adapters.sqlite.copying import PAGES_A_STEP, CopyWatch, copy_pages
from dbtui.adapters.sqlite.created import create_database_file, forget, is_created, remove_created
from dbtui.adapters.sqlite.filing import copy_bytes, folder_beside, use_rollback_journal
from dbtui.adapters.sqlite.locations import resolve
from dbtui.adapters.sqlite.status import FileFacts, collect_file_facts
from dbtui.adapters.sqlite.translate import busy_error, shown, sqlite_errors
from dbtui.adapters.streams import fsync_path, storage_errors
from dbtui.errors import DbtuiError, RefusedError
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted

_ATTEMPTS = 20
#: The list of definitions takes one, every table at least another.
_FEWEST_PAGES = 2


class WrittenBetween(Exception):
    """Somebody committed to the live database after it was copied aside and before it was locked again."""


@dataclass(frozen=True, slots=True)
class _Paths:
    """The three files of a swap."""

    live: Path
    fresh: Path
    kept: Path


def swap_database(target: SqliteTarget, live: str, fresh: str, kept: str) -> Routine[None]:
    """Give the live file the fresh one's contents and keep its old ones at `kept`. Its owner and mode stay.

    The kept file belongs to the live one's owner (to us, unless we are root) and has mode 0600, like all we write.
    If there is no live file, the fresh one gets its name. Raises RefusedError, ServerError (somebody keeps the file
    locked, named), StorageError, Cancelled; then the live file is as before.
    """
    target.check_writable()
    paths = _Paths(*(resolve(target.path, name) for name in (live, fresh, kept)))
    if not is_created(paths.fresh):
        raise RefusedError(f"{shown(paths.fresh)} was not made by this run", "restore into a new file first")
    if not os.path.lexists(paths.live):
        yield CommandRan(f"rename {shown(paths.fresh)} to {shown(paths.live)}")
        move_into_place(paths.fresh, paths.live)
        return
    create_database_file(paths.kept)
    watch = CopyWatch(paths.live)
    try:
        yield from _exchange(paths, watch, target.cancellation)
    finally:
        # Only while the live file is as before may what was kept of it go away again.
        if watch.is_complete:
            forget(paths.kept)
        else:
            remove_created(paths.kept)
            _settle(paths.live)
    _shrink_log(paths.live)
    fsync_path(paths.live.parent)
    remove_created(paths.fresh)


def _settle(live: Path) -> None:
    """After a failure, such as a full disk, SQLite may leave the rolling back to the next reader: be that reader."""
    with contextlib.suppress(sqlite3.Error, DbtuiError):
        recover(live, Cancellation())


def _shrink_log(live: Path) -> None:
    """Do not leave a log as large as the database behind. Readers may be in the way; then their end does it."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(open_file(live, "rw")) as connection:
        connection.execute(sql("checkpoint")).fetchall()


def move_into_place(fresh: Path, final: Path) -> None:
    """Rename a finished file to a name that nobody has. Raises RefusedError, StorageError."""
    with storage_errors(shown(final)):
        try:
            os.link(fresh, final, follow_symlinks=False)
        except FileExistsError:
            raise RefusedError(f"{shown(final)} exists by now", "plan the restore again") from None
        fresh.unlink()
    forget(fresh)
    fsync_path(final.parent)


# ---------------------------------------------------------------- the exchange


def _exchange(paths: _Paths, watch: CopyWatch, cancellation: Cancellation) -> Routine[None]:
    with contextlib.closing(open_reader(paths.live, cancellation)) as connection, sqlite_errors(paths.live):
        facts = retry_busy(lambda: collect_file_facts(connection, paths.live), paths.live, cancellation)
    yield from _fit_page_size(paths.fresh, facts, cancellation)
    for _ in range(_ATTEMPTS):
        try:
            if facts.is_wal:
                yield from _exchange_with_log(paths, watch, cancellation)
            else:
                yield from _exchange_locked(paths, watch, cancellation)
        except WrittenBetween:
            _empty(paths.kept)
        else:
            return
    raise busy_error(paths.live)


def _fit_page_size(fresh: Path, live: FileFacts, cancellation: Cancellation) -> Routine[None]:
    """Give the new contents the live file's page size: with a write-ahead log that cannot change."""
    with open_untrusted(fresh) as connection, sqlite_errors(fresh, cancellation):
        page_size, pages = (int(connection.execute(sql(name)).fetchone()[0]) for name in ("page_size", "page_count"))
    if pages < _FEWEST_PAGES:
        raise RefusedError(f"{shown(fresh)} has no tables, so nothing is replaced by it", "choose another backup")
    if not live.is_wal or page_size == live.page_size:
        return
    yield StepStarted("fit the page size", f"{page_size} to {live.page_size} bytes")
    began = time.monotonic()
    with folder_beside(fresh) as folder:
        fitted = folder / "fitted.sqlite"
        with contextlib.closing(open_file(fresh, "rw")) as connection:

            def work() -> None:
                connection.execute(sql("use_page_size").format(size=live.page_size))
                connection.execute(sql("vacuum_into"), {"path": str(fitted)})

            with sqlite_errors(fitted, cancellation), Background(work, connection.interrupt, cancellation) as fitting:
                yield from fitting.wait(lambda: Progressed(0, None, "pages"))
        yield from copy_bytes(fitted, fresh, cancellation)
    yield StepFinished("fit the page size", time.monotonic() - began)


def _empty(path: Path) -> None:
    with storage_errors(shown(path)):
        os.truncate(path, 0)


def _exchange_locked(paths: _Paths, watch: CopyWatch, cancellation: Cancellation) -> Routine[None]:
    """Rollback journal: one connection keeps the write lock from before the first copy until after the second."""
    with _writer(paths.live) as writer, sqlite_errors(paths.live, cancellation):
        _begin_immediate(writer, paths.live, cancellation)
        # Only now: a failed attempt to get the lock would keep a read lock, and the writer would wait for that.
        writer.execute(sql("keep_lock")).fetchall()
        yield from _keep_old(paths, cancellation)
        writer.execute(sql("commit"))
        yield from _put_in(paths, writer, watch, cancellation)


def _exchange_with_log(paths: _Paths, watch: CopyWatch, cancellation: Cancellation) -> Routine[None]:
    """Write-ahead log: its lock cannot be kept between two transactions, so commits in between are looked for."""
    with (
        _writer(paths.live) as guard,
        _writer(paths.live) as writer,
        sqlite_errors(paths.live, cancellation),
    ):
        _begin_immediate(guard, paths.live, cancellation)
        yield from _keep_old(paths, cancellation)
        before = _data_version(guard)
        guard.execute(sql("commit"))

        def when_locked() -> None:
            if _data_version(guard) != before:
                raise WrittenBetween

        watch.when_locked = when_locked
        yield from _put_in(paths, writer, watch, cancellation)


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute(sql("data_version")).fetchall()[0][0])


@contextmanager
def _writer(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_file(path, "rw")) as connection:
        yield connection


def _begin_immediate(connection: sqlite3.Connection, path: Path, cancellation: Cancellation) -> None:
    retry_busy(lambda: connection.execute(sql("begin_immediate")), path, cancellation)


def _keep_old(paths: _Paths, cancellation: Cancellation) -> Routine[None]:
    """Copy the live database aside, of the moment at which its write lock was taken."""
    yield StepStarted("keep the old", shown(paths.kept))
    yield CommandRan(f"online backup of {shown(paths.live)} into {shown(paths.kept)}")
    began = time.monotonic()
    with contextlib.closing(open_reader(paths.live, cancellation)) as source:
        with sqlite_errors(paths.live, cancellation):
            hold_snapshot(source, paths.live, cancellation)
        with contextlib.closing(open_file(paths.kept, "rw")) as copy, sqlite_errors(paths.kept, cancellation):
            for name in ("no_journal", "no_sync"):
                copy.execute(sql(name)).fetchall()
            yield from copy_pages(source, copy, CopyWatch(paths.live), cancellation)
    use_rollback_journal(paths.kept)
    _give_to_owner(paths.live, paths.kept)
    fsync_path(paths.kept)
    yield StepFinished("keep the old", time.monotonic() - began)


def _give_to_owner(origin: Path, copy: Path) -> None:
    """Let the database's owner have the kept copy, and nobody besides: it stays at mode 0600.

    Nothing opens it but the way back, which reads it as the account that ran the restore. The mode of the database is
    not taken over: the bits of its group can be the mask of an access list, and then let in more people.
    """
    with storage_errors(shown(copy)):
        about = origin.stat()
        if os.geteuid() == 0:
            os.chown(copy, about.st_uid, about.st_gid)


def _put_in(paths: _Paths, writer: sqlite3.Connection, watch: CopyWatch, cancellation: Cancellation) -> Routine[None]:
    yield StepStarted("put in the new", shown(paths.live))
    yield CommandRan(f"online backup of {shown(paths.fresh)} into {shown(paths.live)}, in one transaction")
    began = time.monotonic()
    with open_untrusted(paths.fresh) as source:
        source.execute(sql("begin"))
        pages = int(source.execute(sql("page_count")).fetchone()[0])
        # At least two steps: the look at what was written between comes after the first, the commit with the last.
        yield from copy_pages(source, writer, watch, cancellation, max(1, min(PAGES_A_STEP, pages // 2)))
    yield StepFinished("put in the new", time.monotonic() - began)
