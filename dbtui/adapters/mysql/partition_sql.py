"""The SQL of a plan's steps on MySQL and MariaDB, and the locks it takes. Pure.

Every change of partitions takes the table's metadata lock exclusively for a moment: it waits for each transaction that
has touched the table, and whoever comes then waits behind it. DDL is not transactional here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dbtui.adapters.mysql.bounds import KeyForm, format_list, format_upper, parse_key
from dbtui.adapters.mysql.names import quote_name, quote_table
from dbtui.errors import UsageError
from dbtui.model.backups import TableName
from dbtui.model.partitions import (
    Limit,
    ListBound,
    Partition,
    PartitionedTable,
    PartitionStep,
    PartitionStrategy,
    RangeBound,
    StepKind,
    StepLocks,
)

_METADATA = "metadata lock, exclusive"


def describe_step(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    """Return the step with its SQL and locks. Raises UsageError: there is no such step here, or a name is too long."""
    quote_table(step.partition)
    describe = _DESCRIBED.get(step.kind)
    if describe is None:
        raise UsageError(f"MySQL has no step {step.kind.value}", "plan it again")
    return replace(describe(table, step), in_transaction=False, concurrently=False)


def key_form(table: PartitionedTable) -> KeyForm:
    """How the bounds of a table are written: by its key as the server shows it."""
    return parse_key(table.key_text.partition(" (")[2].removesuffix(")"))[0]


def tail_of(table: PartitionedTable) -> Partition | None:
    """Return the partition that takes what is beyond all others, if there is one: it is split to make new ones."""
    last = table.partitions[-1] if table.partitions else None
    if last is None or table.strategy is not PartitionStrategy.RANGE or not isinstance(last.bound, RangeBound):
        return None
    return last if last.bound.upper[0] is Limit.HIGHEST else None


def _describe_create(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    name, bound, form = quote_name(step.partition.name), step.bound, key_form(table)
    parent = quote_table(table.table)
    locks = StepLocks(parent=_METADATA)
    if isinstance(bound, ListBound):
        added = f"PARTITION {name} VALUES {format_list(bound)}"
    elif isinstance(bound, RangeBound) and form is not KeyForm.OTHER:
        added = f"PARTITION {name} VALUES {format_upper(bound, form)}"
    else:
        raise UsageError(f"a partition {step.partition.name} of {table.table} cannot be written", "create it by hand")
    rest = rest_of(table)
    if rest is None or (isinstance(bound, RangeBound) and bound.upper[0] is Limit.HIGHEST):
        return replace(step, sql=(f"ALTER TABLE {parent} ADD PARTITION ({added})",), locks=locks)
    parts = (_rest(table, form), added) if rest.is_default else (added, _rest(table, form))
    statements = (
        f"LOCK TABLES {parent} WRITE",
        f"ALTER TABLE {parent} REORGANIZE PARTITION {quote_name(rest.table.name)} INTO ({', '.join(parts)})",
        "UNLOCK TABLES",
    )
    return replace(step, sql=statements, locks=replace(locks, default=_METADATA))


def rest_of(table: PartitionedTable) -> Partition | None:
    """Return the partition that a new one is split from: the tail of ranges, the default of lists.

    MariaDB 10.11 takes ADD PARTITION beside a default, too, and then finds no row any more that lies in the default and
    belongs into the new one. Splitting a default, it copies all rows into the new one unless the default comes first.
    """
    return tail_of(table) or table.default


def _rest(table: PartitionedTable, form: KeyForm) -> str:
    """What is left of it, as it was."""
    rest = rest_of(table)
    name = quote_name(rest.table.name) if rest else ""
    if rest is not None and rest.is_default:
        return f"PARTITION {name} DEFAULT"
    ends = "MAXVALUE" if form is not KeyForm.COLUMN else f"({', '.join('MAXVALUE' for _ in table.key_columns)})"
    return f"PARTITION {name} VALUES LESS THAN {ends}"


def _describe_exchange(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    """EXCHANGE, and not CONVERT TO TABLE: its empty table can carry our mark before it takes any row."""
    if step.into is None:
        raise UsageError(f"which table takes the rows of {step.partition.name} is not said", "plan it again")
    parent, name, into = quote_table(table.table), quote_name(step.partition.name), quote_table(step.into)
    statements = (
        f"CREATE TABLE {into} LIKE {parent}",
        f"ALTER TABLE {into} REMOVE PARTITIONING",
        f"ALTER TABLE {parent} EXCHANGE PARTITION {name} WITH TABLE {into}",
        f"LOCK TABLES {parent} WRITE",
        f"ALTER TABLE {parent} DROP PARTITION {name}",
        "UNLOCK TABLES",
    )
    return replace(step, sql=statements, locks=StepLocks(parent=_METADATA, child=_METADATA))


def _describe_drop(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    """A partition that was not to be archived goes at once, a table that was one by itself."""
    if is_partition(table, step.partition):
        sql = f"ALTER TABLE {quote_table(table.table)} DROP PARTITION {quote_name(step.partition.name)}"
        return replace(step, sql=(sql,), locks=StepLocks(parent=_METADATA, child=_METADATA))
    return replace(step, sql=(f"DROP TABLE {quote_table(step.partition)}",), locks=StepLocks(child=_METADATA))


def is_partition(table: PartitionedTable, name: TableName) -> bool:
    """Whether a step means a partition and not a table that was one."""
    return any(each.table == name for each in table.partitions)


def _describe_archive(_table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    return replace(step, sql=(), locks=StepLocks(child="metadata lock, shared"))


_DESCRIBED: dict[StepKind, Callable[[PartitionedTable, PartitionStep], PartitionStep]] = {
    StepKind.CREATE: _describe_create,
    StepKind.DRAIN_DEFAULT: _describe_create,
    StepKind.EXCHANGE: _describe_exchange,
    StepKind.ARCHIVE: _describe_archive,
    StepKind.DROP: _describe_drop,
}
