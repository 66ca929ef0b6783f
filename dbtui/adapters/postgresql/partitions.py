"""Partitioned tables of a PostgreSQL database, from its catalogue: parents and partitions are not opened.

Opening a parent opens all of its partitions: 10 000 of them take 30 000 locks. Only the default partition is read, to
count rows, and only by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC
from typing import Any, TypeVar

from dbtui.adapters.adapter import PartitionExecutor, Target, narrow
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.hypertables import collect_hypertables
from dbtui.adapters.postgresql.partition_managers import PARTMAN, collect_management
from dbtui.adapters.postgresql.partition_questions import (
    collect_newest,
    collect_prunes,
    count_conflicts,
    count_default,
)
from dbtui.adapters.postgresql.partition_rows import (
    STRATEGIES,
    PartitionTree,
    detached_partitions,
    indexes_by_table,
    key_kinds,
    key_most,
)
from dbtui.adapters.postgresql.partition_sql import describe_step
from dbtui.adapters.postgresql.partition_template import collect_template
from dbtui.errors import ServerError, UsageError
from dbtui.model.backups import TableName
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    LockPatience,
    Partition,
    PartitionedTable,
    PartitionIndex,
    PartitionStep,
)

AnswerT = TypeVar("AnswerT")

_PIN = "pin_partition_text"
_REFUSED = ("42501", "55P03", "57014")  # no privilege, no lock in time, too slow
_KINDS = {"r": "a table that is not partitioned", "v": "a view", "m": "a materialized view", "f": "a foreign table"}


class PostgresqlPartitions:
    """See `dbtui.adapters.adapter.PartitionAdapter`."""

    def collect_partitioned_tables(self, target: Target) -> tuple[PartitionedTable, ...]:
        """Ask for every partitioned table of the database."""
        return collect_partitioned_tables(narrow(target, PostgresqlTarget))

    def collect_partitioned_table(self, target: Target, table: TableName) -> PartitionedTable:
        """Ask for one, whole. Raises UsageError."""
        return collect_partitioned_table(narrow(target, PostgresqlTarget), table)

    def collect_exact_sizes(
        self,
        target: Target,
        table: TableName,  # noqa: ARG002 - identities are enough here
        partitions: Sequence[Partition],
    ) -> Mapping[TableName, int]:
        """Measure some partitions."""
        asked = {each.identity: each.table for each in partitions}
        rows = narrow(target, PostgresqlTarget).collect("measure_partitions", identities=list(asked))
        return {asked[row.identity]: row.bytes for row in rows if row.bytes is not None}

    def count_conflicts(self, target: Target, table: PartitionedTable, step: PartitionStep) -> int:
        """Count the rows of the default that belong into the step's partition."""
        return count_conflicts(narrow(target, PostgresqlTarget), table, step)

    def collect_prunes(self, target: Target, table: PartitionedTable) -> bool | None:
        """Whether a question about the last hour leaves partitions out."""
        return collect_prunes(narrow(target, PostgresqlTarget), table)

    def describe_step(self, table: PartitionedTable, step: PartitionStep) -> PartitionStep:
        """Return the step with its SQL and locks."""
        return describe_step(table, step)

    def open_executor(
        self, target: Target, table: PartitionedTable, patience: LockPatience
    ) -> AbstractContextManager[PartitionExecutor]:
        """Take the table's advisory lock for a block."""
        from dbtui.adapters.postgresql.partition_executor import open_executor

        return open_executor(narrow(target, PostgresqlTarget), table, patience)


PARTITIONS = PostgresqlPartitions()


def collect_partitioned_tables(target: PostgresqlTarget) -> tuple[PartitionedTable, ...]:
    """Ask for every partitioned table of the database, in four questions whatever their number."""
    target.check_database()
    every = TableName("", "")
    gaps: list[str] = []
    hypertables = collect_hypertables(target, every, gaps)
    parents = _collect_parents(target, every)
    made = tuple(_collect_described(target, parents)) if parents else ()
    return (*(replace(each, gaps=(*each.gaps, *gaps)) for each in made), *hypertables)


def collect_partitioned_table(target: PostgresqlTarget, table: TableName) -> PartitionedTable:
    """Ask for one, with what planning needs. Raises UsageError: it is not there, or not partitioned."""
    target.check_database()
    rows = _collect_parents(target, table)
    if rows and rows[0].kind == "r":
        for each in collect_hypertables(target, TableName(rows[0].schema, rows[0].name), []):
            return each
        _refuse_inheritance(target, TableName(rows[0].schema, rows[0].name))
    return next(_collect_described(target, [_find(table, rows)], is_whole=True))


def _refuse_inheritance(target: PostgresqlTarget, table: TableName) -> None:
    """Raise UsageError for a table that pg_partman divides by inheritance and triggers, as it did before release 5."""
    if table in collect_management(target).settings:
        raise UsageError(
            f"{table} is kept by {PARTMAN} with inheritance and triggers: it has no partitions of the server's own",
            f"look at it and change it with {PARTMAN}",
        )


def _collect_parents(target: PostgresqlTarget, table: TableName) -> list[Any]:
    path = target.collect_one("collect_effective_path").path
    return target.collect(
        "collect_partitioned_parents", after=_PIN, table_schema=table.schema, table_name=table.name, path=path
    )


def _find(table: TableName, rows: Sequence[Any]) -> Any:
    if not rows:
        raise UsageError(
            f"there is no table {table} here",
            "correct its name: upper and lower case count, and a schema stands before a dot",
        )
    row = rows[0]
    if row.kind != "p":
        what = "a partition, and not itself partitioned" if row.is_partition else _KINDS[row.kind]
        raise UsageError(f"{TableName(row.schema, row.name)} is {what}", "name one that was created with PARTITION BY")
    return row


def _collect_described(
    target: PostgresqlTarget, parents: Sequence[Any], *, is_whole: bool = False
) -> Iterator[PartitionedTable]:
    session = target.collect_one("collect_partition_session")
    pending = {row.identity for row in target.collect("collect_pending_detaches")}
    identities = [row.identity for row in parents]
    tree = PartitionTree(target.collect("collect_partitions", after=_PIN, parents=identities), pending)
    marked = target.collect("collect_detached_partitions")
    management = collect_management(target)
    for row in parents:
        table = TableName(row.schema, row.name)
        kinds = key_kinds(row.key_types, row.key_columns)
        made = PartitionedTable(
            table=table,
            engine=EngineName.POSTGRESQL,
            taken_at=session.taken_at.astimezone(UTC),
            server_version_number=target.info.version_number,
            flavour=target.info.flavour,
            identity=row.identity,
            strategy=STRATEGIES[row.strategy],
            key_columns=tuple(each or "" for each in row.key_columns),
            key_kinds=kinds,
            key_text=row.key_text,
            partitions=tree.partitions(row.identity, kinds),
            owner=row.owner,
            is_owner=row.is_owner,
            is_replica=session.is_replica,
            is_pooled=target.is_pooled,
            managed_by=PARTMAN if management.keeps(table) else "",
            management=management.of(table),
            detached=detached_partitions(marked, table, kinds),
            lock_slots=session.lock_slots,
            session_time_zone=session.time_zone,
            key_most=key_most(row.key_types),
            gaps=management.gaps,
        )
        yield _complete(target, made) if is_whole else made


def _complete(target: PostgresqlTarget, table: PartitionedTable) -> PartitionedTable:
    """Add what only a plan needs. Rows are read of single partitions, never of the parent."""
    gaps = list(table.gaps)
    indexes = _unless_refused(lambda: _collect_indexes(target, table.identity), "its indexes", gaps)
    referencing = target.collect("collect_referencing_tables", identity=table.identity)
    referenced = target.collect("collect_referenced_tables", identity=table.identity)
    stems = list({each.name[:8] for each in (table.table, *(each.table for each in table.partitions[-2:]))})
    names = target.collect("collect_names_taken", parent=table.identity, stems=stems)
    template, lacking = collect_template(target, table.identity)
    gaps += lacking
    return replace(
        table,
        partitions=tuple(_with_indexes(each, indexes or {}) for each in table.partitions),
        indexes=tuple((indexes or {}).get(table.identity, ())),
        are_indexes_read=indexes is not None,
        referenced_by=tuple(TableName(row.schema, row.name) for row in referencing),
        references=tuple(TableName(row.schema, row.name) for row in referenced),
        default_rows=_unless_refused(lambda: count_default(target, table), "rows of the default partition", gaps),
        newest_value=_unless_refused(lambda: collect_newest(target, table), "the newest value of the key", gaps),
        template=template,
        names_taken=tuple(row.name for row in names),
        gaps=tuple(gaps),
    )


def _with_indexes(partition: Partition, indexes: Mapping[int, list[PartitionIndex]]) -> Partition:
    found = indexes.get(partition.identity)
    return replace(partition, indexes=tuple(found)) if found else partition


def _unless_refused(ask: Callable[[], AnswerT], what: str, gaps: list[str]) -> AnswerT | None:
    """Ask; note what could not be known because the login may not read it, or because it is locked or slow."""
    try:
        return ask()
    except ServerError as error:
        if error.code not in _REFUSED:
            raise
        gaps.append(f"{what}: not known: {error.message}")
        return None


def _collect_indexes(target: PostgresqlTarget, identity: int) -> dict[int, list[PartitionIndex]]:
    rows: Iterable[Any] = target.collect("collect_partition_indexes", after=_PIN, identity=identity)
    return indexes_by_table(list(rows))
