"""TimescaleDB's tables: shown as partitioned ones, each chunk a partition, and left to TimescaleDB."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from dbtui.adapters.postgresql.bounds import parse_bound
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.partition_rows import key_kinds
from dbtui.errors import ServerError
from dbtui.model.backups import TableName
from dbtui.model.connections import EngineName
from dbtui.model.partitions import KeyKind, Partition, PartitionedTable, PartitionStrategy
from dbtui.model.text import format_untrusted

TIMESCALEDB = "timescaledb"
_PIN = "pin_partition_text"
_TOO_OLD = ("42P01", "42703", "3F000", "42501")  # no such view, column or schema; not to be read


def collect_hypertables(target: PostgresqlTarget, table: TableName, gaps: list[str]) -> tuple[PartitionedTable, ...]:
    """Ask for the hypertables of the database, or the one that is named; none where there is no TimescaleDB.

    `gaps` is told when its views are not there: before its release 2 they were other ones.
    """
    if TIMESCALEDB not in target.info.extensions:
        return ()
    try:
        return tuple(_collect(target, table))
    except ServerError as error:
        if error.code not in _TOO_OLD:
            raise
        gaps.append(f"tables of timescaledb cannot be told: {error.message}")
        return ()


def _collect(target: PostgresqlTarget, table: TableName) -> Iterator[PartitionedTable]:
    path = target.collect_one("collect_effective_path").path
    rows = target.collect("collect_hypertables", table_schema=table.schema, table_name=table.name, path=path)
    rows = rows[:1] if table.name else rows
    if not rows:
        return
    session = target.collect_one("collect_partition_session")
    one = TableName(rows[0].schema, rows[0].name) if table.name else TableName("", "")
    chunks: defaultdict[TableName, list[Any]] = defaultdict(list)
    for chunk in target.collect("collect_chunks", after=_PIN, table_schema=one.schema, table_name=one.name):
        chunks[TableName(chunk.parent_schema, chunk.parent_name)].append(chunk)
    for row in rows:
        name = TableName(row.schema, row.name)
        kinds = key_kinds(row.key_types, row.key_columns)
        yield PartitionedTable(
            table=name,
            engine=EngineName.POSTGRESQL,
            taken_at=session.taken_at.astimezone(UTC),
            server_version_number=target.info.version_number,
            flavour=target.info.flavour,
            identity=row.identity,
            strategy=PartitionStrategy.RANGE,
            key_columns=tuple(row.key_columns),
            key_kinds=kinds,
            key_text=f"hypertable ({', '.join(row.key_columns)})",
            partitions=tuple(_partition(chunk, kinds) for chunk in chunks[name]),
            owner=row.owner,
            is_owner=row.is_owner,
            is_replica=session.is_replica,
            is_pooled=target.is_pooled,
            managed_by=TIMESCALEDB,
            management=tuple(_settings(row)),
            is_made_on_demand=True,
            lock_slots=session.lock_slots,
            session_time_zone=session.time_zone,
        )


def _partition(row: Any, kinds: tuple[KeyKind, ...]) -> Partition:
    return Partition(
        table=TableName(row.schema, row.name),
        bound=parse_bound(row.bound, kinds[:1]),
        bound_text=row.bound,
        identity=row.identity,
        rows_estimate=row.rows_estimate,
        bytes_estimate=row.bytes_estimate,
    )


def _settings(row: Any) -> Iterator[str]:
    yield f"chunks of {format_untrusted(row.chunk_interval or 'an unknown length', 80)}"
    yield f"dropped after {format_untrusted(row.drop_after, 80)}" if row.drop_after else "no retention policy"
    if row.compression_enabled:
        yield "compression is enabled"
