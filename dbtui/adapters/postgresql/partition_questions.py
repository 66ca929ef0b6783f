"""Questions that read rows of the default partition, by itself, or ask for a plan of a partitioned table."""

from __future__ import annotations

import json
from typing import Any

from dbtui.adapters.partition_past import has_past
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.partition_sql import format_predicate
from dbtui.adapters.postgresql.sql import quote_name, quote_table
from dbtui.model.partitions import KeyKind, Partition, PartitionedTable, PartitionStep, PartitionStrategy

#: Rows of a default are counted so far: more is too many in any case.
MOST_COUNTED = 100_000
#: A question that prunes nothing locks every partition and every index: more of them are not asked about.
_MOST_PLANNED = 100
#: Nor is where it would take more than one of so many of the server's locks: others have need of them.
_SHARE = 10
_TIMES = (KeyKind.DATE, KeyKind.TIMESTAMP, KeyKind.TIMESTAMPTZ)


def count_default(target: PostgresqlTarget, table: PartitionedTable) -> int | None:
    """Count the rows of the default partition, as far as MOST_COUNTED. Raises ServerError: not allowed, or locked."""
    if table.default is None or table.default.is_foreign:  # another server is not asked
        return None
    sql = f"SELECT count(*) AS count FROM (SELECT FROM {_rows_of(table.default)} LIMIT {MOST_COUNTED}) counted"  # noqa: S608
    return int(target.rows(sql)[0].count)


def collect_newest(target: PostgresqlTarget, table: PartitionedTable) -> int | None:
    """Return the highest value of a key of whole numbers: from the last partition that holds a row. None: no rows."""
    if table.strategy is not PartitionStrategy.RANGE or table.key_kinds != (KeyKind.INTEGER,):
        return None
    for each in reversed(table.partitions):
        if not (each.is_default or each.is_foreign or each.is_detach_pending):
            sql = f"SELECT max({quote_name(table.key_columns[0])}) AS newest FROM {_rows_of(each)}"  # noqa: S608
            newest = target.rows(sql)[0].newest
            if newest is not None:
                return int(newest)
    return None


def count_conflicts(target: PostgresqlTarget, table: PartitionedTable, step: PartitionStep) -> int:
    """Count the rows of the default that belong into the step's partition: an index on the key makes it quick."""
    if table.default is None or table.default.is_foreign or step.bound is None:
        return 0
    where = format_predicate(table, step.bound)
    return int(target.rows(f"SELECT count(*) AS count FROM {_rows_of(table.default)} WHERE {where}")[0].count)  # noqa: S608


def _rows_of(partition: Partition) -> str:
    return quote_table(partition.table) if partition.strategy else f"ONLY {quote_table(partition.table)}"


def collect_prunes(target: PostgresqlTarget, table: PartitionedTable) -> bool | None:
    """Whether `key >= now() - 1 hour` leaves partitions out, by its plan; nothing is run.

    None: the key is no time, no partition could be left out, or there are so many of them that planning would lock too
    much.
    """
    leaves = _count_leaves(table.partitions)
    if len(table.key_kinds) != 1 or table.key_kinds[0] not in _TIMES or not 1 < leaves <= _MOST_PLANNED:
        return None
    locks = leaves * (1 + len(table.indexes))
    if not has_past(table.partitions, table.taken_at) or _SHARE * locks > (table.lock_slots or _SHARE * locks):
        return None
    parent, key = quote_table(table.table), quote_name(table.key_columns[0])
    condition = f"{key} >= now() - interval '1 hour'"
    rows = target.rows(f"EXPLAIN (COSTS OFF, FORMAT JSON) SELECT 1 FROM {parent} WHERE {condition}")  # noqa: S608
    plan = next(iter(rows[0]))
    read = _count_scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return read < leaves


def _count_leaves(partitions: tuple[Partition, ...]) -> int:
    return sum(_count_leaves(each.partitions) if each.partitions else 1 for each in partitions)


def _count_scans(plan: dict[str, Any]) -> int:
    own = 1 if "Relation Name" in plan else 0
    return own + sum(_count_scans(each) for each in plan.get("Plans", ()))
