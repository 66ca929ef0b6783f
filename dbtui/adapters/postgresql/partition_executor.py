"""Runs the steps of a plan on PostgreSQL.

Each looks first whether everything is as planned, waits for locks briefly and often, and leaves, wherever it is killed,
something that the next plan goes on from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from dbtui.adapters.lock_patience import Attempt, LockWait, try_patiently
from dbtui.adapters.partition_marks import PartitionMark, format_mark, parse_mark
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.partition_checks import check_step
from dbtui.adapters.postgresql.partition_indexes import build_index
from dbtui.adapters.postgresql.partition_session import PartitionSession, WantedLocks, open_session
from dbtui.adapters.postgresql.partition_sql import CHECK_PREFIX, needs_check
from dbtui.adapters.postgresql.sql import quote_name, quote_table, quote_text
from dbtui.errors import RefusedError, ServerError, UsageError
from dbtui.model.backups import TableName
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted, Warned
from dbtui.model.partitions import (
    LockPatience,
    PartitionedTable,
    PartitionStep,
    StepKind,
    StepOutcome,
    StepResult,
)

_NO_LOCK = "55P03"
_TOO_LONG = "57014"
_DEADLOCK = "40P01"
#: How long a statement may last that holds what readers wait for.
_HOLD_SECONDS = 2.0
_MAKE_SECONDS = 60.0
#: For what waits without being in anybody's way: old snapshots.
_QUIET_SECONDS = 2.0
_LEFT = "collect_left_checks"
_RECHECKED = (StepKind.DETACH, StepKind.DROP)


@contextmanager
def open_executor(
    target: PostgresqlTarget, table: PartitionedTable, patience: LockPatience
) -> Iterator[PostgresqlExecutor]:
    """Take the table's advisory lock for a block. Raises LockedError, RefusedError, ConnectError."""
    with open_session(target, table) as session:
        yield PostgresqlExecutor(session, patience)


class PostgresqlExecutor:
    """See `dbtui.adapters.adapter.PartitionExecutor`."""

    def __init__(self, session: PartitionSession, patience: LockPatience) -> None:
        self._session = session
        self._table = session.table
        self._patience = patience
        self._is_swept = False
        self._ran: list[str] = []

    def run(self, step: PartitionStep) -> Routine[StepResult]:
        """Run a described step. What the server refuses is FAILED. Raises ConnectError, RefusedError, Cancelled."""
        if not step.sql:
            raise UsageError(f"a step {step.kind.value} of {step.partition} has no SQL to run", "describe it first")
        self._session.check()
        yield StepStarted(step.kind.value, str(step.partition))
        try:
            result = yield from self._run(step)
        except ServerError as error:
            result = StepResult(step=step, outcome=StepOutcome.FAILED, detail=str(error))
        yield from self._tell()
        yield StepFinished(step.kind.value, result.seconds, result.outcome.value)
        return result

    def mark_archived(self, step: PartitionStep, archive: str) -> None:
        """Write the backup's id onto a detached table. Raises RefusedError: it carries no mark of this parent."""
        row = self._session.look(step.partition)
        mark = parse_mark(row.comment or "") if row is not None else None
        if row is None or mark is None or mark.parent != self._table.table or step.identity not in (0, row.identity):
            raise RefusedError(f"{step.partition} is no detached partition of {self._table.table}", "plan it again")
        self._session.limit(_QUIET_SECONDS)
        self._session.run(_comment(step.partition, replace(mark, archive=archive)))

    def _tell(self) -> Iterator[CommandRan]:
        yield from map(CommandRan, self._ran)
        self._ran.clear()

    def _run(self, step: PartitionStep) -> Routine[StepResult]:
        if not self._is_swept:
            yield from self._sweep(step)
        if not step.identity and step.kind is not StepKind.DROP:
            row = self._session.look(step.partition)
            step = replace(step, identity=row.identity if row is not None else 0)
        if found := check_step(self._session, step):
            return StepResult(step=step, outcome=found.outcome, detail=found.detail)
        if step.kind is StepKind.CREATE and needs_check(self._table, step):
            return (yield from self._create_checked(step))
        if step.kind is StepKind.DETACH and step.concurrently:
            yield from self._finalize_others(step)
            result = yield from self._patiently(step, lambda rung: self._detach_concurrently(step, rung))
            if result.outcome is not StepOutcome.DONE:
                yield from self._restore_comments()
            return result
        if step.kind is StepKind.REPAIR_DETACH:
            return (yield from self._patiently(step, partial(self._finalize_once, step)))
        if step.kind is StepKind.CREATE_INDEX and step.concurrently:
            return (yield from self._patiently(step, lambda _rung: self._build_index(step)))
        return (yield from self._patiently(step, lambda rung: self._in_transaction(step, step.sql, rung)))

    def _build_index(self, step: PartitionStep) -> Routine[Attempt | None]:
        """Waiting for old transactions, a build is in nobody's way: it may take as long as patience lasts."""
        return build_index(self._session, step, self._patience.seconds, self._note)

    def _note(self, sql: str) -> None:
        self._ran.append(sql)

    def _patiently(
        self, step: PartitionStep, attempt: Callable[[float], Attempt | Routine[Attempt | None] | None]
    ) -> Routine[StepResult]:
        wanted = self._wanted(step)
        wait = LockWait(look=lambda: self._session.holders(wanted), attempt=attempt)
        return (yield from try_patiently(step, wait, self._patience, self._session.target.cancellation))

    def _wanted(self, step: PartitionStep) -> WantedLocks:
        default = [self._table.default.identity] if self._table.default else []
        parent, child = [self._table.identity], [step.identity]
        if step.kind in (StepKind.CREATE, StepKind.DRAIN_DEFAULT):
            return WantedLocks(
                default, self._related("collect_referenced_tables", "collect_referencing_tables"), parent
            )
        if step.kind is StepKind.DETACH:
            referencing = self._related("collect_referencing_tables")
            tables = [*parent, *child, *default, *referencing]
            return WantedLocks(tables, self._related("collect_referenced_tables"))
        if step.kind is StepKind.REPAIR_DETACH:
            return WantedLocks([*parent, *child], self._related("collect_referenced_tables"))
        if step.kind is StepKind.DROP:
            return WantedLocks([*child, *self._related("collect_referenced_tables")])
        return WantedLocks(shared=child)

    def _related(self, *questions: str) -> list[int]:
        """Tables on the other ends of the parent's foreign keys."""
        identity = self._table.identity
        return [row.identity for each in questions for row in self._session.collect(each, identity=identity)]

    # ---------------------------------------------------------------------------------------------- in transactions

    def _in_transaction(self, step: PartitionStep, statements: tuple[str, ...], rung: float) -> Attempt | None:
        """Run statements all or nothing. None: a lock was not to be had."""
        if step.kind is StepKind.DETACH:
            statements = (*statements, self._new_mark(step))
        sql = ""
        try:
            with self._session.transaction(rung):
                for sql in statements:
                    self._run_limited(sql, rung)
                    if _is_lock(sql) and step.kind in _RECHECKED and (found := check_step(self._session, step)):
                        self._session.roll_back()
                        return found
        except ServerError as error:
            if error.code in (_NO_LOCK, _DEADLOCK) or (error.code == _TOO_LONG and _is_lock(sql)):
                return None
            if error.code == _TOO_LONG:
                detail = f"it took longer than {_hold_seconds(sql):.0f} s and was rolled back: {error.message}"
                return Attempt(StepOutcome.FAILED, detail)
            raise
        self._ran.extend(statements)
        return Attempt(StepOutcome.DONE)

    def _run_limited(self, sql: str, rung: float) -> None:
        """What one statement locks it has within a rung; then comes what may last a little."""
        if _is_lock(sql):
            self._session.run(f"SET LOCAL statement_timeout = {max(1, round(rung * 1000))}")
            self._session.run(f"{sql}; SET LOCAL statement_timeout = {round(_HOLD_SECONDS * 1000)}")
        else:
            if sql.startswith("CREATE"):
                self._session.run(f"SET LOCAL statement_timeout = {round(_hold_seconds(sql) * 1000)}")
            self._session.run(sql)

    def _new_mark(self, step: PartitionStep) -> str:
        """The comment that a partition gets: what its owner wrote, and below it our mark."""
        row = self._session.look(step.partition)
        bound = step.bound_text or (row.bound if row is not None else "") or ""
        text = (row.comment if row is not None else "") or ""
        before = parse_mark(text)
        mark = PartitionMark(
            parent=self._table.table,
            bound_text=bound,
            detached_at=datetime.now(UTC),
            identity=row.identity if row is not None else step.identity,
            comment=text if before is None else before.comment,
        )
        return _comment(step.partition, mark)

    # --------------------------------------------------------------------------------- a default with a CHECK first

    def _create_checked(self, step: PartitionStep) -> Routine[StepResult]:
        """Have the default proven empty of the range without keeping readers out, then attach; the CHECK goes again."""
        prefix, rest = step.sql[:CHECK_PREFIX], step.sql[CHECK_PREFIX:]
        added = yield from self._patiently(step, lambda rung: self._in_transaction(step, prefix[:1], rung))
        if added.outcome is not StepOutcome.DONE:
            return added
        try:
            result = self._validate(step, prefix[1])
            if result is None:
                result = yield from self._patiently(step, lambda rung: self._in_transaction(step, rest, rung))
        except BaseException:  # also when the run is cancelled: the CHECK refuses rows as long as it is there
            if self._table.default is not None:
                self._session.undo(_LEFT, self._table.default.identity, self._removal, _HOLD_SECONDS)
            raise
        if result.outcome is not StepOutcome.DONE:
            yield from self._sweep(step)
        return result

    def _validate(self, step: PartitionStep, sql: str) -> StepResult | None:
        """Have the CHECK proven; None: it is. Neither readers nor writers wait for it."""
        self._session.limit(self._patience.seconds)
        try:
            self._session.run(sql)
        except ServerError as error:
            return StepResult(step=step, outcome=StepOutcome.FAILED, detail=str(error))
        self._ran.append(sql)
        return None

    def _removal(self, name: str) -> str:
        default = quote_table(self._table.default.table) if self._table.default else ""
        return f"ALTER TABLE {default} DROP CONSTRAINT IF EXISTS {quote_name(name)}"

    def _sweep(self, step: PartitionStep) -> Routine[None]:
        """Remove the CHECK that a run which was killed has left on the default."""
        attaching = replace(step, kind=StepKind.CREATE)
        default = self._table.default
        for row in self._session.collect(_LEFT, identity=default.identity) if default else ():
            removal = (self._removal(row.name),)
            yield from self._patiently(attaching, partial(self._in_transaction, attaching, removal))
        yield from self._restore_comments()
        self._is_swept = True

    def _restore_comments(self) -> Routine[None]:
        """Take our mark off partitions that have stayed ones, or are ones again."""
        pending = self._session.pending()
        for row in self._session.collect("collect_marked_partitions", identity=self._table.identity):
            mark = parse_mark(row.comment)
            if mark is None or row.identity in pending:
                continue
            table = TableName(row.schema, row.name)
            sql = f"COMMENT ON TABLE {quote_table(table)} IS {quote_text(mark.comment).strip()}"
            try:
                self._session.limit(self._patience.rungs_seconds[0])
                self._session.run(sql)
                self._note(sql)
            except ServerError as error:  # it is in nobody's way, and the next run tries again
                yield Warned(f"the mark of dbtui stays in the comment of {table} until the next run: {error.message}")

    # -------------------------------------------------------------------------------------------------- concurrently

    def _detach_concurrently(self, step: PartitionStep, rung: float) -> Attempt | None:
        """Detach in two transactions. The mark comes first: a run that is killed leaves a detach pending, or ended."""
        if self._session.is_pending(step.identity):
            return self._finalize(step)
        if found := check_step(self._session, step):
            return found if found.outcome is not StepOutcome.SKIPPED else Attempt(StepOutcome.DONE, found.detail)
        try:
            self._session.limit(rung)
            self._session.run(self._new_mark(step))
            self._session.limit(_QUIET_SECONDS)
            self._session.run(step.sql[0])
        except ServerError as error:
            if error.code in (_NO_LOCK, _DEADLOCK, _TOO_LONG):
                return None
            raise
        self._ran.extend(step.sql)
        return Attempt(StepOutcome.DONE)

    def _finalize_once(self, step: PartitionStep, _rung: float) -> Attempt | None:
        return self._finalize(step)

    def _finalize(self, step: PartitionStep) -> Attempt | None:
        """End a detach that was begun. Raises ServerError."""
        if not self._session.is_pending(step.identity):
            return Attempt(StepOutcome.DONE, "it had ended by itself")
        parent, child = quote_table(self._table.table), quote_table(step.partition)
        sql = f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE"
        row = self._session.look(step.partition)
        try:
            self._session.limit(_QUIET_SECONDS)
            if row is not None and row.kind != "f" and parse_mark(row.comment or "") is None:
                self._session.run(self._new_mark(step))  # somebody else has begun it
            self._session.run(sql)
        except ServerError as error:
            if error.code in (_NO_LOCK, _DEADLOCK, _TOO_LONG):
                return None
            raise
        self._ran.append(sql)
        return Attempt(StepOutcome.DONE)

    def _finalize_others(self, step: PartitionStep) -> Routine[None]:
        """Only one partition's detach may be pending: an older one is ended first."""
        pending = self._session.pending() - {step.identity}
        for each in self._table.partitions:
            if each.identity in pending:
                other = replace(step, kind=StepKind.REPAIR_DETACH, partition=each.table, identity=each.identity)
                yield from self._patiently(other, partial(self._finalize_once, other))


def _is_lock(sql: str) -> bool:
    return sql.startswith("LOCK TABLE")


def _hold_seconds(sql: str) -> float:
    """How long a statement may last: a new table is in nobody's way yet."""
    return _MAKE_SECONDS if sql.startswith("CREATE") else _HOLD_SECONDS


def _comment(table: TableName, mark: PartitionMark) -> str:
    return f"COMMENT ON TABLE {quote_table(table)} IS {quote_text(format_mark(mark)).strip()}"
