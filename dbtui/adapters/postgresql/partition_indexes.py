"""Builds an index of one partition beside its writers, and says how far it is and whom it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dbtui.adapters.background import Background
from dbtui.adapters.lock_patience import Attempt
from dbtui.adapters.postgresql.partition_session import PartitionSession, holder_of
from dbtui.adapters.postgresql.partition_sql import child_index
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.errors import ConnectError, ServerError
from dbtui.model.backups import TableName
from dbtui.model.events import Event, Progressed, Routine, Warned
from dbtui.model.partitions import PartitionStep, StepOutcome

_LOCKED = ("55P03", "40P01")
_LOOK_SECONDS = 0.5


def build_index(
    session: PartitionSession, step: PartitionStep, seconds: float, note: Callable[[str], None]
) -> Routine[Attempt | None]:
    """Build a step's index concurrently; what an earlier, stopped build has left goes first.

    None: it waited `seconds` for somebody's transaction. `note` takes the SQL that was run.
    Raises ServerError, ConnectError, Cancelled.
    """
    name = TableName(step.partition.schema, child_index(step))
    found = session.look_at_index(name.schema, name.name)
    if found is not None and found.table_id != step.identity and step.identity:
        return Attempt(StepOutcome.FAILED, f"the name {name} belongs to something else")
    if found is not None and found.is_valid:
        return Attempt(StepOutcome.SKIPPED, "it is there already")
    statements, detail = [step.sql[0]], ""
    if found is not None and found.parent:  # it hangs on the parent's and cannot be dropped by itself
        left = session.collect("collect_left_indexes", identity=found.table_id, index_name=name.name)
        statements = [*(_drop(TableName(name.schema, row.name)) for row in left),
                      f"REINDEX INDEX CONCURRENTLY {quote_table(name)}"]  # fmt: skip
        detail = "it was built anew"
    elif found is not None:
        statements.insert(0, _drop(name))
    try:
        session.limit(seconds)
        for sql in statements:
            yield from _run(session, sql, name)
            note(sql)
    except ServerError as error:
        if error.code in _LOCKED:
            return None
        raise
    return Attempt(StepOutcome.DONE, detail)


def _drop(index: TableName) -> str:
    return f"DROP INDEX CONCURRENTLY {quote_table(index)}"


def _run(session: PartitionSession, sql: str, index: TableName) -> Routine[None]:
    progress = _IndexProgress(session, index)
    with Background(lambda: session.run(sql), session.stop, session.target.cancellation) as building:
        waiting = building.wait(progress.tell)
        for event in waiting:
            yield event
            yield from progress.warnings()


class _IndexProgress:
    """How far the build of one index is, looked at twice a second."""

    def __init__(self, session: PartitionSession, index: TableName) -> None:
        self._session = session
        self._index = index.name
        self._next = 0.0
        self._latest = Progressed(0, None, "rows", index.name)
        self._named: set[int] = set()
        self._warnings: list[Warned] = []

    def tell(self) -> Event:
        """Return how far it is."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_SECONDS
            self._look()
        return self._latest

    def warnings(self) -> Routine[None]:
        """Yield, once each, whom it waits for."""
        yield from self._warnings
        self._warnings.clear()

    def _look(self) -> None:
        try:
            rows = self._session.look_at_build()
        except (ConnectError, ServerError) as error:  # the build itself says when it fails
            self._next = float("inf")
            self._warnings.append(Warned(f"how far {self._index} is cannot be seen: {error.message}"))
            return
        if rows:
            self._latest = _progressed(rows[0], self._index)
            self._name_locker(rows[0])

    def _name_locker(self, row: Any) -> None:
        if row.locker and row.locker not in self._named:
            self._named.add(row.locker)
            self._warnings.append(Warned(f"{self._index} waits until this has ended: {holder_of(row, row.locker)}"))


def _progressed(row: Any, index: str) -> Progressed:
    detail = f"{index}: {row.phase}"
    if row.blocks_total:
        return Progressed(row.blocks_done * row.block_bytes, row.blocks_total * row.block_bytes, "bytes", detail)
    if row.tuples_total:
        return Progressed(row.tuples_done, row.tuples_total, "rows", detail)
    if row.lockers_total:
        return Progressed(row.lockers_done, row.lockers_total, "transactions", detail)
    return Progressed(row.tuples_done or 0, None, "rows", detail)
