"""What brings a partitioned table to its policy: steps in an order that is safe to stop at any of them."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from dbtui.analysis.partitions.checking import lay_out_checked
from dbtui.analysis.partitions.creating import (
    Creation,
    create_ranges,
    create_remainders,
    create_values,
    rows_in_default,
    settle_conflicts,
)
from dbtui.analysis.partitions.expiring import Expiry, expire
from dbtui.analysis.partitions.indexing import plan_indexes
from dbtui.analysis.partitions.inferring import complete_policy
from dbtui.analysis.partitions.naming import Namer
from dbtui.analysis.partitions.spans import Layout, is_newest_known
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    Bound,
    Partition,
    PartitionedTable,
    PartitionPlan,
    PartitionStep,
    PartitionStrategy,
    StepKind,
)
from dbtui.model.policies import PartitionPolicy
from dbtui.model.text import format_untrusted

_ORDER = {
    StepKind.REPAIR_DETACH: 0,
    StepKind.CREATE: 1,
    StepKind.DRAIN_DEFAULT: 2,
    StepKind.DETACH: 3,
    StepKind.EXCHANGE: 3,
    # The parent's index becomes valid when a part is attached and no partition lacks one then; at no other time.
    StepKind.CREATE_INDEX: 4,
    StepKind.ATTACH_INDEX: 4,  # right behind the build it belongs to
    StepKind.ARCHIVE: 5,
    StepKind.DROP: 6,
}


def plan_partitions(
    table: PartitionedTable,
    policy: PartitionPolicy,
    now: datetime,
    *,
    conflicts: Mapping[Bound, int] | None = None,
) -> PartitionPlan:
    """Return the steps that bring a table to its policy at a moment, without their SQL and locks; deterministic.

    Refusals without steps: nothing can be planned. Refusals with steps: those steps are safe and worth doing, and what
    is refused needs somebody. `conflicts`: how many rows of each bound of `steps_to_count` lie in the default
    partition. No step drops what is not past retention, nor a table's last partition.
    """
    policy = complete_policy(table, policy)
    refusals, layout = lay_out_checked(table, policy, now)
    if refusals:
        return PartitionPlan(table=table.table, policy=policy, taken_at=now, refusals=refusals)
    try:
        found = _create(table, policy, layout)
    except OverflowError:
        ended = f"{policy.premake} partitions of {policy.interval} ahead reach beyond what the key can hold: use less"
        return PartitionPlan(table=table.table, policy=policy, taken_at=now, refusals=(ended,))
    tail = layout.tail if layout else None
    found = settle_conflicts(table, found, tail, conflicts)
    expiry = _expire(table, policy, layout, len(found.steps))
    leaving = frozenset(str(step.partition) for step in expiry.steps)
    indexes, index_warnings = plan_indexes(table, leaving) if policy.ensure_indexes else ([], [])
    steps = _in_order([*found.steps, *indexes, *expiry.steps], is_mysql=table.engine is EngineName.MYSQL)
    warnings = (*found.warnings, *expiry.warnings, *index_warnings, *_warn(table, layout, steps))
    return PartitionPlan(
        table=table.table,
        policy=policy,
        taken_at=now,
        steps=tuple(steps),
        warnings=tuple(map(format_untrusted, warnings)),
        refusals=tuple(map(format_untrusted, (*found.refusals, *expiry.refusals))),
    )


def steps_to_count(table: PartitionedTable, policy: PartitionPolicy, now: datetime) -> tuple[PartitionStep, ...]:
    """Return the steps whose bounds may have rows in the default partition, to be counted for `plan_partitions`."""
    if table.engine is EngineName.MYSQL or table.default is None or rows_in_default(table, None) == 0:
        return ()
    policy = complete_policy(table, policy)
    refusals, layout = lay_out_checked(table, policy, now)
    try:
        return () if refusals else tuple(_create(table, policy, layout).steps)
    except OverflowError:
        return ()


def _create(table: PartitionedTable, policy: PartitionPolicy, layout: Layout | None) -> Creation:
    namer = Namer(table)
    if layout is not None:
        return create_ranges(table, policy, layout, namer)
    if table.strategy is PartitionStrategy.LIST:
        return create_values(table, policy, namer)
    return create_remainders(table, policy, namer)


def _expire(table: PartitionedTable, policy: PartitionPolicy, layout: Layout | None, created: int) -> Expiry:
    if layout is not None:
        return expire(table, policy, layout, Namer(table), created)
    pending = (each for each in table.partitions if each.is_detach_pending)
    return Expiry([_repair(table, each) for each in pending])


def _repair(table: PartitionedTable, partition: Partition) -> PartitionStep:
    return PartitionStep(
        kind=StepKind.REPAIR_DETACH,
        table=table.table,
        partition=partition.table,
        why="its detach was begun and did not end",
        bound=partition.bound,
        identity=partition.identity,
        bound_text=partition.bound_text,
    )


def _in_order(steps: list[PartitionStep], *, is_mysql: bool) -> list[PartitionStep]:
    """Sort by kind, bounds in order within each. MySQL splits its tail from below, so a drain keeps its place."""
    order = _ORDER | {StepKind.DRAIN_DEFAULT: _ORDER[StepKind.CREATE]} if is_mysql else _ORDER
    return sorted(steps, key=lambda step: order[step.kind])


def _warn(table: PartitionedTable, layout: Layout | None, steps: list[PartitionStep]) -> Iterator[str]:
    yield from table.gaps
    kinds = {step.kind for step in steps}
    if StepKind.DETACH in kinds and table.default is not None:
        yield (
            f"while {table.default.table} is there, no partition can be detached concurrently: the lock is short, and"
            f" on all of {table.table}"
        )
    if StepKind.CREATE in kinds and table.referenced_by:
        names = ", ".join(map(str, table.referenced_by[:3]))
        yield f"attaching a partition also locks {names}, which references {table.table}"
    if table.default is not None and table.default_rows is None and StepKind.CREATE in kinds:
        yield f"nobody counted the rows of {table.default.table}: one that belongs into a new partition stops its step"
    if layout is not None and not layout.axis.is_time and not is_newest_known(table):
        yield (
            f"nothing tells which partition of {table.table} holds the newest rows: ANALYZE it, so that the next are"
            " made in time"
        )
    if table.lock_slots is not None and (needed := locks_needed(table)) > table.lock_slots:
        yield (
            f"a query that reads all of {table.table} takes {needed} locks, and the server has room for"
            f" {table.lock_slots}: raise max_locks_per_transaction, or keep fewer partitions"
        )


def locks_needed(table: PartitionedTable) -> int:
    """Return how many locks a query takes that cannot leave out partitions: each, and each of its indexes."""
    return 1 + len(table.indexes) + len(table.partitions) * (1 + len(table.indexes))
