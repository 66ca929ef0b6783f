"""Runs the steps of a plan on MySQL and MariaDB.

No step waits for a metadata lock longer than the server's least limit (MariaDB: not at all): whoever came after it
would wait, too. DDL cannot be rolled back, so each statement is one that the next plan can go on from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from math import inf

from dbtui.adapters.lock_patience import Attempt, LockHolder, LockWait, try_patiently
from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.names import quote_name, quote_table
from dbtui.adapters.mysql.partition_sql import is_partition, rest_of
from dbtui.adapters.mysql.partitions import collect_partitioned_table
from dbtui.adapters.mysql.session_text import decode_text
from dbtui.adapters.mysql.table_holders import collect_table_holders
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.adapters.partition_marks import PartitionMark, format_mark, parse_mark
from dbtui.errors import LockedError, RefusedError, ServerError, UsageError
from dbtui.model.backups import TableName
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted
from dbtui.model.partitions import (
    LockPatience,
    Partition,
    PartitionedTable,
    PartitionStep,
    RangeBound,
    StepKind,
    StepOutcome,
    StepResult,
)

_NO_LOCK = ("1205", "1213")
#: As long as a session may do nothing.
_LONGEST_SECONDS = 2_000_000


@contextmanager
def open_executor(target: MysqlTarget, table: PartitionedTable, patience: LockPatience) -> Iterator[MysqlExecutor]:
    """Take the table's lock by name for a block. Raises LockedError, RefusedError, ConnectError."""
    target.refuse_read_only(f"changing partitions of {table.table}")
    _refuse(target, table)
    guard = target.connect(table.table.schema)
    work = target.connect(table.table.schema)
    try:
        row = target.collect_one("hold_partition_lock", guard, lock_name=_lock_name(table.table))
        if not row["is_ours"]:
            raise LockedError(
                f"another run is changing partitions of {table.table}: session {row['holder'] or 'unknown'}",
                "wait until it has ended",
            )
        _prepare(target, (guard, work))
        yield MysqlExecutor(target, table, replace(patience, old_seconds=inf), (guard, work))
    finally:
        close_quietly(work)
        close_quietly(guard)


def _prepare(target: MysqlTarget, sessions: tuple[MysqlConnection, MysqlConnection]) -> None:
    """No session of ours is ended for doing nothing while a partition is archived; what works has no other limit."""
    guard, work = sessions
    for made in (None, guard, work):
        target.rows(f"SET SESSION wait_timeout = {_LONGEST_SECONDS}", on=made)
    target.rows(f"SET SESSION lock_wait_timeout = {0 if target.is_mariadb else 1}", on=work)
    # Literals are written for this: backslashes are escapes, and double quotes are no names.
    target.rows("SET SESSION time_zone = '+00:00', sql_mode = ''", on=work)
    if target.is_mariadb:
        target.rows("SET SESSION max_statement_time = 0", on=work)
        if target.rows("SHOW VARIABLES LIKE 'alter_algorithm'", on=work):
            target.rows("SET SESSION alter_algorithm = 'DEFAULT'", on=work)  # partitions are changed by no other


def _lock_name(table: TableName) -> str:
    """Names of such locks have 64 characters at most, and hold for the whole server."""
    return "dbtui:part:" + hashlib.sha256(f"{table.schema}\0{table.name}".encode()).hexdigest()[:48]


def _refuse(target: MysqlTarget, table: PartitionedTable) -> None:
    if table.is_pooled:
        raise RefusedError("partitions are not changed through a proxy", "connect to the server itself")
    if target.info.role == "replica":
        raise RefusedError("this server is a replica: partitions are changed on the primary", "use the primary")
    if not table.is_owner:
        raise RefusedError(
            f"this login may not change partitions of {table.table}",
            f"GRANT ALTER, CREATE, DROP, INSERT, LOCK TABLES ON {quote_name(table.table.schema)}.* lets it",
        )


class MysqlExecutor:
    """See `dbtui.adapters.adapter.PartitionExecutor`."""

    def __init__(
        self,
        target: MysqlTarget,
        table: PartitionedTable,
        patience: LockPatience,
        sessions: tuple[MysqlConnection, MysqlConnection],
    ) -> None:
        self._target = target
        self._table = table
        self._patience = patience
        self._guard, self._work = sessions
        self._ran: list[str] = []

    def run(self, step: PartitionStep) -> Routine[StepResult]:
        """Run a described step. What the server refuses is FAILED. Raises ConnectError, Cancelled, UsageError."""
        if not step.sql:
            raise UsageError(f"a step {step.kind.value} of {step.partition} has no SQL to run", "describe it first")
        self._target.rows("SELECT 1", on=self._guard)  # a lost session has lost the lock
        yield StepStarted(step.kind.value, str(step.partition))
        try:
            result = yield from self._run(step)
        except ServerError as error:
            result = StepResult(step=step, outcome=StepOutcome.FAILED, detail=str(error))
        yield from map(CommandRan, self._ran)
        self._ran.clear()
        yield StepFinished(step.kind.value, result.seconds, result.outcome.value)
        return result

    def mark_archived(self, step: PartitionStep, archive: str) -> None:
        """Write the backup's id onto a table that was a partition. Raises RefusedError, ServerError."""
        mark = self._mark_of(step.partition)
        if mark is None or mark.parent != self._table.table:
            raise RefusedError(f"{step.partition} is no former partition of {self._table.table}", "plan it again")
        self._comment(step.partition, replace(mark, archive=archive))

    def _run(self, step: PartitionStep) -> Routine[StepResult]:
        if found := self._check(step):
            return StepResult(step=step, outcome=found.outcome, detail=found.detail)
        progress = _Progress()
        wait = LockWait(look=self._holders, attempt=lambda _rung: self._attempt(step, progress))
        return (yield from try_patiently(step, wait, self._patience, self._target.cancellation))

    def _holders(self) -> Sequence[LockHolder]:
        own = {int(each.thread_id()) for each in (self._guard, self._work)}  # type: ignore[no-untyped-call]
        return collect_table_holders(self._target, self._table.table, own)

    # ------------------------------------------------------------------------------------------- is it as planned?

    def _check(self, step: PartitionStep) -> Attempt | None:
        now = collect_partitioned_table(self._target, self._table.table)
        there = next((each for each in now.partitions if each.table == step.partition), None)
        if step.kind in (StepKind.CREATE, StepKind.DRAIN_DEFAULT):
            return _check_new(now, step, there)
        if step.kind is StepKind.DROP and not is_partition(self._table, step.partition):
            return self._check_drop(step)
        if there is None:
            return Attempt(StepOutcome.SKIPPED, "it is gone already")
        if step.bound_text and there.bound_text != step.bound_text:
            return Attempt(StepOutcome.FAILED, f"it holds {there.bound_text} now, and held {step.bound_text}")
        return self._check_into(step) if step.kind is StepKind.EXCHANGE else None

    def _check_drop(self, step: PartitionStep) -> Attempt | None:
        if not self._look(step.partition):
            return Attempt(StepOutcome.SKIPPED, "it is gone already")
        mark = self._mark_of(step.partition)
        if mark is None or mark.parent != self._table.table:
            return Attempt(StepOutcome.FAILED, f"{step.partition} does not carry the mark of a former partition")
        if step.bound_text and mark.bound_text != step.bound_text:
            return Attempt(StepOutcome.FAILED, f"it held {mark.bound_text}, and {step.bound_text} was planned to go")
        return None

    def _check_into(self, step: PartitionStep) -> Attempt | None:
        """A table of that name must be ours and hold nothing yet."""
        into = _into(step)
        if not self._look(into):
            return None
        mark = self._mark_of(into)
        is_ours = mark.parent == self._table.table if mark else bool(self._look(into)[0]["is_partitioned"])
        if not is_ours or self._has_rows(quote_table(into)):
            return Attempt(StepOutcome.FAILED, f"there is something else called {into}")
        return None

    def _look(self, table: TableName) -> list[dict[str, object]]:
        return self._target.collect("look_at_table", table_schema=table.schema, table_name=table.name)

    def _mark_of(self, table: TableName) -> PartitionMark | None:
        rows = self._look(table)
        return parse_mark(decode_text(rows[0]["comment"])) if rows else None

    def _has_rows(self, source: str) -> bool:
        rows = self._target.rows(f"SELECT EXISTS (SELECT 1 FROM {source} LIMIT 1) AS has_rows", on=self._work)  # noqa: S608
        return bool(rows[0]["has_rows"])

    # ------------------------------------------------------------------------------------------------- running it

    def _attempt(self, step: PartitionStep, progress: _Progress) -> Attempt | None:
        """Go on with the statements that are left. None: a lock was not to be had."""
        try:
            while progress.done < len(step.sql):
                sql = step.sql[progress.done]
                if sql.startswith("LOCK TABLES"):
                    found = self._run_locked(step, step.sql[progress.done :])
                    if found is not None:
                        return found
                    progress.done = len(step.sql)
                else:
                    self._run_one(step, sql)
                    progress.done += 1
        except ServerError as error:
            if error.code in _NO_LOCK:
                return None
            raise
        return Attempt(StepOutcome.DONE)

    def _run_one(self, step: PartitionStep, sql: str) -> None:
        if step.kind is StepKind.EXCHANGE and sql.startswith("CREATE TABLE") and self._look(_into(step)):
            return
        if step.kind is StepKind.EXCHANGE and sql.endswith("REMOVE PARTITIONING"):
            mark = PartitionMark(parent=self._table.table, bound_text=step.bound_text, detached_at=datetime.now(UTC))
            removed = " REMOVE PARTITIONING" if self._look(_into(step))[0]["is_partitioned"] else ""
            self._comment(_into(step), mark, removed)
        else:
            self._target.rows(sql, on=self._work)
        self._ran.append(sql)

    def _run_locked(self, step: PartitionStep, statements: Sequence[str]) -> Attempt | None:
        """Nobody writes between the look at the rows and the change: both are under one lock."""
        self._target.rows(statements[0], on=self._work)
        try:
            if found := self._check_rows(step):
                return found
            for sql in statements[1:-1]:
                self._target.rows(sql, on=self._work)
        finally:
            if self._work.open:
                self._target.rows(statements[-1], on=self._work)
        self._ran.extend(statements)
        return None

    def _check_rows(self, step: PartitionStep) -> Attempt | None:
        """What is split or dropped must be empty; a drain may copy few rows."""
        if step.kind is StepKind.DRAIN_DEFAULT:
            return None
        rest = rest_of(self._table)
        name = step.partition.name if step.kind is StepKind.EXCHANGE or rest is None else rest.table.name
        if not self._has_rows(f"{quote_table(self._table.table)} PARTITION ({quote_name(name)})"):
            return None
        if step.kind is StepKind.EXCHANGE:
            detail = f"rows have come into {name} since it was exchanged: they stay there, and a new plan takes them"
        else:
            detail = f"{name} holds rows, and splitting it would copy them under a lock: drain it"
        return Attempt(StepOutcome.FAILED, detail)

    def _comment(self, table: TableName, mark: PartitionMark, ending: str = "") -> None:
        text = format_mark(mark).replace("\\", "\\\\").replace("'", "''")  # a comment cannot be hexadecimal
        self._target.rows(f"ALTER TABLE {quote_table(table)} COMMENT = '{text}'{ending}", on=self._work)


class _Progress:
    """How many statements of a step are done: a lock that was not to be had does not undo those before it."""

    def __init__(self) -> None:
        self.done = 0


def _check_new(now: PartitionedTable, step: PartitionStep, there: Partition | None) -> Attempt | None:
    if there is None:
        return None
    same = there.bound == step.bound
    if isinstance(there.bound, RangeBound) and isinstance(step.bound, RangeBound):
        same = there.bound.upper == step.bound.upper
    if same:
        return Attempt(StepOutcome.SKIPPED, "it is there already")
    return Attempt(StepOutcome.FAILED, f"{now.table} has another partition called {step.partition.name}")


def _into(step: PartitionStep) -> TableName:
    if step.into is None:
        raise UsageError(f"which table takes the rows of {step.partition.name} is not said", "plan it again")
    return step.into
