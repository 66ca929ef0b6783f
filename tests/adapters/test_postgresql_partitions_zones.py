"""Partitions through changes of the clocks and ends of months, made on a real server and judged by its own calendar."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg2
import pytest

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.analysis.partitions import assess_partitions, plan_partitions
from dbtui.demo.servers import PostgreSQL
from dbtui.model.partitions import PartitionedTable, PartitionTrouble, RangeBound
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name

DAY = timedelta(days=1)
#: A change of the clocks in each zone, by the day it happens on. Where midnight itself is left out or comes twice, a
#: naive calendar makes an empty partition, a gap, or one that begins on the day before.
CHANGES = {
    "America/Sao_Paulo": ("2018-11-04", "2019-02-17"),  # no midnight; midnight twice
    "Africa/Cairo": ("2024-04-26", "2024-11-01"),
    "Asia/Beirut": ("2024-03-31", "2024-10-27"),
    "America/Havana": ("2026-03-08", "2026-11-01"),
    "Atlantic/Azores": ("2025-03-30", "2025-10-26"),
    "Australia/Lord_Howe": ("2025-10-05", "2026-04-05"),  # by half an hour
    "Asia/Kathmandu": ("1986-01-01", "2026-02-28"),  # by a quarter, at midnight, on the first of a year
    "Pacific/Apia": ("2011-12-30", "2012-04-01"),  # a day that never was
    "Asia/Tehran": ("2022-03-22", "2022-09-22"),
    "America/Asuncion": ("2024-10-06", "2024-03-24"),
    "America/Santiago": ("2024-09-08", "2024-04-07"),
    "Africa/Casablanca": ("2025-02-23", "2025-04-06"),
    "Antarctica/Troll": ("2025-03-30", "2025-10-26"),  # by two hours
    "Europe/Dublin": ("2026-03-29", "2026-10-25"),  # winter is the exception
    "Asia/Pyongyang": ("2015-08-15", "2018-05-05"),  # 23:30 and the next day
    "America/New_York": ("2024-02-29", "2026-11-01"),
}
TRUNCATED = {IntervalUnit.DAY: "day", IntervalUnit.WEEK: "week", IntervalUnit.MONTH: "month"}


@dataclass
class Sweep:
    """A database where partitions of one zone after the other are made."""

    target: PostgresqlTarget
    url: str
    connection: psycopg2.extensions.connection
    seen: dict[TableName, PartitionedTable] = field(default_factory=dict)

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        with self.connection, self.connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def create(self, kind: str) -> TableName:
        name = unique_name("swept")
        self.run(f"CREATE TABLE {name} (at {kind} NOT NULL) PARTITION BY RANGE (at)")
        return TableName("public", name)

    def see(self, table: TableName) -> PartitionedTable:
        return PARTITIONS.collect_partitioned_table(self.target, table)

    def apply(self, policy: PartitionPolicy, now: datetime) -> PartitionedTable:
        """Do what is planned at a moment; the plan that follows is empty."""
        table = self.seen.get(policy.table) or self.see(policy.table)
        plan = plan_partitions(table, policy, now)
        assert not plan.refusals
        steps = [PARTITIONS.describe_step(table, step) for step in plan.steps]
        if steps:
            self.run(";\n".join(sql for step in steps for sql in step.sql))
        after = self.seen[policy.table] = replace(self.see(policy.table), taken_at=now)
        assert not plan_partitions(after, policy, now).steps
        kinds = {finding.kind for finding in assess_partitions(after, policy, now).findings}
        assert not kinds & {PartitionTrouble.GAP, PartitionTrouble.OVERLAP, PartitionTrouble.MISALIGNED}
        return after

    def misfits(self, table: TableName, unit: str, zone: str) -> list[tuple[object, ...]]:
        """Rows of every quarter of an hour that the server's own calendar would put elsewhere than their partition.

        Of a midnight that comes twice the server takes the second, and then says of the hour before it that its day
        begins after it: such rows are in the partition before, where bounds typed by hand would have them.
        """
        return self.run(
            f"INSERT INTO {table.name} SELECT generate_series(low, high - interval '1 second', '15 minutes') FROM"
            f" (SELECT min({_end('FROM')}) AS low, max({_end('TO')}) AS high FROM pg_inherits i"
            f"  JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{table.name}'::regclass) ends",
            f"SELECT c.relname, x.floor FROM (SELECT tableoid, date_trunc('{unit}', at, '{zone}') AS floor"
            f" FROM {table.name} WHERE date_trunc('{unit}', at, '{zone}') <= at GROUP BY 1, 2) x"
            f" JOIN pg_class c ON c.oid = x.tableoid WHERE x.floor <> {_end('FROM')}",
        )


def _end(word: str) -> str:
    """An end of a partition's bound, as the server has it."""
    return f"substring(pg_get_expr(c.relpartbound, c.oid) FROM '{word} \\(''([^'']*)''')::timestamptz"


def ranges(table: PartitionedTable) -> list[tuple[datetime, datetime]]:
    found = []
    for each in table.partitions:
        assert isinstance(each.bound, RangeBound)
        (lower,), (upper,) = each.bound.lower, each.bound.upper
        assert isinstance(lower, datetime) and isinstance(upper, datetime)
        found.append((lower, upper))
    return found


@pytest.fixture(scope="module")
def sweep(postgresql_server: PostgreSQL) -> Iterator[Sweep]:
    name = unique_name("zones")
    postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    url = postgresql_server.url(name)
    with opened(url) as target, closing(psycopg2.connect(url)) as connection:
        yield Sweep(target, url, connection)
    postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _moment(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)


@pytest.mark.parametrize("zone", CHANGES)
def test_days_weeks_and_months_follow_the_servers_calendar(sweep: Sweep, zone: str) -> None:
    """Made before the change and continued behind it: neither gap nor overlap, every row where the server has it."""
    for day in CHANGES[zone]:
        change = _moment(day)
        for unit, before, premake in (
            (IntervalUnit.DAY, 3 * DAY, 5),
            (IntervalUnit.WEEK, 10 * DAY, 3),
            (IntervalUnit.MONTH, 62 * DAY, 4),
        ):
            policy = PartitionPolicy(
                table=sweep.create("timestamptz"), interval=Interval(1, unit), time_zone=zone, premake=premake
            )
            sweep.apply(policy, change - before)
            table = sweep.apply(policy, change + before)
            made = ranges(table)
            assert all(lower < upper for lower, upper in made)
            assert all(first[1] == second[0] for first, second in pairwise(made))
            assert made[0][0] <= change - before
            assert change + before < made[-1][0]
            assert sweep.misfits(policy.table, TRUNCATED[unit], zone) == []


@pytest.mark.parametrize("zone", CHANGES)
def test_hours_step_through_every_change(sweep: Sweep, zone: str) -> None:
    for day in CHANGES[zone]:
        change = _moment(day)
        table = sweep.create("timestamptz")
        policy = PartitionPolicy(table=table, interval=Interval(1, IntervalUnit.HOUR), time_zone=zone, premake=10)
        sweep.apply(policy, change - 18 * timedelta(hours=1))
        made = ranges(sweep.apply(policy, change))
        assert {upper - lower for lower, upper in made} == {timedelta(hours=1)}
        assert all(first[1] == second[0] for first, second in pairwise(made))
        names = [each.table.name for each in sweep.seen[table].partitions]
        assert len(set(names)) == len(names) == 18 + 1 + 10
        assert sweep.misfits(table, "hour", "UTC") == []


@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_keys_without_a_zone_have_neither_change_nor_gap(sweep: Sweep, kind: str) -> None:
    policy = PartitionPolicy(
        table=sweep.create(kind), interval=Interval(1, IntervalUnit.DAY), time_zone="America/Sao_Paulo", premake=5
    )
    sweep.apply(policy, _moment("2018-11-03"))
    table = sweep.apply(policy, _moment("2018-11-05"))
    days = [each.bound.lower[0] for each in table.partitions if isinstance(each.bound, RangeBound)]
    assert [f"{day:%d}" for day in days if not isinstance(day, int | str | None)] == [
        f"{number:02d}" for number in range(3, 11)
    ]


@pytest.mark.parametrize("day", ["2024-01-31", "2024-02-29", "2026-01-30", "2026-08-31", "2026-12-31"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Havana"])
def test_months_begun_on_their_last_day_do_not_drift(sweep: Sweep, day: str, zone: str) -> None:
    """A month after the 31st is not thirty days: each begins on a first, whatever day it was planned on."""
    policy = PartitionPolicy(
        table=sweep.create("timestamptz"), interval=Interval(1, IntervalUnit.MONTH), time_zone=zone, premake=3,
        retention=Interval(1, IntervalUnit.MONTH),
    )  # fmt: skip
    sweep.apply(policy, _moment(day))
    made = ranges(sweep.apply(policy, _moment(day) + timedelta(days=27)))
    assert all(first[1] == second[0] for first, second in pairwise(made))
    assert sweep.misfits(policy.table, "month", zone) == []
