"""The sessions that change a partitioned table: one holds the advisory lock and does nothing else, one works.

An open transaction in the first would keep DETACH CONCURRENTLY waiting for ever, so it has none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from dbtui.adapters.libpq.cancel_request import CancelRequest
from dbtui.adapters.lock_patience import LockHolder
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.errors import ConnectError, LockedError, RefusedError, ServerError
from dbtui.model.backups import TableName
from dbtui.model.partitions import PartitionedTable

_PIN = "pin_partition_text"
#: A transaction of ours whose client has vanished ends by itself.
_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "0",
    "client_min_messages": "warning",
    "default_tablespace": "",  # a new partition goes where its siblings are, whatever the login's own tables do
}
#: Settings of 14 and later. The first is not there on every system, and does without then.
_NEWER_SETTINGS = {"client_connection_check_interval": "1s", "idle_session_timeout": "0"}
_NEWER = 140000
_NO_SUCH_SETTING = ("22023", "0A000", "42704")
_STOP_SECONDS = 5.0
#: Even what nobody waits for ends some time.
_LONGEST = "60s"


@dataclass(frozen=True, slots=True)
class WantedLocks:
    """Tables that a step locks, by identity: against everybody, against writers, against other changes alone."""

    exclusive: Sequence[int] = ()
    unwritten: Sequence[int] = ()
    shared: Sequence[int] = ()


class PartitionSession:
    """A partitioned table that is ours alone to change, as far as other runs of dbtui are concerned."""

    def __init__(self, target: PostgresqlTarget, table: PartitionedTable, guard: Connection, work: Connection) -> None:
        self.target = target
        self.table = table
        self._guard = guard
        self._work = work
        self._cancel = CancelRequest(work)

    def check(self) -> None:
        """Raise when the lock is lost, the server has become a replica, or the table is not the planned one."""
        self.target.rows("SELECT 1", on=self._guard)
        refuse(self.target, self.table, self._work)

    def run(self, sql: str) -> list[Any]:
        """Run a statement of the work. Raises ServerError, ConnectError, Cancelled."""
        return self.target.rows(sql, on=self._work)

    @contextmanager
    def transaction(self, lock_seconds: float) -> Iterator[None]:
        """Commit what the block does, or nothing. A statement waits for a lock so long at most."""
        limit = f"{max(1, round(lock_seconds * 1000))}ms"
        self.run(f"BEGIN; SET LOCAL lock_timeout = '{limit}'; SET LOCAL statement_timeout = '{_LONGEST}'")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with contextlib.suppress(ServerError, ConnectError):  # what the block raised tells more
                self.roll_back()
            raise

    def roll_back(self) -> None:
        """End the transaction without its changes; also when the run is being cancelled. Raises ServerError."""
        if self._work.closed:
            return
        with contextlib.suppress(psycopg2.Error), self._work.cursor() as cursor:  # a lost session has rolled back
            cursor.execute("ROLLBACK")

    def limit(self, lock_seconds: float) -> None:
        """How long each of the following statements outside of transactions waits for one lock."""
        self.run(f"SET lock_timeout = '{max(1, round(lock_seconds * 1000))}ms'")

    def look(self, table: TableName) -> Any | None:
        """Return what a name stands for now, None: nothing."""
        rows = self.target.collect(
            "look_at_relation", self._work, after=_PIN, table_schema=table.schema, table_name=table.name
        )
        return rows[0] if rows else None

    def look_at_index(self, schema: str, name: str) -> Any | None:
        """Return an index as it is now, None: there is none of that name."""
        rows = self.target.collect("look_at_index", self._work, table_schema=schema, table_name=name)
        return rows[0] if rows else None

    def is_pending(self, identity: int) -> bool:
        """Whether a partition's concurrent detach was begun and not ended."""
        return any(row.identity == identity for row in self.target.collect("collect_pending_detaches", self._work))

    def pending(self) -> set[int]:
        """Return the partitions of the whole database whose concurrent detach was not ended."""
        return {row.identity for row in self.target.collect("collect_pending_detaches", self._work)}

    def collect(self, name: str, **binds: Any) -> list[Any]:
        """Ask a question of queries.sql in the working session."""
        return self.target.collect(name, self._work, **binds)

    def undo(self, question: str, identity: int, undoing: Callable[[str], str], lock_seconds: float) -> None:
        """Run what removes each name that a question finds, even while the run is being cancelled.

        Raises ServerError, ConnectError.
        """
        with self.target.working(self.target.info.database, autocommit=True, shielded=True) as made:
            self.target.rows(f"SET lock_timeout = '{round(lock_seconds * 1000)}ms'", on=made)
            for row in self.target.collect(question, made, identity=identity):
                self.target.rows(undoing(row.name), on=made)

    def holders(self, wanted: WantedLocks) -> list[LockHolder]:
        """Return who holds locks in the way of ours."""
        own = [self._work.info.backend_pid, self._guard.info.backend_pid]
        rows = self.target.collect(
            "collect_partition_blockers",
            exclusive=list(wanted.exclusive),
            unwritten=list(wanted.unwritten),
            shared=list(wanted.shared),
            own=own,
        )
        return [holder_of(row, row.process_id) for row in rows]

    def look_at_build(self) -> list[Any]:
        """Return how far the index is that the working session builds; nothing: it builds none just now."""
        return self.target.collect("collect_index_progress", process_id=self._work.info.backend_pid)

    def stop(self) -> None:
        """Ask the server to cancel what the working session runs."""
        self._cancel.send(_STOP_SECONDS)


def holder_of(row: Any, session: int) -> LockHolder:
    """Return a row of pg_stat_activity as somebody who is waited for."""
    who = " ".join(each for each in (row.application or row.backend_type, row.login) if each)
    doing = row.sql if row.state == "active" else row.state
    return LockHolder(session, who or "unknown", max(row.seconds, 0.0), doing or "")


@contextmanager
def open_session(target: PostgresqlTarget, table: PartitionedTable) -> Iterator[PartitionSession]:
    """Take the table's advisory lock. Raises LockedError, RefusedError, ConnectError."""
    target.refuse_read_only(f"changing partitions of {table.table}")
    _refuse_pooler(target)
    database = target.info.database
    with target.working(database, autocommit=True) as guard, target.working(database, autocommit=True) as work:
        for made in (guard, work):
            _prepare(target, made)
        _stay(target)
        refuse(target, table, work)
        if not target.collect_one("try_partition_lock", guard, identity=table.identity).is_ours:
            raise LockedError(
                f"another run is changing partitions of {table.table}: {_describe_run(target, table)}",
                "wait until it has ended",
            )
        yield PartitionSession(target, table, guard, work)


def _refuse_pooler(target: PostgresqlTarget) -> None:
    if target.is_pooled:
        raise RefusedError(
            "partitions are not changed through a pooler: locks and time limits would reach other clients",
            f"use a profile that connects to the server itself ({target.where})",
        )


def _prepare(target: PostgresqlTarget, made: Connection) -> None:
    process = target.rows("SELECT pg_backend_pid() AS process_id", on=made)[0].process_id
    if process != made.info.backend_pid:
        raise RefusedError("a pooler is in the path of this session", "connect to the server itself")
    for name, value in _SETTINGS.items():
        target.rows(f"SET {name} = '{value}'", on=made)
    if made.info.server_version >= _NEWER:
        for name, value in _NEWER_SETTINGS.items():
            try:
                target.rows(f"SET {name} = '{value}'", on=made)
            except ServerError as error:
                if error.code not in _NO_SUCH_SETTING:
                    raise


def _stay(target: PostgresqlTarget) -> None:
    """The session that asks who holds what has nothing to do while a partition is archived: it stays all the same."""
    if target.info.version_number >= _NEWER:
        target.rows("SET idle_session_timeout = '0'")


def refuse(target: PostgresqlTarget, table: PartitionedTable, on: Connection) -> None:
    """Raise RefusedError when this table must not, or cannot, be changed here."""
    rows = target.collect("look_at_parent", on, identity=table.identity)
    if rows and rows[0].is_replica:
        raise RefusedError("this server is a replica: partitions are changed on the primary", "use the primary")
    if not rows or (rows[0].schema, rows[0].name, rows[0].kind) != (table.table.schema, table.table.name, "p"):
        raise RefusedError(f"{table.table} is not the table any more that was looked at", "plan it again")
    if not rows[0].is_owner:
        raise RefusedError(
            f"{table.table} belongs to {table.owner}: only its owner may change its partitions",
            f"log in as {table.owner} or a member of it",
        )
    if table.managed_by:
        raise RefusedError(f"{table.managed_by} looks after {table.table}", "change its settings there")


def _describe_run(target: PostgresqlTarget, table: PartitionedTable) -> str:
    rows = target.collect("collect_partition_lock_holder", identity=table.identity)
    if not rows:
        return "it has ended just now"
    row = rows[0]
    return f"session {row.process_id} ({row.application or 'no name'}, {row.login}), for {row.seconds or 0:.0f} s"
