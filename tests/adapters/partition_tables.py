"""Partitioned tables of PostgreSQL and executors driven to their end, for the tests of partitions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg2

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.model.backups import TableName
from dbtui.model.events import Event
from dbtui.model.partitions import (
    LockPatience,
    Partition,
    PartitionedTable,
    PartitionStep,
    RangeBound,
    StepKind,
    StepResult,
)
from tests.adapters.postgresql_targets import drive

LOGS = TableName("public", "logs")
QUICK = LockPatience(tries=3, seconds=5.0, first_pause_seconds=0.02, longest_pause_seconds=0.05)


def month(number: int) -> RangeBound:
    """A month, counted from January 2026 as 1."""
    first, after = ((2026 + (number + shift) // 12, (number + shift) % 12 + 1) for shift in (-1, 0))
    return RangeBound((datetime(*first, 1, tzinfo=UTC),), (datetime(*after, 1, tzinfo=UTC),))


def run_sql(url: str, *statements: str) -> list[Any]:
    """Run statements, each by itself; return the rows of the last."""
    made = psycopg2.connect(url)
    made.autocommit = True
    try:
        with made.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        made.close()


def create_logs(url: str, *, default: bool = False, months: int = 3) -> None:
    """`logs`, a month each, from January 2026 on, with an index and some rows in each."""
    parts = [
        f"CREATE TABLE logs_{number} PARTITION OF logs FOR VALUES FROM ('{bound.lower[0]}') TO ('{bound.upper[0]}')"
        for number in range(1, months + 1)
        for bound in (month(number),)
    ]
    run_sql(
        url,
        "CREATE TABLE logs (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, v int DEFAULT 7,"
        " w int GENERATED ALWAYS AS (v * 2) STORED) PARTITION BY RANGE (at)",
        "CREATE INDEX logs_at ON logs (at)",
        *parts,
        *(["CREATE TABLE logs_rest PARTITION OF logs DEFAULT"] if default else []),
        "INSERT INTO logs (at) SELECT timestamptz '2026-01-01 12:00+00' + i * interval '1 day'"
        f" FROM generate_series(0, {months * 28 - 1}) i",
    )


def see(target: PostgresqlTarget, table: TableName = LOGS) -> PartitionedTable:
    """The table as it is now."""
    return PARTITIONS.collect_partitioned_table(target, table)


def partition(table: PartitionedTable, name: str) -> Partition:
    """A partition by its name."""
    return next(each for each in table.partitions if each.table.name == name)


def step_for(table: PartitionedTable, kind: StepKind, name: str, **fields: Any) -> PartitionStep:
    """A described step about a partition, which may be new."""
    found = next((each for each in table.partitions if each.table.name == name), None)
    gone = next((each for each in table.detached if each.table.name == name), None)
    known: dict[str, Any] = {}
    if found is not None:
        known = {"identity": found.identity, "bound_text": found.bound_text, "bound": found.bound}
    elif gone is not None:
        known = {"identity": gone.identity, "bound_text": gone.bound_text}
    where = TableName(table.table.schema, name)
    step = PartitionStep(kind=kind, table=table.table, partition=where, why="under test", **{**known, **fields})
    return PARTITIONS.describe_step(table, step)


@contextmanager
def executing(
    target: PostgresqlTarget, table: PartitionedTable, patience: LockPatience = QUICK
) -> Iterator[Callable[..., StepResult]]:
    """A function that runs a step to its end."""
    with PARTITIONS.open_executor(target, table, patience) as executor:

        def run(step: PartitionStep, on_event: Callable[[Event], None] = lambda _event: None) -> StepResult:
            return drive(executor.run(step), on_event)

        yield run


def apply_step(
    target: PostgresqlTarget, kind: StepKind, name: str, patience: LockPatience = QUICK, **fields: Any
) -> StepResult:
    """Look, describe, take the lock, run one step."""
    table = see(target)
    with executing(target, table, patience) as run:
        return run(step_for(table, kind, name, **fields))
