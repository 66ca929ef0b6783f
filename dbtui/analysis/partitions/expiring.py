"""What is past retention: detached, archived and, after its grace, dropped. Nothing else ever is."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dbtui.analysis.partitions.naming import Namer
from dbtui.analysis.partitions.spans import Layout, Span, ends_of, span_of
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    Bound,
    DetachedPartition,
    Partition,
    PartitionedTable,
    PartitionStep,
    RangeBound,
    StepKind,
)
from dbtui.model.policies import ArchiveMode, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.model.text import format_duration

DANGEROUS = 3
LEFT_ALONE = "a foreign table, whose rows are on another server: detach and drop it by hand"


@dataclass(slots=True)
class Expiry:
    """What is due: steps of every kind mixed, and why some are not planned."""

    steps: list[PartitionStep] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that is no partition any more: to be archived and dropped."""

    name: TableName
    bound: Bound
    bound_text: str
    identity: int
    rows: int | None
    bytes: int | None = None
    archive: str = ""


def due_spans(layout: Layout, created: int) -> tuple[Span, ...]:
    """Return the spans past retention. One partition always stays: the newest, where no other is there or made."""
    due = tuple(span for span in layout.spans if layout.is_due(span))
    stays = len(layout.spans) - len(due) + created
    return due if stays else due[:-1]


def expire(table: PartitionedTable, policy: PartitionPolicy, layout: Layout, namer: Namer, created: int) -> Expiry:
    """Return what is to be done with partitions, and tables that were ones, past the policy's retention."""
    found = Expiry()
    due = due_spans(layout, created)
    if due and table.referenced_by:
        names = ", ".join(map(str, table.referenced_by[:3]))
        found.refusals.append(
            f"{len(due)} partitions of {table.table} are past {policy.retention}, but foreign keys of {names} reference"
            " it: drop those keys, or their rows, before any is detached"
        )
        due = ()
    if due and _cannot_be_exchanged(table, policy, due):
        found.refusals.append(
            f"{len(due)} partitions of {table.table} are past {policy.retention} and have sub-partitions, which cannot"
            " be exchanged with a table: back the table up, then drop them with archive = false (--no-archive) and no"
            " grace"
        )
        due = ()
    for span in due:
        if span.partition.is_foreign:
            found.warnings.append(f"{span.partition.table} is past retention and {LEFT_ALONE}")
        else:
            found.steps.extend(_expire_partition(table, policy, span.partition, namer))
    for partition in table.partitions:
        if partition.is_detach_pending:
            found.steps.extend(_expire_pending(table, policy, layout, partition, found))
    for detached in table.detached:
        found.steps.extend(_expire_detached(table, policy, layout, detached, found))
    return found


def _cannot_be_exchanged(table: PartitionedTable, policy: PartitionPolicy, due: tuple[Span, ...]) -> bool:
    """MySQL takes rows out whole by an exchange, which it refuses for partitions that are divided themselves."""
    is_kept = policy.archive is ArchiveMode.DUMP or bool(policy.grace_seconds)
    return table.engine is EngineName.MYSQL and is_kept and any(span.partition.strategy for span in due)


def _expire_partition(
    table: PartitionedTable, policy: PartitionPolicy, partition: Partition, namer: Namer
) -> Iterator[PartitionStep]:
    why = f"ends before {policy.retention} ago"
    if table.engine is not EngineName.MYSQL:
        yield _step(StepKind.DETACH, table, _table_of(partition), why)
        yield from _end(table, policy, _table_of(partition), is_over=not policy.grace_seconds)
        return
    if policy.archive is ArchiveMode.NONE and not policy.grace_seconds:
        yield _step(StepKind.DROP, table, _table_of(partition), why + ", and is not to be archived", DANGEROUS)
        return
    into = namer.name_table_of(partition.table)
    yield _step(StepKind.EXCHANGE, table, _table_of(partition), why, into=into)
    taken = _Table(into, partition.bound, partition.bound_text, 0, partition.rows_estimate, partition.bytes_estimate)
    yield from _end(table, policy, taken, is_over=not policy.grace_seconds)


def _expire_pending(
    table: PartitionedTable, policy: PartitionPolicy, layout: Layout, partition: Partition, found: Expiry
) -> Iterator[PartitionStep]:
    """A detach that was begun is ended; what is due then goes the way of all."""
    yield _step(StepKind.REPAIR_DETACH, table, _table_of(partition), "its detach was begun and did not end")
    span = span_of(partition, layout.axis)
    if partition.is_foreign:
        found.warnings.append(f"{partition.table} is a foreign table: once its detach has ended it is left alone")
    elif span is not None and layout.is_due(span):
        yield from _end(table, policy, _table_of(partition), is_over=not policy.grace_seconds)
    else:
        found.warnings.append(f"{partition.table} is not past retention: once its detach has ended, attach it again")


def _expire_detached(
    table: PartitionedTable, policy: PartitionPolicy, layout: Layout, detached: DetachedPartition, found: Expiry
) -> Iterator[PartitionStep]:
    if detached.is_copy:
        found.warnings.append(
            f"{detached.table} has the mark of a partition that was detached, and is another table, perhaps restored"
            " from a backup: it is left alone"
        )
        return
    ends = ends_of(detached.bound, layout.axis) if isinstance(detached.bound, RangeBound) else None
    if ends is None:
        found.warnings.append(f"{detached.table} was a partition, of what is not understood: it is never dropped here")
        return
    if layout.cut is None or ends[1] > layout.cut:
        found.warnings.append(f"{detached.table} was detached and is not past retention: attach it again, or drop it")
        return
    is_over = is_grace_over(policy, detached, layout.taken_at)
    if not is_over and detached.detached_at is None:
        found.warnings.append(f"nothing tells when {detached.table} was detached: drop it by hand")
    taken = _Table(
        detached.table, detached.bound, detached.bound_text, detached.identity, detached.rows_estimate, None,
        detached.archive,
    )  # fmt: skip
    yield from _end(table, policy, taken, is_over=is_over)


def is_grace_over(policy: PartitionPolicy, detached: DetachedPartition, now: datetime) -> bool:
    """Whether a detached table has waited long enough to be dropped."""
    if not policy.grace_seconds:
        return True
    if detached.detached_at is None:
        return False
    return detached.detached_at + timedelta(seconds=policy.grace_seconds) <= now


def _end(table: PartitionedTable, policy: PartitionPolicy, taken: _Table, *, is_over: bool) -> Iterator[PartitionStep]:
    is_archived = policy.archive is ArchiveMode.DUMP
    if is_archived and not taken.archive:
        yield _step(StepKind.ARCHIVE, table, taken, "its rows are kept as a verified backup before it is dropped", 0)
    if is_over:
        after = f" after {format_duration(policy.grace_seconds)} of grace" if policy.grace_seconds else ""
        why = f"past retention{after}; {'its rows are archived' if is_archived else 'its rows are not to be archived'}"
        yield _step(StepKind.DROP, table, taken, why, DANGEROUS)


def _table_of(partition: Partition) -> _Table:
    size = partition.bytes_exact if partition.bytes_exact is not None else partition.bytes_estimate
    return _Table(
        partition.table, partition.bound, partition.bound_text, partition.identity, partition.rows_estimate, size
    )


def _step(
    kind: StepKind, table: PartitionedTable, taken: _Table, why: str, danger: int = 1, into: TableName | None = None
) -> PartitionStep:
    return PartitionStep(
        kind=kind,
        table=table.table,
        partition=taken.name,
        why=why,
        bound=taken.bound,
        danger=danger,
        rows_estimate=taken.rows,
        bytes_estimate=taken.bytes,
        identity=taken.identity,
        bound_text=taken.bound_text,
        into=into,
    )
