"""Whether everything still is as a step was planned for: looked at right before it, and again under its locks."""

from __future__ import annotations

from typing import Any

from dbtui.adapters.lock_patience import Attempt
from dbtui.adapters.partition_marks import parse_mark
from dbtui.adapters.postgresql.bounds import parse_bound
from dbtui.adapters.postgresql.partition_session import PartitionSession
from dbtui.adapters.postgresql.partition_sql import child_index
from dbtui.model.partitions import PartitionStep, StepKind, StepOutcome


def check_step(session: PartitionSession, step: PartitionStep) -> Attempt | None:
    """Return why a step is not run: it is done already, or something has changed. None: it is as planned."""
    row = session.look(step.partition)
    if step.kind in (StepKind.CREATE, StepKind.DRAIN_DEFAULT):
        return _check_new(session, step, row) or _check_drain(session, step)
    if row is None:
        if step.kind in (StepKind.DROP, StepKind.DETACH, StepKind.REPAIR_DETACH):
            return Attempt(StepOutcome.SKIPPED, "it is gone already")
        return Attempt(StepOutcome.FAILED, f"{step.partition} is gone")
    if step.identity and row.identity != step.identity:
        return Attempt(StepOutcome.FAILED, f"{step.partition} is another table than the one that was planned for")
    if step.kind is StepKind.REPAIR_DETACH:
        is_pending = session.is_pending(row.identity)
        return None if is_pending else Attempt(StepOutcome.SKIPPED, "its detach has ended already")
    if row.kind == "f":
        return Attempt(StepOutcome.FAILED, f"{step.partition} is a foreign table: its rows are on another server")
    if step.kind is StepKind.DROP:
        return _check_drop(session, step, row)
    if step.kind is StepKind.DETACH:
        return _check_detach(session, step, row)
    return _check_index(session, step, row)


def _check_new(session: PartitionSession, step: PartitionStep, row: Any | None) -> Attempt | None:
    if row is None:
        return None
    if row.parent == session.table.identity and parse_bound(row.bound or "", session.table.key_kinds) == step.bound:
        return Attempt(StepOutcome.SKIPPED, "it is there already")
    return Attempt(StepOutcome.FAILED, f"there is something else called {step.partition}")


def _check_drain(session: PartitionSession, step: PartitionStep) -> Attempt | None:
    """Rows that move are deleted and inserted: nothing else may happen to them by that."""
    default = session.table.default
    if step.kind is not StepKind.DRAIN_DEFAULT or default is None:
        return None
    references = session.collect("collect_referencing_tables", identity=session.table.identity)
    if references:
        detail = f"foreign keys of {references[0].schema}.{references[0].name} point at rows that would be moved"
        return Attempt(StepOutcome.FAILED, detail)
    triggers = session.collect("collect_delete_triggers", identity=default.identity)
    if triggers:
        detail = f"trigger {triggers[0].name} of {default.table} would take moved rows for deleted ones"
        return Attempt(StepOutcome.FAILED, detail)
    return None


def _check_detach(session: PartitionSession, step: PartitionStep, row: Any) -> Attempt | None:
    if row.parent != session.table.identity:
        mark = parse_mark(row.comment or "")
        if mark is not None and mark.parent == session.table.table:
            return Attempt(StepOutcome.SKIPPED, "it is detached already")
        return Attempt(StepOutcome.FAILED, f"{step.partition} is no partition of {session.table.table} any more")
    if step.bound_text and row.bound and row.bound != step.bound_text:
        return Attempt(
            StepOutcome.FAILED, f"its bound is {row.bound} now, and was {step.bound_text} when it was planned"
        )
    return None


def _check_drop(session: PartitionSession, step: PartitionStep, row: Any) -> Attempt | None:
    """Only what we have detached is dropped, and only the very table that was planned for."""
    mark = parse_mark(row.comment or "")
    if row.is_partition:
        return Attempt(StepOutcome.FAILED, f"{step.partition} is still a partition")
    if mark is None or mark.parent != session.table.table:
        return Attempt(StepOutcome.FAILED, f"{step.partition} does not carry the mark of a detached partition")
    if mark.identity not in (0, row.identity):
        return Attempt(StepOutcome.FAILED, f"{step.partition} has the mark of another table, perhaps by a restore")
    if not step.identity:
        return Attempt(StepOutcome.FAILED, f"which table {step.partition} is was not planned")
    if step.bound_text and mark.bound_text != step.bound_text:
        return Attempt(StepOutcome.FAILED, f"it held {mark.bound_text}, and {step.bound_text} was planned to go")
    return None


def _check_index(session: PartitionSession, step: PartitionStep, row: Any) -> Attempt | None:
    if row.identity != session.table.identity and row.parent != session.table.identity:
        return Attempt(StepOutcome.FAILED, f"{step.partition} is no partition of {session.table.table} any more")
    if step.kind is not StepKind.ATTACH_INDEX or step.index is None:
        return None
    name = step.index.parent or step.index.name
    found = session.look_at_index(step.partition.schema, child_index(step))
    if found is None or found.parent != name:
        return None
    # Attaching what is attached changes nothing but this: a parent that was not valid is looked at again.
    parent = session.look_at_index(session.table.table.schema, name)
    if parent is not None and not parent.is_valid and found.is_valid:
        return None
    return Attempt(StepOutcome.SKIPPED, "it is attached already")
