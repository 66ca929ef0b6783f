"""A partitioned table by months on a real server, with months past retention, a gap, and too few ahead."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from dbtui.config import parse_url
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Event
from dbtui.model.partitions import LockPatience, PartitionPlan, PartitionsResult
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.context import RoutineContext
from dbtui.routines.partitions import apply_partitions, plan_partitions_of

MONTH = IntervalUnit.MONTH
ROWS = 7
LOGS = TableName("public", "logs")
QUICK = LockPatience(tries=3, seconds=5.0, first_pause_seconds=0.02, longest_pause_seconds=0.05, old_seconds=3600.0)


def month(offset: int) -> datetime:
    """The first of a month, counted from this one."""
    now = datetime.now(UTC)
    count = now.year * 12 + now.month - 1 + offset
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


@dataclass
class Lab:
    """`table` has months from 15 back to 1 ahead, but not that of 5 back; 12 months are to be kept, 3 be ahead."""

    url: str
    folder: Path
    table: TableName = LOGS
    events: list[Event] = field(default_factory=list)

    @property
    def profile(self) -> ConnectionProfile:
        return replace(parse_url(self.url, "erp"), backup_dir=str(self.folder / "backups"))

    @property
    def policy(self) -> PartitionPolicy:
        return PartitionPolicy(
            table=self.table, interval=Interval(1, MONTH), premake=3, retention=Interval(12, MONTH),
            archive_dir=str(self.folder / "archive"),
        )  # fmt: skip

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    def name(self, offset: int) -> str:
        return f"{self.table.name}_{month(offset):%Y_%m}"

    def create(self) -> None:
        schema, table = sql.Identifier(self.table.schema), sql.Identifier(self.table.schema, self.table.name)
        self.run(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        self.run(sql.SQL("CREATE TABLE {} (id bigserial, at timestamptz NOT NULL, what text) PARTITION BY RANGE (at)")
                 .format(table))  # fmt: skip
        self.run(sql.SQL("CREATE INDEX ON {} (at)").format(table))
        for offset in range(-15, 2):
            if offset != -5:
                self.run(sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(self.table.schema, self.name(offset)), table,
                    sql.Literal(month(offset)), sql.Literal(month(offset + 1))))  # fmt: skip
                rows = sql.SQL("INSERT INTO {} (at, what) SELECT {} + n * interval '1 hour', 'row ' || n"
                               " FROM generate_series(1, {}) n")  # fmt: skip
                self.run(rows.format(table, sql.Literal(month(offset)), sql.Literal(ROWS)))

    def run(self, statement: Any) -> list[Any]:
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    @contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        """Somebody who began a transaction and does not end it."""
        with closing(psycopg2.connect(self.url, application_name="bystander")) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            yield

    def partitions(self) -> set[str]:
        named = sql.SQL("SELECT inhrelid::regclass::oid, relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
                        " WHERE inhparent = {}::regclass")  # fmt: skip
        quoted = '"{}"."{}"'.format(*(part.replace('"', '""') for part in (self.table.schema, self.table.name)))
        return {row[1] for row in self.run(named.format(sql.Literal(quoted)))}

    def tables(self) -> set[str]:
        every = ("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
                 " AND relnamespace::regnamespace::text !~ '^(pg_|information)'")  # fmt: skip
        return {row[0] for row in self.run(every)}

    def plan(self, policy: PartitionPolicy | None = None) -> PartitionPlan:
        chosen = policy or self.policy
        plan: PartitionPlan = self.drive(plan_partitions_of(self.context(), self.profile, self.table, chosen)).plan
        return plan

    def apply(self, plan: PartitionPlan) -> PartitionsResult:
        result: PartitionsResult = self.drive(
            apply_partitions(self.context(), self.profile, plan, self.journals, QUICK)
        )
        return result

    def context(self) -> RoutineContext:
        return RoutineContext()

    def drive(self, routine: Any) -> Any:
        while True:
            try:
                self.events.append(next(routine))
            except StopIteration as end:
                return end.value

    def archived(self) -> set[str]:
        return {each.name.removesuffix(".manifest.json") for each in (self.folder / "archive").glob("*.manifest.json")}
